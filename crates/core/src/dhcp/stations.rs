//! Clients that another station speaks for: the frames of their messages do not come from the hardware address that
//! the messages name (`chaddr`), and no relay has passed them on.
//!
//! There are honest ones, behind wireless repeaters and bridges that put their own address into frames. Made-up
//! machines look the same: one station can ask for every address of a subnet, and take it, without more than a new
//! `chaddr` for each. So they are served like all others while there is plenty; once half of a subnet's addresses are
//! held or offered, they get new ones only while all of them together have less than a quarter.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::HwAddr;

use super::pool::{OFFER_HOLD, moved};
use crate::model::Timestamp;

/// Messages that are remembered as another station's, until an offer made for them would have ended: as many as of
/// [`super::SUPERSEDED_MAX`] clients. What is forgotten counts as its client's own.
pub const SPOKEN_FOR_MAX: usize = 4_096;
/// Percent of a subnet's addresses that are held or offered before clients that another station speaks for have a
/// share of their own.
pub const SCARCE: u64 = 50;
/// That share, in percent.
pub const SPOKEN_FOR_SHARE: u64 = 25;
/// How long after such a message others are expected.
const EXPECTED: Duration = Duration::from_secs(60 * 60);

/// Whose frames brought a client's message, as far as anybody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice {
    /// Its own, or a relay's.
    #[default]
    Own,
    /// Those of another station on its link.
    Another,
}

/// A client and the transaction that a message of it belongs to. Without the transaction, whoever sends one frame in the
/// name of a machine could have it taken for a made-up one.
type Exchange = (HwAddr, u32);

/// The messages of the last minute that came by another station's voice.
#[derive(Clone, Debug, Default)]
pub(super) struct SpokenFor {
    until: HashMap<Exchange, Timestamp>,
    ends: BTreeSet<(Timestamp, Exchange)>,
    last: Option<Timestamp>,
}

impl SpokenFor {
    /// Notes one; the one that ends first makes room for it.
    pub(super) fn note(&mut self, exchange: Exchange, now: Timestamp) {
        self.last = Some(now);
        while let Some(&(until, first)) = self.ends.first()
            && (until <= now || self.until.len() >= SPOKEN_FOR_MAX)
        {
            self.forget(first);
        }
        self.forget(exchange);
        let until = now.after(OFFER_HOLD);
        self.until.insert(exchange, until);
        self.ends.insert((until, exchange));
    }

    pub(super) fn voice(&self, exchange: Exchange, now: Timestamp) -> Voice {
        let is_good = |until: &&Timestamp| now < **until;
        self.until.get(&exchange).filter(is_good).map_or(Voice::Own, |_| Voice::Another)
    }

    pub(super) fn are_expected(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| now.since(last) < EXPECTED)
    }

    fn forget(&mut self, exchange: Exchange) {
        if let Some(until) = self.until.remove(&exchange) {
            self.ends.remove(&(until, exchange));
        }
    }

    /// The clock was set.
    pub(super) fn shift(&mut self, millis: i64) {
        for until in self.until.values_mut() {
            *until = until.moved(millis);
        }
        self.ends = moved(&self.ends, millis);
        self.last = self.last.map(|last| last.moved(millis));
    }
}

/// What those clients have of one subnet. A restart forgets whose leases are theirs.
#[derive(Clone, Debug, Default)]
pub(super) struct TheirShare {
    pub(super) offers: usize,
    leases: BTreeSet<Ipv4Addr>,
}

impl TheirShare {
    pub(super) fn note_lease(&mut self, address: Ipv4Addr) {
        self.leases.insert(address);
    }

    /// It has ended or is somebody else's.
    pub(super) fn forget_lease(&mut self, address: Ipv4Addr) {
        self.leases.remove(&address);
    }

    pub(super) fn has_lease(&self, address: Ipv4Addr) -> bool {
        self.leases.contains(&address)
    }

    /// Whether it is used up, when `used` of the `of` addresses that the subnet lends are held or offered.
    pub(super) fn is_used_up(&self, used: u64, of: u64) -> bool {
        let theirs = (self.offers + self.leases.len()) as u64;
        used * 100 >= of * SCARCE && theirs * 100 >= of * SPOKEN_FOR_SHARE
    }

    /// Of the same subnet before the config has changed; offers are noted anew.
    pub(super) fn inherit(&mut self, former: &Self) {
        self.leases.clone_from(&former.leases);
    }
}

#[cfg(test)]
mod tests {
    use bootlace_wire::Mac;

    use super::*;

    #[test]
    fn it_is_bounded_and_of_one_exchange() {
        let start = Timestamp::from_secs(1_800_000_000);
        let hw = HwAddr::from(Mac([2, 0, 0, 0, 0, 1]));
        let mut spoken_for = SpokenFor::default();
        assert!(!spoken_for.are_expected(start));
        for number in 0..=SPOKEN_FOR_MAX as u32 {
            spoken_for.note((hw, number), start.after(Duration::from_millis(number.into())));
        }
        assert_eq!((spoken_for.until.len(), spoken_for.ends.len()), (SPOKEN_FOR_MAX, SPOKEN_FOR_MAX));
        let voice = |spoken_for: &SpokenFor, number, secs| {
            spoken_for.voice((hw, number), start.after(Duration::from_secs(secs)))
        };
        assert_eq!(voice(&spoken_for, 0, 5), Voice::Own, "the oldest made room");
        assert_eq!(voice(&spoken_for, 1, 5), Voice::Another);
        assert_eq!(voice(&spoken_for, 1 << 20, 5), Voice::Own, "another exchange of the same client");
        assert_eq!(voice(&spoken_for, 1, 61), Voice::Own, "it is over");
        spoken_for.shift(7_200_000);
        assert_eq!(voice(&spoken_for, 1, 7_205), Voice::Another);
        assert!(spoken_for.are_expected(start.after(Duration::from_secs(7_300))));
        assert!(!spoken_for.are_expected(start.after(Duration::from_secs(12_000))));
        spoken_for.note((hw, 7), start.after(Duration::from_secs(12_000)));
        assert_eq!((spoken_for.until.len(), spoken_for.ends.len()), (1, 1));
    }

    #[test]
    fn a_share_is_used_up_only_when_addresses_are_scarce() {
        let mut share = TheirShare::default();
        for last in 0..20 {
            share.note_lease(Ipv4Addr::new(10, 0, 0, last));
        }
        share.offers = 5;
        assert!(!share.is_used_up(49, 100), "half of them are free");
        assert!(share.is_used_up(50, 100));
        share.forget_lease(Ipv4Addr::new(10, 0, 0, 0));
        assert!(!share.is_used_up(90, 100), "24 of 100");
        assert!(TheirShare::default().is_used_up(0, 0), "of nothing");
        assert!(!TheirShare::default().is_used_up(1, 1), "the last one is for whoever asks");
    }
}
