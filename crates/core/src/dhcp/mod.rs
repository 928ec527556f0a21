//! DHCP decisions: who asks, which address, what to boot.

mod addresses;
mod boot_fields;
mod classify;
mod decide;
mod hash;
mod lease;
mod net;
mod pool;
mod relays;
mod reply;
mod shares;
mod table;

pub use classify::{Kind, Query, Received, Request, Unserved, classify};
pub use decide::{Decision, SessionView, decide};
pub use lease::{Lease, LeaseChange, LeaseState};
pub use pool::OFFER_HOLD;
pub use reply::{Destination, Reply};
pub use table::{
    Attributes, Claim, Client, Declined, Found, LeaseTable, QUARANTINE, QUARANTINES_MAX,
    QUARANTINES_PER_CLIENT_MAX, Refusal,
};
