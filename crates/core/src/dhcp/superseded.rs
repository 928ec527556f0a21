//! Offers that were made to somebody else before they were taken.
//!
//! A flood of made-up machines is offered every address of a subnet and takes none of them. Rather than to be silent
//! until their minute is over, the server offers the oldest of those addresses anew; where more than half of all offers
//! went one way, to one port of a relay or one interface, the oldest of these. Whoever lost an offer so
//! is remembered for as long as it would have lasted: of all who were offered an address, the first who asks for it
//! gets it. So a real machine gets one as long as a flood only asks, however fast it is.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use bootlace_wire::HwAddr;

use super::pool::{OFFER_HOLD, Offer, moved};
use crate::model::Timestamp;

/// Clients of a subnet whose superseded offers are remembered: all of the seconds that a boot program takes from
/// OFFER to REQUEST, at a thousand newcomers a second.
pub const SUPERSEDED_MAX: usize = 4_096;

/// The superseded offers of one subnet, one for each client.
#[derive(Clone, Debug, Default)]
pub(super) struct Superseded {
    offers: HashMap<HwAddr, Offer>,
    ends: BTreeSet<(Timestamp, HwAddr)>,
}

impl Superseded {
    /// Remembers an offer; the one that ends first makes room for it.
    pub(super) fn note(&mut self, hw: HwAddr, offer: Offer) {
        self.forget(hw);
        if self.offers.len() >= SUPERSEDED_MAX
            && let Some(&(_, first)) = self.ends.first()
        {
            self.forget(first);
        }
        self.offers.insert(hw, offer);
        self.ends.insert((offer.until, hw));
    }

    /// Whether this client was offered the address within the last minute.
    pub(super) fn has(&self, hw: HwAddr, address: Ipv4Addr, now: Timestamp) -> bool {
        // What ends later than it could was made before the clock was set back.
        let is_good = |offer: &&Offer| now < offer.until && offer.until <= now.after(OFFER_HOLD);
        self.offers.get(&hw).filter(is_good).is_some_and(|offer| offer.address == address)
    }

    /// The clock was set.
    pub(super) fn shift(&mut self, millis: i64) {
        for offer in self.offers.values_mut() {
            offer.until = offer.until.moved(millis);
        }
        self.ends = moved(&self.ends, millis);
    }

    /// The client has another offer, or what it wanted.
    pub(super) fn forget(&mut self, hw: HwAddr) {
        if let Some(offer) = self.offers.remove(&hw) {
            self.ends.remove(&(offer.until, hw));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bootlace_wire::Mac;

    use super::super::circuits::Circuit;
    use super::super::stations::Voice;
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_what_is_over() {
        let start = Timestamp::from_secs(1_800_000_000);
        let mut superseded = Superseded::default();
        let hw = |number: usize| {
            let [.., high, low] = number.to_be_bytes();
            HwAddr::from(Mac([2, 0, 0, 0, high, low]))
        };
        let address = Ipv4Addr::new(10, 0, 0, 60);
        for number in 0..=SUPERSEDED_MAX {
            let until = start.after(Duration::from_millis(1 + number as u64));
            superseded
                .note(hw(number), Offer { address, until, circuit: Circuit::default(), voice: Voice::Own });
        }
        assert_eq!((superseded.offers.len(), superseded.ends.len()), (SUPERSEDED_MAX, SUPERSEDED_MAX));
        assert!(!superseded.has(hw(0), address, start), "the oldest made room");
        assert!(superseded.has(hw(1), address, start));
        assert!(!superseded.has(hw(1), Ipv4Addr::new(10, 0, 0, 61), start));
        assert!(!superseded.has(hw(1), address, start.after(Duration::from_millis(2))), "it is over");
        assert!(
            !superseded.has(hw(1), address, Timestamp::from_secs(1_700_000_000)),
            "the clock was set back"
        );
        superseded.forget(hw(1));
        assert_eq!(
            (superseded.offers.len(), superseded.ends.len()),
            (SUPERSEDED_MAX - 1, SUPERSEDED_MAX - 1)
        );
    }
}
