//! DHCP decisions: who asks, which address, what to boot.

mod lease;

pub use lease::{Lease, LeaseChange, LeaseState};
