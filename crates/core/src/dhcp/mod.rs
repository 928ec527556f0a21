//! DHCP decisions: who asks, which address, what to boot.

mod addresses;
mod classify;
mod hash;
mod lease;
mod pool;
mod table;

pub use classify::{Kind, Query, Received, Request, Unserved, classify};
pub use lease::{Lease, LeaseChange, LeaseState};
pub use pool::OFFER_HOLD;
pub use table::{
    Attributes, Claim, Client, Declined, Found, LeaseTable, QUARANTINE, QUARANTINES_MAX,
    QUARANTINES_PER_CLIENT_MAX, Refusal,
};
