//! DHCP decisions: who asks, which address, what to boot.

mod addresses;
mod auto;
mod boot_fields;
mod circuits;
mod classify;
mod clock;
mod decide;
mod hash;
mod lease;
mod net;
mod notice;
mod pool;
mod pressure;
mod probe;
mod proxy;
mod relays;
mod reply;
mod shares;
mod superseded;
mod table;

pub use auto::{
    ASK_AGAIN, ASK_LATER, Change, QUIET_TRIES, Role, ServerPort, Watch, foreign_server, lends, question,
};
pub use circuits::Circuit;
pub use classify::{Kind, Query, Received, Request, Service, Unserved, classify};
pub use clock::{CLOCK_STEP_MIN, ClockMark, LeaseClock, Reading, Step};
pub use decide::{Decision, SessionView, decide};
pub use lease::{Lease, LeaseChange, LeaseState, Told};
pub use notice::Notice;
pub use pool::OFFER_HOLD;
pub use pressure::{AlmostFull, HELD_CALM, HELD_WARNING};
pub use probe::{PROBE_WAIT, PROBES_AHEAD, PROBES_AHEAD_MAX, PROBES_MAX, PROOF_AGE};
pub use reply::{Destination, Reply};
pub use superseded::SUPERSEDED_MAX;
pub use table::{
    Attributes, Claim, Client, Conflict, Declined, Found, LeaseTable, Proof, QUARANTINE, QUARANTINES_MAX,
    QUARANTINES_PER_CLIENT_MAX, Refusal,
};
