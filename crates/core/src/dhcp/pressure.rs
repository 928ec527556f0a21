//! How full a subnet is: the time to widen its ranges is before the first machine gets nothing.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::pool::moved;
use super::{Lease, LeaseState};
use crate::config::Cidr;
use crate::model::Timestamp;

/// Of a subnet's addresses, as many percent have to be held by live leases for a warning.
pub const HELD_WARNING: u64 = 80;
/// The warning is given again after fewer than this many percent were held.
pub const HELD_CALM: u64 = 70;

/// A subnet of which most addresses are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlmostFull {
    /// Which.
    pub subnet: Cidr,
    /// Addresses with a live lease.
    pub held: u64,
    /// Addresses that it lends, without those that are reserved.
    pub of: u64,
}

/// The live leases of one subnet, and whether somebody was told of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pressure {
    ends: BTreeSet<(Timestamp, Ipv4Addr)>,
    bell: Bell,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bell {
    #[default]
    Silent,
    Rung,
}

impl Pressure {
    /// An address is lent. Only leases that are held count.
    pub(super) fn note(&mut self, lease: &Lease) {
        if lease.state == LeaseState::Bound {
            self.ends.insert((lease.until, lease.address));
        }
    }

    /// The lease is none any more, or another one.
    pub(super) fn forget(&mut self, lease: &Lease) {
        self.ends.remove(&(lease.until, lease.address));
    }

    /// Leases end by themselves, too: `ended` is told which. `of` is how many there can be.
    pub(super) fn end(&mut self, of: u64, now: Timestamp, mut ended: impl FnMut(Ipv4Addr)) {
        while let Some((_, address)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.pop_first();
            ended(address);
        }
        if self.held() * 100 < of * HELD_CALM {
            self.bell = Bell::Silent;
        }
    }

    /// The number of leases, when they have just become too many.
    pub(super) fn ring(&mut self, of: u64) -> Option<u64> {
        let rings = self.bell == Bell::Silent && self.held() * 100 >= of * HELD_WARNING;
        rings.then(|| {
            self.bell = Bell::Rung;
            self.held()
        })
    }

    /// Of the same subnet before the config has changed: what was told need not be told again.
    pub(super) fn inherit(&mut self, former: &Self) {
        self.bell = former.bell;
    }

    /// The clock was set.
    pub(super) fn shift(&mut self, millis: i64) {
        self.ends = moved(&self.ends, millis);
    }

    /// How many there are.
    pub(super) fn held(&self) -> u64 {
        self.ends.len() as u64
    }
}
