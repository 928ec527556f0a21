//! Who holds which address: the leases and offers of all subnets, in memory.

mod changes;
mod claims;
mod offers;
mod probing;
mod steps;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::HwAddr;

use super::pool::{Offer, Pool};
use super::{Circuit, Lease, LeaseState};
use crate::config::{Cidr, Config, Machine, Standing};
use crate::model::{ClientId, Timestamp};

pub use changes::{Attributes, Declined};
pub use claims::{Claim, Refusal};
pub use probing::{Conflict, Proof};

/// How long a declined address is lent to nobody. The stranger on it may well be gone after that.
pub const QUARANTINE: Duration = Duration::from_secs(600);
/// Addresses that one client can put in quarantine at a time: a broken or hostile one must not eat the pool.
pub const QUARANTINES_PER_CLIENT_MAX: usize = 4;
/// Addresses in quarantine at a time in one subnet; never more than a quarter of its pool, nor less than one.
pub const QUARANTINES_MAX: usize = 256;

/// All leases, with what it takes to lend an address in a few steps however many there are.
///
/// The store is its durable log: each change that it returns has to be on stable storage before an answer that
/// relies on it leaves. If that fails, nothing is sent and the table may keep the change: it then only holds an
/// address for a client that does not know yet. A client has one lease in a subnet. Offers are no leases: they
/// never touch one and are forgotten by a restart.
///
/// Time is what the caller says, and steps of its clock are what the caller tells ([`LeaseTable::shift`]). Of a step
/// that nobody told, offers and quarantines that could not have been made yet come to an end.
#[derive(Clone, Debug)]
pub struct LeaseTable {
    /// Every message looks here several times: a tree of so many would cost a dozen cache misses each time. Boxed, so that
    /// growing moves no leases.
    leases: HashMap<Ipv4Addr, Box<Lease>>,
    /// One for each subnet, in the order of the config.
    pools: Vec<Pool>,
    /// Subnets where the link is asked before an address is offered for the first time.
    watched: Vec<Cidr>,
    /// Since when the caller answers: who was told before that may still be there, whatever the clock says.
    started: Option<Timestamp>,
}

/// Who wants an address.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The key.
    pub hw: HwAddr,
    /// The machine that it belongs to, which may have an address reserved.
    pub machine: Option<&'a Machine>,
    /// Which ranges of the subnet it gets a new address of: 0 is `ranges`, 1 the first of `ranges_for`, ...
    pub share: usize,
    /// The way that it comes.
    pub circuit: Circuit,
}

impl Client<'_> {
    /// Whether the config has an entry for it.
    pub fn standing(&self) -> Standing {
        if self.machine.is_some() { Standing::Known } else { Standing::Unknown }
    }

    fn may_use_reserved(&self, address: Ipv4Addr) -> bool {
        self.machine.is_some_and(|machine| machine.address == Some(address))
    }

    /// Another interface of the same machine has this lease.
    fn is_siblings(&self, lease: &Lease) -> bool {
        let Some(machine) = self.machine.filter(|_| lease.hw != self.hw) else { return false };
        let by_mac = lease.hw.mac().is_some_and(|mac| machine.macs.contains(&mac));
        let by_uuid = machine.uuid.zip(lease.uuid).is_some_and(|(a, b)| a.same_machine(b));
        let own_id = machine.client_id.as_ref().map(ClientId::as_bytes);
        let by_id = own_id.is_some() && own_id == lease.client_id.as_deref();
        by_mac || by_id || by_uuid
    }
}

/// An address for a client, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address.
    pub address: Ipv4Addr,
    /// Why this one.
    pub claim: Claim,
    /// Whether it can be offered now.
    pub proof: Proof,
    /// What would have come first, and why it could not be.
    pub refused: Vec<(Ipv4Addr, Refusal)>,
}

