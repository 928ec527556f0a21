//! The addresses of one subnet: which are free, which can be taken again, and who was offered what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use bootlace_wire::HwAddr;

use super::addresses::AddressSet;
use super::circuits::{Circuit, Circuits};
use super::hash;
use super::pressure::{AlmostFull, Pressure};
use super::probe::Probes;
use super::shares::Share;
use super::superseded::Superseded;
use super::{Lease, LeaseState};
use crate::config::{Cidr, Standing, Subnet};
use crate::model::Timestamp;

/// How long an address stays promised to who was offered it: longer than the slowest ROM takes from the first
/// OFFER to its REQUEST.
pub const OFFER_HOLD: Duration = Duration::from_secs(60);

/// An offer: the address is this client's until then, unless it asks another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) address: Ipv4Addr,
    pub(super) until: Timestamp,
    /// The way that the client came.
    pub(super) circuit: Circuit,
}

/// Indices over the leases and offers of one subnet. The leases themselves are in the table.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    cidr: Cidr,
    /// Of the ranges, who gets which; never empty.
    shares: Vec<Share>,
    /// Addresses that only their machine gets.
    reserved: BTreeSet<Ipv4Addr>,
    /// How many of them are in the ranges.
    reserved_in_ranges: u64,
    /// In a range, not reserved, without a lease or an offer.
    free: AddressSet,
    /// In a range, not reserved, with a lease, without an offer: can be lent again when `until` is past. By share.
    lapsing: BTreeSet<(usize, Timestamp, Ipv4Addr)>,
    /// The same of leases that were given back: these can be lent again whatever the clock says of `until`.
    released: BTreeSet<(usize, Timestamp, Ipv4Addr)>,
    /// The one lease of each client. Every message looks here several times, and nobody needs an order.
    pub(super) clients: HashMap<HwAddr, Ipv4Addr>,
    offers: BTreeMap<HwAddr, Offer>,
    offered: BTreeMap<Ipv4Addr, HwAddr>,
    offer_ends: BTreeSet<(Timestamp, HwAddr)>,
    circuits: Circuits,
    pressure: Pressure,
    /// Clients of the config that were offered something, with their machines' names.
    known: BTreeMap<HwAddr, String>,
    /// Offers that somebody else got before they were taken.
    pub(super) superseded: Superseded,
    /// Declined addresses by the end of their quarantine.
    pub(super) quarantine: BTreeSet<(Timestamp, Ipv4Addr)>,
    /// What is known of strangers on free addresses, where somebody asks the link.
    probes: Option<Probes>,
}

impl Pool {
    pub(super) fn new(subnet: &Subnet, reserved: impl Iterator<Item = Ipv4Addr>) -> Self {
        let reserved: BTreeSet<Ipv4Addr> = reserved.filter(|ip| subnet.cidr.contains(*ip)).collect();
        let shares = Share::all(subnet);
        let mut free = AddressSet::default();
        for range in shares.iter().flat_map(|share| &share.ranges) {
            free.insert_range(range);
        }
        for address in &reserved {
            free.remove(*address);
        }
        let is_in_range = |address: &&Ipv4Addr| shares.iter().any(|share| share.contains(**address));
        let reserved_in_ranges = reserved.iter().filter(is_in_range).count() as u64;
        Self {
            cidr: subnet.cidr,
            shares,
            reserved,
            reserved_in_ranges,
            free,
            lapsing: BTreeSet::new(),
            released: BTreeSet::new(),
            clients: HashMap::new(),
            offers: BTreeMap::new(),
            offered: BTreeMap::new(),
            offer_ends: BTreeSet::new(),
            circuits: Circuits::default(),
            pressure: Pressure::default(),
            known: BTreeMap::new(),
            superseded: Superseded::default(),
            quarantine: BTreeSet::new(),
            probes: None,
        }
    }

    pub(super) fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// Number of addresses in the ranges.
    pub(super) fn size(&self) -> u64 {
        self.shares.iter().map(|share| share.size).sum()
    }

    /// A lease of an address was made.
    pub(super) fn note_lease(&mut self, lease: &Lease) {
        if self.is_lent(lease.address) && !self.is_reserved(lease.address) {
            self.pressure.note(lease);
        }
    }

    /// A lease was taken out.
    pub(super) fn forget_lease(&mut self, lease: &Lease) {
        self.pressure.forget(lease);
    }

    pub(super) fn end_leases(&mut self, now: Timestamp) {
        self.pressure.end(self.lendable(), now);
    }

    /// That most addresses are held now, unless it was told before.
    pub(super) fn almost_full(&mut self) -> Option<AlmostFull> {
        let of = self.lendable();
        self.pressure.ring(of).map(|held| AlmostFull { subnet: self.cidr, held, of })
    }

    /// What was told of this subnet before the config has changed.
    pub(super) fn inherit(&mut self, former: &Self) {
        self.pressure.inherit(&former.pressure);
    }

