//! A set of IPv4 addresses as runs: what is free in a pool.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Disjoint runs that do not touch, first to last address. An empty pool is one run, a full one none; every
/// operation is a few steps in a tree, however many addresses a run holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AddressSet(BTreeMap<u32, u32>);

impl AddressSet {
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.run_of(address.into()).is_some()
    }

    pub(super) fn insert(&mut self, address: Ipv4Addr) {
        self.insert_range(&(address..=address));
    }

    /// Adds a range of which no address is in the set, or a single address.
    pub(super) fn insert_range(&mut self, range: &RangeInclusive<Ipv4Addr>) {
        let (mut first, mut last) = (u32::from(*range.start()), u32::from(*range.end()));
        if first > last || self.run_of(first).is_some() {
            return;
        }
        let before = first.checked_sub(1).and_then(|address| self.run_of(address));
        if let Some((start, _)) = before {
            first = start;
        }
        if let Some(end) = last.checked_add(1).and_then(|address| self.0.remove(&address)) {
            last = end;
        }
        self.0.insert(first, last);
    }

    pub(super) fn remove(&mut self, address: Ipv4Addr) {
        let address = u32::from(address);
        let Some((first, last)) = self.run_of(address) else { return };
        self.0.remove(&first);
        if first < address {
            self.0.insert(first, address - 1);
        }
        if address < last {
            self.0.insert(address + 1, last);
        }
    }

    /// The first address from `start` on, going round at the end.
    pub(super) fn next_from(&self, start: Ipv4Addr) -> Option<Ipv4Addr> {
        let start = u32::from(start);
        if self.run_of(start).is_some() {
            return Some(start.into());
        }
        let (first, _) = self.0.range(start..).next().or_else(|| self.0.first_key_value())?;
        Some((*first).into())
    }

    /// The lowest address of a range.
    pub(super) fn first_in(&self, range: &RangeInclusive<Ipv4Addr>) -> Option<Ipv4Addr> {
        let (low, high) = (u32::from(*range.start()), u32::from(*range.end()));
        if low <= high && self.run_of(low).is_some() {
            return Some(low.into());
        }
        let (first, _) = self.0.range(low..).next().filter(|(first, _)| **first <= high)?;
        Some((*first).into())
    }

    fn run_of(&self, address: u32) -> Option<(u32, u32)> {
        let (&first, &last) = self.0.range(..=address).next_back()?;
        (address <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    #[test]
    fn runs_split_and_join() {
        let mut set = AddressSet::default();
        set.insert_range(&(ip(10)..=ip(20)));
        set.remove(ip(15));
        assert_eq!(set.0.len(), 2);
        assert!(!set.contains(ip(15)) && set.contains(ip(14)) && set.contains(ip(16)));
        assert_eq!(set.next_from(ip(15)), Some(ip(16)));
        assert_eq!(set.next_from(ip(21)), Some(ip(10)), "goes round");
        set.insert(ip(15));
        set.insert(ip(15));
        assert_eq!(set.0.len(), 1);
        assert_eq!(AddressSet::default().next_from(ip(1)), None);
    }

    #[test]
    fn the_ends_of_the_address_space_do_not_overflow() {
        let mut set = AddressSet::default();
        set.insert_range(&(Ipv4Addr::UNSPECIFIED..=Ipv4Addr::BROADCAST));
        set.remove(Ipv4Addr::UNSPECIFIED);
        set.remove(Ipv4Addr::BROADCAST);
        set.insert(Ipv4Addr::BROADCAST);
        set.insert(Ipv4Addr::UNSPECIFIED);
        assert_eq!(set.0.len(), 1);
    }

    #[test]
    fn agrees_with_a_plain_set() {
        let mut set = AddressSet::default();
        let mut plain = BTreeSet::new();
        let mut seed = 7_u32;
        for _ in 0..5000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let address = ip((seed >> 16) as u8 & 63);
            if seed >> 31 == 0 {
                set.insert(address);
                plain.insert(address);
            } else {
                set.remove(address);
                plain.remove(&address);
            }
            let from = ip((seed >> 8) as u8 & 63);
            let expected = plain.range(from..).next().or_else(|| plain.first()).copied();
            assert_eq!(set.next_from(from), expected);
            assert_eq!(set.contains(from), plain.contains(&from));
            let to = ip(u32::from(from).to_be_bytes()[3].saturating_add(5));
            assert_eq!(set.first_in(&(from..=to)), plain.range(from..=to).next().copied());
        }
    }
}