impl LeaseTable {
    /// A table over the subnets of `config` with what the store remembers.
    pub fn new(config: &Config, leases: Vec<Lease>) -> Self {
        let leases = leases.into_iter().map(|lease| (lease.address, Box::new(lease))).collect();
        let mut table = Self { leases, pools: Vec::new(), watched: Vec::new(), started: None };
        table.reconfigure(config);
        table
    }

    /// Follows a changed config. Leases that it has no place for any more are kept until somebody else gets the
    /// address or their holder another; offers stand where they can.
    pub fn reconfigure(&mut self, config: &Config) {
        let reserved: BTreeSet<_> = config.machines.iter().filter_map(|machine| machine.address).collect();
        let inside = |cidr: Cidr| reserved.range(cidr.network()..=cidr.broadcast()).copied();
        let pools = config.dhcp.subnets.iter().map(|subnet| Pool::new(subnet, inside(subnet.cidr))).collect();
        let former = std::mem::replace(&mut self.pools, pools);
        for lease in by_address(&self.leases) {
            let Some(pool) = self.pools.iter_mut().find(|pool| pool.cidr().contains(lease.address)) else {
                continue;
            };
            pool.unplace(lease.address, None);
            pool.place(lease.address, Some(lease));
            pool.note_lease(lease);
            if is_quarantine(lease) {
                pool.quarantine.insert((lease.until, lease.address));
            }
            if lease.state == LeaseState::Declined {
                continue;
            }
            // Two leases of one client in a subnet can only come from two subnets that became one.
            let newer = |other: &Ipv4Addr| self.leases.get(other).is_none_or(|l| l.until <= lease.until);
            if pool.clients.get(&lease.hw).is_none_or(newer) {
                pool.clients.insert(lease.hw, lease.address);
            }
        }
        for pool in &mut self.pools {
            if let Some(same) = former.iter().find(|same| same.cidr() == pool.cidr()) {
                pool.inherit(same);
            }
            if self.watched.contains(&pool.cidr()) {
                pool.watch();
            }
        }
        self.keep_offers(config, &former);
    }

    /// Offers stand where they can. What tells a client's machine was in its message: it still is the machine of that
    /// name, or the one of its MAC.
    fn keep_offers(&mut self, config: &Config, former: &[Pool]) {
        let names: HashSet<&str> = config.machines.iter().map(|machine| machine.name.as_str()).collect();
        for pool in former {
            for (hw, offer) in pool.offers() {
                let subnet = self.pools.iter().position(|pool| pool.cidr().contains(offer.address));
                let Some(subnet) = subnet.filter(|at| self.pools[*at].is_lent(offer.address)) else {
                    continue;
                };
                self.note_offer(subnet, hw, offer);
                let by_mac = || Some(config.machines.by_mac(hw.mac()?)?.name.as_str());
                let same = pool.machine_of(hw).filter(|name| names.contains(name));
                if let Some(machine) = same.or_else(by_mac) {
                    self.pools[subnet].note_known(hw, machine);
                }
            }
        }
    }