    /// Number of addresses in the ranges that anybody can get.
    fn lendable(&self) -> u64 {
        self.size() - self.reserved_in_ranges
    }

    pub(super) fn is_lent(&self, address: Ipv4Addr) -> bool {
        self.share_of(address).is_some()
    }

    fn share_of(&self, address: Ipv4Addr) -> Option<usize> {
        self.shares.iter().position(|share| share.contains(address))
    }

    /// Whether the ranges of an address are for machines of this standing, or it is in none.
    pub(super) fn is_for(&self, address: Ipv4Addr, standing: Standing) -> bool {
        self.share_of(address).is_none_or(|share| self.shares[share].is_for(standing))
    }

    pub(super) fn is_reserved(&self, address: Ipv4Addr) -> bool {
        self.reserved.contains(&address)
    }

    /// Free, and of this share.
    pub(super) fn is_free(&self, share: usize, address: Ipv4Addr) -> bool {
        self.free.contains(address) && self.share_of(address) == Some(share)
    }

    /// The client's own way into a share, then the next free address of it; one that was probed before all others.
    pub(super) fn free_for(&self, share: usize, hw: HwAddr) -> Option<Ipv4Addr> {
        let Share { ranges, size, .. } = self.shares.get(share)?;
        let (at, start) = nth(ranges, hash::of(hw).checked_rem(*size)?)?;
        let probes = self.probes.as_ref();
        if self.shares.len() == 1 {
            let ready = probes.and_then(|probes| probes.ready_from(start));
            return ready.or_else(|| self.free.next_from(start));
        }
        let after = ranges[at + 1..].iter().chain(&ranges[..=at]).cloned();
        let mut parts = std::iter::once(start..=*ranges[at].end()).chain(after);
        let ready = probes.and_then(|probes| parts.clone().find_map(|part| probes.ready_in(&part)));
        ready.or_else(|| parts.find_map(|part| self.free.first_in(&part)))
    }

    /// The address of a share that has been without a holder for the longest time.
    pub(super) fn oldest_lapsed(&self, share: usize, now: Timestamp) -> Option<Ipv4Addr> {
        let first = (share, Timestamp(i64::MIN), Ipv4Addr::UNSPECIFIED);
        let until = |last| first..=(share, last, Ipv4Addr::BROADCAST);
        let lapsed = self.lapsing.range(until(now)).next();
        let released = self.released.range(until(Timestamp::NEVER)).next();
        lapsed.into_iter().chain(released).min().map(|(_, _, oldest)| *oldest)
    }

    /// Takes an address out of the indices before its lease or offer changes.
    pub(super) fn unplace(&mut self, address: Ipv4Addr, lease: Option<&Lease>) {
        self.free.remove(address);
        if let Some(probes) = &mut self.probes {
            probes.taken(address);
        }
        if let Some(lease) = lease {
            if let Some(share) = self.share_of(address) {
                self.ends_of(lease).remove(&(share, lease.until, address));
            }
            self.quarantine.remove(&(lease.until, address));
        }
    }

    /// Puts an address where it belongs after its lease or offer changed.
    pub(super) fn place(&mut self, address: Ipv4Addr, lease: Option<&Lease>) {
        let Some(share) = self.share_of(address) else { return };
        if self.is_reserved(address) || self.offered.contains_key(&address) {
            return;
        }
        match lease {
            None => {
                self.free.insert(address);
                if let Some(probes) = &mut self.probes {
                    probes.freed(address);
                }
            }
            Some(lease) => {
                self.ends_of(lease).insert((share, lease.until, address));
            }
        }
    }

    fn ends_of(&mut self, lease: &Lease) -> &mut BTreeSet<(usize, Timestamp, Ipv4Addr)> {
        match lease.state {
            LeaseState::Released => &mut self.released,
            LeaseState::Bound | LeaseState::Declined | LeaseState::Conflict => &mut self.lapsing,
        }
    }

    /// The clock was set: see [`super::LeaseTable::shift`].
    pub(super) fn shift(&mut self, millis: i64) {
        for ends in [&mut self.lapsing, &mut self.released] {
            *ends = std::mem::take(ends)
                .into_iter()
                .map(|(at, until, ip)| (at, until.moved(millis), ip))
                .collect();
        }
        self.superseded.shift(millis);
        for offer in self.offers.values_mut() {
            offer.until = offer.until.moved(millis);
        }
        self.offer_ends = moved(&self.offer_ends, millis);
        self.circuits.shift(millis);
        self.pressure.shift(millis);
        self.quarantine = moved(&self.quarantine, millis);
        if let Some(probes) = &mut self.probes {
            probes.shift(millis);
        }
    }

    /// From now on somebody asks the link who is on an address before it is offered.
    pub(super) fn watch(&mut self) {
        self.probes = Some(Probes::new(self.free.clone()));
    }

