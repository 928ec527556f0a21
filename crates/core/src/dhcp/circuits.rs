//! Which way clients come, so that a flood on one way is not at the expense of the others.

use std::collections::{BTreeMap, BTreeSet};

use bootlace_wire::HwAddr;

use super::pool::moved;
use super::{Query, hash};
use crate::model::Timestamp;

/// A way to the server: an interface, or a relay's port (its address and the circuit identifier, RFC 3046 section 3.1).
///
/// It is a hash: two ways that happen to have the same are treated as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Circuit(u64);

impl Circuit {
    /// The way that a message came. What a client says of its own circuit, without a relay, is no more than a claim.
    pub fn of(query: &Query<'_>) -> Self {
        let relay = query.message.giaddr;
        if relay.is_unspecified() {
            return Self(hash::of_bytes(query.received.interface.bytes()));
        }
        let port = query.message.relay_info().and_then(|info| info.circuit_id()).unwrap_or_default();
        Self(hash::of_bytes(relay.octets().into_iter().chain(port.iter().copied())))
    }
}

/// The offers of one subnet by the circuit that they were made to.
#[derive(Clone, Debug, Default)]
pub(super) struct Circuits {
    offers: BTreeMap<Circuit, BTreeSet<(Timestamp, HwAddr)>>,
    /// How many each circuit has.
    counts: BTreeSet<(usize, Circuit)>,
    total: usize,
}

impl Circuits {
    pub(super) fn note(&mut self, circuit: Circuit, until: Timestamp, hw: HwAddr) {
        let offers = self.offers.entry(circuit).or_default();
        let before = offers.len();
        if offers.insert((until, hw)) {
            self.counts.remove(&(before, circuit));
            self.counts.insert((before + 1, circuit));
            self.total += 1;
        }
    }

    pub(super) fn forget(&mut self, circuit: Circuit, until: Timestamp, hw: HwAddr) {
        let Some(offers) = self.offers.get_mut(&circuit) else { return };
        let before = offers.len();
        if !offers.remove(&(until, hw)) {
            return;
        }
        self.total -= 1;
        self.counts.remove(&(before, circuit));
        if offers.is_empty() {
            self.offers.remove(&circuit);
        } else {
            self.counts.insert((before - 1, circuit));
        }
    }

    /// The clients of a circuit that has more than half of all offers, the one that was offered first before all
    /// others; nobody where no circuit has as many.
    ///
    /// Less would not tell a flood from a classroom: of a flood that makes up its circuits, too, the classroom would
    /// be the largest part.
    pub(super) fn crowd(&self) -> impl Iterator<Item = HwAddr> {
        let crowd = self.counts.last().filter(|(count, _)| *count > self.total - count);
        let offers = crowd.and_then(|(_, circuit)| self.offers.get(circuit));
        offers.into_iter().flatten().map(|(_, hw)| *hw)
    }

    /// The clock was set.
    pub(super) fn shift(&mut self, millis: i64) {
        for offers in self.offers.values_mut() {
            *offers = moved(offers, millis);
        }
    }
}

#[cfg(test)]
mod tests {
    use bootlace_wire::Mac;

    use super::*;

    fn hw(last: u8) -> HwAddr {
        Mac([2, 0, 0, 0, 0, last]).into()
    }

    #[test]
    fn a_crowd_is_more_than_half() {
        let at = |secs: u8| Timestamp::from_secs(1_800_000_000 + i64::from(secs));
        let (one, other) = (Circuit(1), Circuit(2));
        let mut circuits = Circuits::default();
        let crowd = |circuits: &Circuits| circuits.crowd().collect::<Vec<_>>();
        assert_eq!(crowd(&circuits), []);
        for number in 1..=3 {
            circuits.note(one, at(number), hw(number));
            circuits.note(other, at(number), hw(10 + number));
        }
        assert_eq!(crowd(&circuits), [], "half");
        circuits.note(one, at(0), hw(4));
        circuits.note(one, at(0), hw(4));
        assert_eq!(crowd(&circuits), [4, 1, 2, 3].map(hw), "the one that ends first comes first");
        circuits.shift(5_000);
        circuits.forget(one, at(5), hw(4));
        circuits.forget(one, at(5), hw(4));
        assert_eq!(crowd(&circuits), [], "half again");
        for number in 1..=3 {
            circuits.forget(one, at(5 + number), hw(number));
        }
        assert_eq!(crowd(&circuits), [11, 12, 13].map(hw));
        for number in 1..=3 {
            circuits.forget(other, at(5 + number), hw(10 + number));
        }
        assert_eq!((circuits.total, circuits.offers.len(), circuits.counts.len()), (0, 0, 0));
    }
}