    /// All leases by address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Lease> {
        by_address(&self.leases).into_iter()
    }

    /// The lease of an address.
    pub fn get(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.leases.get(&address).map(Box::as_ref)
    }

    /// Who holds an address now.
    pub fn holder(&self, address: Ipv4Addr, now: Timestamp) -> Option<HwAddr> {
        self.leases.get(&address).filter(|lease| is_live(lease, now)).map(|lease| lease.hw)
    }

    /// The lease of a client in a subnet, held or remembered.
    pub fn lease_of(&self, subnet: usize, hw: HwAddr) -> Option<&Lease> {
        self.get(*self.pools.get(subnet)?.clients.get(&hw)?)
    }

    /// Finds an address for a client and keeps it for a minute. The order: its machine's reservation, what it
    /// has or had, what it was offered, what it wishes if that is free, the next free one from its own way into
    /// its share of the ranges (of those that were probed, while there are any), the one whose lease ended first.
    /// `None`: that has none left.
    pub fn offer(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        wish: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> Option<Found> {
        let mut refused = Vec::new();
        let favourite = self.favourite(subnet, client, now, &mut refused);
        let (address, claim) = favourite.or_else(|| self.any(subnet, client, wish, now))?;
        let proof = self.hold(subnet, client, address, claim, now);
        Some(Found { address, claim, proof, refused })
    }

    fn favourite(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        now: Timestamp,
        refused: &mut Vec<(Ipv4Addr, Refusal)>,
    ) -> Option<(Ipv4Addr, Claim)> {
        let pool = self.pools.get(subnet)?;
        let cidr = pool.cidr();
        let offered = pool.offer_of(client.hw).map(|offer| offer.address);
        let own = self.lease_of(subnet, client.hw).map(|lease| lease.address);
        let reserved = client.machine.and_then(|machine| machine.address);
        let reserved = reserved
            .filter(|address| cidr.contains(*address))
            .filter(|address| !self.leaves_to_sibling(subnet, client, *address, now));
        for address in [reserved, own, offered].into_iter().flatten() {
            match self.claim(subnet, client, address, now) {
                Ok(claim) => return Some((address, claim)),
                Err(refusal) => refused.push((address, refusal)),
            }
        }
        None
    }

    fn any(
        &mut self,
        subnet: usize,
        Client { hw, share, .. }: Client<'_>,
        wish: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> Option<(Ipv4Addr, Claim)> {
        self.end_what_has_ended(subnet, now);
        let pool = self.pools.get(subnet)?;
        if let Some(wish) = wish.filter(|wish| pool.is_free(share, *wish)) {
            return Some((wish, Claim::Free));
        }
        if let Some(free) = pool.free_for(share, hw) {
            return Some((free, Claim::Free));
        }
        let oldest = pool.oldest_lapsed(share, now)?;
        Some((oldest, Claim::Lapsed(self.leases.get(&oldest)?.hw)))
    }

    /// Forgets what was offered to a client: it took another server's offer.
    pub fn withdraw(&mut self, subnet: usize, hw: HwAddr) {
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        if let Some(address) = pool.forget_offer(hw) {
            pool.place(address, self.leases.get(&address).map(Box::as_ref));
        }
    }

    fn note_offer(&mut self, subnet: usize, hw: HwAddr, offer: Offer) {
        self.withdraw(subnet, hw);
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        pool.unplace(offer.address, self.leases.get(&offer.address).map(Box::as_ref));
        pool.note_offer(hw, offer);
    }

    fn end_what_has_ended(&mut self, subnet: usize, now: Timestamp) {
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        while let Some(hw) = pool.ended_offer(now) {
            let Some(address) = pool.forget_offer(hw) else { break };
            pool.place(address, self.leases.get(&address).map(Box::as_ref));
        }
        pool.end_leases(now);
        while pool.quarantine.first().is_some_and(|(until, _)| *until <= now) {
            pool.quarantine.pop_first();
        }
        // The clock was set back: nobody declined anything in the future.
        while let Some((until, address)) =
            pool.quarantine.last().copied().filter(|(u, _)| *u > now.after(QUARANTINE))
        {
            pool.quarantine.remove(&(until, address));
            let Some(lease) = self.leases.get_mut(&address) else { continue };
            pool.unplace(address, Some(lease));
            lease.until = now;
            pool.place(address, Some(lease));
        }
    }
}

fn by_address(leases: &HashMap<Ipv4Addr, Box<Lease>>) -> Vec<&Lease> {
    let mut leases: Vec<&Lease> = leases.values().map(Box::as_ref).collect();
    leases.sort_unstable_by_key(|lease| lease.address);
    leases
}

/// Somebody else was found on the address.
fn is_quarantine(lease: &Lease) -> bool {
    matches!(lease.state, LeaseState::Declined | LeaseState::Conflict)
}

fn is_live(lease: &Lease, now: Timestamp) -> bool {
    lease.state == LeaseState::Bound && lease.until > now
}