    pub(super) fn probes(&self) -> Option<&Probes> {
        self.probes.as_ref()
    }

    pub(super) fn probes_mut(&mut self) -> Option<&mut Probes> {
        self.probes.as_mut()
    }

    /// Nobody else is on the address.
    pub(super) fn prove(&mut self, address: Ipv4Addr, now: Timestamp) {
        if let Some(probes) = &mut self.probes {
            probes.prove(address, now, |address| self.free.contains(address));
        }
    }

    /// Draws the conclusions of probes that went unanswered, and of proofs that are too old.
    pub(super) fn conclude_probes(&mut self, now: Timestamp) {
        if let Some(probes) = &mut self.probes {
            probes.conclude(now, |address| self.free.contains(address));
        }
    }

    pub(super) fn offer_of(&self, hw: HwAddr) -> Option<Offer> {
        self.offers.get(&hw).copied()
    }

    pub(super) fn offered_to(&self, address: Ipv4Addr) -> Option<HwAddr> {
        self.offered.get(&address).copied()
    }

    pub(super) fn offers(&self) -> impl Iterator<Item = (HwAddr, Offer)> {
        self.offers.iter().map(|(hw, offer)| (*hw, *offer))
    }

    /// Offers that stand, in the order in which they are taken back: those of a circuit that has more than half of
    /// them, then all; of each the one that was made first before all others.
    pub(super) fn offers_to_take_back(&self) -> impl Iterator<Item = (HwAddr, Offer)> {
        let by_age = self.offer_ends.iter().map(|(_, hw)| *hw);
        self.circuits.crowd().chain(by_age).filter_map(|hw| Some((hw, self.offer_of(hw)?)))
    }

    /// In a range of this share, and not reserved.
    pub(super) fn is_of_share(&self, share: usize, address: Ipv4Addr) -> bool {
        self.share_of(address) == Some(share) && !self.is_reserved(address)
    }

    /// What the client of an offer is to the config.
    pub(super) fn standing_of(&self, hw: HwAddr) -> Standing {
        if self.known.contains_key(&hw) { Standing::Known } else { Standing::Unknown }
    }

    /// The machine of an offer's client, when it was made.
    pub(super) fn machine_of(&self, hw: HwAddr) -> Option<&str> {
        self.known.get(&hw).map(String::as_str)
    }

    /// Notes that the client of an offer is this machine of the config.
    pub(super) fn note_known(&mut self, hw: HwAddr, machine: &str) {
        self.known.insert(hw, machine.to_owned());
    }

    /// Notes an offer. The caller has taken back the client's former one and has unplaced the address.
    pub(super) fn note_offer(&mut self, hw: HwAddr, offer: Offer) {
        self.superseded.forget(hw);
        self.offers.insert(hw, offer);
        self.offered.insert(offer.address, hw);
        self.offer_ends.insert((offer.until, hw));
        self.circuits.note(offer.circuit, offer.until, hw);
    }

    /// Forgets a client's offer; the caller places the address.
    pub(super) fn forget_offer(&mut self, hw: HwAddr) -> Option<Ipv4Addr> {
        let offer = self.offers.remove(&hw)?;
        self.known.remove(&hw);
        self.offered.remove(&offer.address);
        self.offer_ends.remove(&(offer.until, hw));
        self.circuits.forget(offer.circuit, offer.until, hw);
        Some(offer.address)
    }

    /// A client whose offer has ended. One that ends later than an offer made now would was made before the
    /// clock was set back: it has ended too.
    pub(super) fn ended_offer(&self, now: Timestamp) -> Option<HwAddr> {
        let past = self.offer_ends.first().filter(|(until, _)| *until <= now);
        let ahead = || self.offer_ends.last().filter(|(until, _)| *until > now.after(OFFER_HOLD));
        past.or_else(ahead).map(|(_, hw)| *hw)
    }
}

/// Ends after the clock was set.
pub(super) fn moved<T: Copy + Ord>(ends: &BTreeSet<(Timestamp, T)>, millis: i64) -> BTreeSet<(Timestamp, T)> {
    ends.iter().map(|(until, what)| (until.moved(millis), *what)).collect()
}

/// The address at `index` of ranges in a row, and the range that it is in.
fn nth(ranges: &[RangeInclusive<Ipv4Addr>], mut index: u64) -> Option<(usize, Ipv4Addr)> {
    for (at, range) in ranges.iter().enumerate() {
        match index.checked_sub(width(range)) {
            Some(rest) => index = rest,
            None => {
                let start = u32::from(*range.start()).saturating_add(u32::try_from(index).ok()?);
                return Some((at, start.into()));
            }
        }
    }
    None
}

fn width(range: &RangeInclusive<Ipv4Addr>) -> u64 {
    u64::from(u32::from(*range.end())) + 1 - u64::from(u32::from(*range.start()))
}
