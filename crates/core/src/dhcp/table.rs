//! Who holds which address: the leases and offers of all subnets, in memory.

mod offers;
mod probing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::HwAddr;

use super::pool::Pool;
use super::{Lease, LeaseChange, LeaseState};
use crate::config::{Cidr, Config, Machine, Standing};
use crate::model::{Text, Timestamp, Uuid};

pub use probing::{Conflict, Proof};

/// How long a declined address is lent to nobody. The stranger on it may well be gone after that.
pub const QUARANTINE: Duration = Duration::from_secs(600);
/// Addresses that one client can put in quarantine at a time: a broken or hostile one must not eat the pool.
pub const QUARANTINES_PER_CLIENT_MAX: usize = 4;
/// Addresses in quarantine at a time in one subnet; never more than a quarter of its pool, nor less than one.
pub const QUARANTINES_MAX: usize = 256;
/// Longest client identifier that is kept: what one option can carry.
const CLIENT_ID_BYTES_MAX: usize = 255;

/// All leases, with what it takes to lend an address in a few steps however many there are.
///
/// The store is its durable log: each change that it returns has to be on stable storage before an answer that
/// relies on it leaves. If that fails, nothing is sent and the table may keep the change: it then only holds an
/// address for a client that does not know yet. A client has one lease in a subnet. Offers are no leases: they
/// never touch one and are forgotten by a restart.
///
/// Time is what the caller says. Clocks step: a step back ends offers and quarantines that could not have been
/// made yet; a step forward ends leases early by as much, which no table could tell from time passing.
#[derive(Clone, Debug)]
pub struct LeaseTable {
    leases: BTreeMap<Ipv4Addr, Lease>,
    /// One for each subnet, in the order of the config.
    pools: Vec<Pool>,
    /// Subnets where the link is asked before an address is offered for the first time.
    watched: Vec<Cidr>,
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
        by_mac || by_uuid
    }
}

/// Why an address can be a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is or was this client's.
    Lease,
    /// It was offered to this client.
    Offer,
    /// It is reserved for this client's machine.
    Reservation,
    /// This client answered a probe of it.
    InUse,
    /// Nobody has or had it.
    Free,
    /// The lease of this client has ended.
    Lapsed(HwAddr),
    /// It was offered to this client, which has not taken it yet, and none is left that nobody was offered.
    Superseded(HwAddr),
}

/// Why an address cannot be a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The subnet does not lend it.
    NotLent,
    /// Another machine's reservation.
    Reserved,
    /// This client holds it.
    Held(HwAddr),
    /// This client was offered it.
    Offered(HwAddr),
    /// Somebody found it in use.
    Quarantined(Timestamp),
    /// It is in ranges that only machines of the config get, or only others.
    OtherRanges,
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

/// What became of an address that a client declined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// Nobody gets it for [`QUARANTINE`].
    Quarantined(LeaseChange),
    /// Too much is in quarantine already: only the client's claim on it is gone.
    Dropped(Option<LeaseChange>),
    /// It is not this client's to decline.
    NotTheirs,
}

/// What a client said of itself with its request.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Option 61.
    pub client_id: Option<&'a [u8]>,
    /// Option 97.
    pub uuid: Option<Uuid>,
    /// Option 12.
    pub hostname: &'a str,
}

impl LeaseTable {
    /// A table over the subnets of `config` with what the store remembers.
    pub fn new(config: &Config, leases: Vec<Lease>) -> Self {
        let leases = leases.into_iter().map(|lease| (lease.address, lease)).collect();
        let mut table = Self { leases, pools: Vec::new(), watched: Vec::new() };
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
        for lease in self.leases.values() {
            let Some(pool) = self.pools.iter_mut().find(|pool| pool.cidr().contains(lease.address)) else {
                continue;
            };
            pool.unplace(lease.address, None);
            pool.place(lease.address, Some(lease.until));
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
            if self.watched.contains(&pool.cidr()) {
                pool.watch();
            }
        }
        for (hw, offer) in former.iter().flat_map(Pool::offers) {
            let subnet = self.pools.iter().position(|pool| pool.cidr().contains(offer.address));
            let Some(subnet) = subnet.filter(|at| self.pools[*at].is_lent(offer.address)) else { continue };
            self.note_offer(subnet, hw, offer.address, offer.until);
            if hw.mac().is_some_and(|mac| config.machines.by_mac(mac).is_some()) {
                self.pools[subnet].note_known(hw);
            }
        }
    }

    /// All leases by address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Lease> {
        self.leases.values()
    }

    /// The lease of an address.
    pub fn get(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.leases.get(&address)
    }

    /// Who holds an address now.
    pub fn holder(&self, address: Ipv4Addr, now: Timestamp) -> Option<HwAddr> {
        self.leases.get(&address).filter(|lease| is_live(lease, now)).map(|lease| lease.hw)
    }

    /// The lease of a client in a subnet, held or remembered.
    pub fn lease_of(&self, subnet: usize, hw: HwAddr) -> Option<&Lease> {
        self.leases.get(self.pools.get(subnet)?.clients.get(&hw)?)
    }

    /// Whether `address` can be this client's, and by what right.
    pub fn claim(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        address: Ipv4Addr,
        now: Timestamp,
    ) -> Result<Claim, Refusal> {
        self.end_what_has_ended(subnet, now);
        let pool = self.pools.get(subnet).ok_or(Refusal::NotLent)?;
        let reserved = client.may_use_reserved(address) && pool.cidr().contains(address);
        if !reserved && pool.is_reserved(address) {
            return Err(Refusal::Reserved);
        }
        if !reserved && !pool.is_lent(address) {
            return Err(Refusal::NotLent);
        }
        let lease = self.leases.get(&address);
        match lease {
            Some(lease) if lease.until > now && keeps_out(lease, client.hw) => {
                return Err(Refusal::Quarantined(lease.until));
            }
            Some(lease) if lease.hw != client.hw && is_live(lease, now) => {
                return Err(Refusal::Held(lease.hw));
            }
            _ => {}
        }
        match pool.offered_to(address) {
            Some(hw) if hw != client.hw => {
                let is_first = self.was_first(subnet, client.hw, address, now);
                if is_first { Ok(Claim::Offer) } else { Err(Refusal::Offered(hw)) }
            }
            offer if !reserved && offer.is_none() && self.is_foreign(subnet, client, address, now) => {
                Err(Refusal::OtherRanges)
            }
            offer => Ok(match lease {
                _ if reserved => Claim::Reservation,
                Some(lease) if lease.hw == client.hw && lease.state == LeaseState::Conflict => Claim::InUse,
                Some(lease) if lease.hw == client.hw && lease.state != LeaseState::Declined => Claim::Lease,
                _ if offer.is_some() => Claim::Offer,
                Some(lease) => Claim::Lapsed(lease.hw),
                None => Claim::Free,
            }),
        }
    }

    /// The client holds no lease of the address, and its ranges are for machines of another standing.
    fn is_foreign(&self, subnet: usize, client: Client<'_>, address: Ipv4Addr, now: Timestamp) -> bool {
        let lease = self.leases.get(&address);
        let holds = lease.is_some_and(|lease| lease.hw == client.hw && is_live(lease, now));
        let is_for = |pool: &Pool| pool.is_for(address, client.standing());
        !holds && !self.pools.get(subnet).is_some_and(is_for)
    }

    /// The reservation that this client ought to move to from the address that it has, if there is one.
    ///
    /// A reservation that another interface of the machine has or had stays away from a client with a lease of
    /// its own: the two would swap addresses for ever.
    pub fn better(&mut self, subnet: usize, client: Client<'_>, now: Timestamp) -> Option<Ipv4Addr> {
        let reserved = client.machine?.address?;
        let own = self.lease_of(subnet, client.hw)?.address;
        let moves = own != reserved
            && !self.leaves_to_sibling(subnet, client, reserved, now)
            && self.claim(subnet, client, reserved, now).is_ok();
        moves.then_some(reserved)
    }

    fn leaves_to_sibling(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        reserved: Ipv4Addr,
        now: Timestamp,
    ) -> bool {
        let siblings = self.leases.get(&reserved).is_some_and(|lease| client.is_siblings(lease));
        let own = self.lease_of(subnet, client.hw).filter(|lease| is_live(lease, now));
        let own = own.map(|lease| lease.address).filter(|own| siblings && *own != reserved);
        own.is_some_and(|own| self.claim(subnet, client, own, now).is_ok())
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
            pool.place(address, self.leases.get(&address).map(|lease| lease.until));
        }
    }

    /// Makes `address` the client's until then, and its only one in the subnet.
    pub fn bind(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        address: Ipv4Addr,
        until: Timestamp,
        now: Timestamp,
        said: Attributes<'_>,
    ) -> Result<(Claim, Vec<LeaseChange>), Refusal> {
        let claim = self.claim(subnet, client, address, now)?;
        let hw = client.hw;
        self.withdraw(subnet, hw);
        self.end_offers_of(subnet, hw, address);
        let mut changes = Vec::with_capacity(2);
        let former = self.lease_of(subnet, hw).cloned();
        if let Some(former) = former.as_ref().filter(|former| former.address != address) {
            self.drop_lease(subnet, former.address);
            changes.push(LeaseChange::Remove(former.address));
        }
        let before = self.take_lease(subnet, address).filter(|lease| lease.hw == hw);
        let mut lease = Lease {
            address,
            hw,
            state: LeaseState::Bound,
            since: before.filter(|b| !is_quarantine(b)).map_or(now, |b| b.since),
            until,
            client_id: None,
            uuid: None,
            hostname: Text::default(),
        };
        remember(&mut lease, former, said);
        changes.push(LeaseChange::Put(lease.clone()));
        self.put_lease(subnet, lease);
        Ok((claim, changes))
    }

    /// A client found somebody else on the address that it got.
    pub fn decline(&mut self, subnet: usize, hw: HwAddr, address: Ipv4Addr, now: Timestamp) -> Declined {
        self.end_what_has_ended(subnet, now);
        let Some(pool) = self.pools.get(subnet) else { return Declined::NotTheirs };
        let bound = self.leases.get(&address).filter(|l| l.hw == hw && l.state == LeaseState::Bound);
        if bound.is_none() && pool.offered_to(address) != Some(hw) {
            return Declined::NotTheirs;
        }
        let quarantines = self.may_quarantine(subnet, hw);
        self.withdraw(subnet, hw);
        let dropped = self.drop_lease(subnet, address);
        if !quarantines {
            return Declined::Dropped(dropped.map(|_| LeaseChange::Remove(address)));
        }
        Declined::Quarantined(self.quarantine(subnet, address, hw, LeaseState::Declined, now))
    }

    /// Whether there is room for another address in quarantine, by what one client did or is.
    fn may_quarantine(&self, subnet: usize, hw: HwAddr) -> bool {
        let Some(pool) = self.pools.get(subnet) else { return false };
        let is_theirs = |address: &Ipv4Addr| self.leases.get(address).is_some_and(|lease| lease.hw == hw);
        let by_this_client = pool.quarantine.iter().filter(|(_, address)| is_theirs(address)).count();
        let room = usize::try_from(pool.size() / 4).unwrap_or(usize::MAX).clamp(1, QUARANTINES_MAX);
        by_this_client < QUARANTINES_PER_CLIENT_MAX && pool.quarantine.len() < room
    }

    fn quarantine(
        &mut self,
        subnet: usize,
        address: Ipv4Addr,
        hw: HwAddr,
        state: LeaseState,
        now: Timestamp,
    ) -> LeaseChange {
        let lease = Lease {
            address,
            hw,
            state,
            since: now,
            until: now.after(QUARANTINE),
            client_id: None,
            uuid: None,
            hostname: Text::default(),
        };
        self.put_lease(subnet, lease.clone());
        LeaseChange::Put(lease)
    }

    /// A client gives its address back. It stays remembered as the client's. `None`: it is not its holder.
    pub fn release(
        &mut self,
        subnet: usize,
        hw: HwAddr,
        address: Ipv4Addr,
        now: Timestamp,
    ) -> Option<LeaseChange> {
        let bound = self.leases.get(&address).filter(|l| l.hw == hw && l.state == LeaseState::Bound)?;
        let released = Lease { state: LeaseState::Released, until: bound.until.min(now), ..bound.clone() };
        self.take_lease(subnet, address);
        self.put_lease(subnet, released.clone());
        Some(LeaseChange::Put(released))
    }

    fn note_offer(&mut self, subnet: usize, hw: HwAddr, address: Ipv4Addr, until: Timestamp) {
        self.withdraw(subnet, hw);
        let lease_end = self.leases.get(&address).map(|lease| lease.until);
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        pool.unplace(address, lease_end);
        pool.note_offer(hw, address, until);
    }

    /// Ends a lease: its address is free.
    fn drop_lease(&mut self, subnet: usize, address: Ipv4Addr) -> Option<Lease> {
        let lease = self.take_lease(subnet, address)?;
        self.pools.get_mut(subnet)?.place(address, None);
        Some(lease)
    }

    /// Takes a lease out for another one of its address.
    fn take_lease(&mut self, subnet: usize, address: Ipv4Addr) -> Option<Lease> {
        let lease = self.leases.remove(&address)?;
        let pool = self.pools.get_mut(subnet)?;
        if pool.clients.get(&lease.hw) == Some(&address) {
            pool.clients.remove(&lease.hw);
        }
        pool.unplace(address, Some(lease.until));
        Some(lease)
    }

    fn put_lease(&mut self, subnet: usize, lease: Lease) {
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        pool.unplace(lease.address, None);
        pool.place(lease.address, Some(lease.until));
        if let Some(probes) = pool.probes_mut() {
            probes.forget(lease.address);
        }
        if is_quarantine(&lease) {
            pool.quarantine.insert((lease.until, lease.address));
        }
        match lease.state {
            LeaseState::Declined => {}
            // Whoever has an address of ours without asking gets it when he asks, unless he has another.
            LeaseState::Conflict => {
                pool.clients.entry(lease.hw).or_insert(lease.address);
            }
            LeaseState::Bound | LeaseState::Released => {
                pool.clients.insert(lease.hw, lease.address);
            }
        }
        self.leases.insert(lease.address, lease);
    }

    fn end_what_has_ended(&mut self, subnet: usize, now: Timestamp) {
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        while let Some(hw) = pool.ended_offer(now) {
            let Some(address) = pool.forget_offer(hw) else { break };
            pool.place(address, self.leases.get(&address).map(|lease| lease.until));
        }
        while pool.quarantine.first().is_some_and(|(until, _)| *until <= now) {
            pool.quarantine.pop_first();
        }
        // The clock was set back: nobody declined anything in the future.
        while let Some((until, address)) =
            pool.quarantine.last().copied().filter(|(u, _)| *u > now.after(QUARANTINE))
        {
            pool.unplace(address, Some(until));
            if let Some(lease) = self.leases.get_mut(&address) {
                lease.until = now;
            }
            pool.place(address, Some(now));
        }
    }
}

/// Attributes are the last that were sent; what a stage of the boot does not send stays.
fn remember(lease: &mut Lease, former: Option<Lease>, said: Attributes<'_>) {
    if let Some(former) = former {
        (lease.client_id, lease.uuid, lease.hostname) = (former.client_id, former.uuid, former.hostname);
    }
    if let Some(id) = said.client_id.filter(|id| id.len() <= CLIENT_ID_BYTES_MAX) {
        lease.client_id = Some(id.to_vec());
    }
    lease.uuid = said.uuid.or(lease.uuid);
    if !said.hostname.is_empty() {
        lease.hostname = said.hostname.into();
    }
}

/// Somebody else was found on the address.
fn is_quarantine(lease: &Lease) -> bool {
    matches!(lease.state, LeaseState::Declined | LeaseState::Conflict)
}

/// Whether a quarantine is one for this client, too.
fn keeps_out(lease: &Lease, hw: HwAddr) -> bool {
    match lease.state {
        LeaseState::Declined => true,
        LeaseState::Conflict => lease.hw != hw,
        LeaseState::Bound | LeaseState::Released => false,
    }
}

fn is_live(lease: &Lease, now: Timestamp) -> bool {
    lease.state == LeaseState::Bound && lease.until > now
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lease => f.write_str("this machine's lease"),
            Self::Offer => f.write_str("was offered to it"),
            Self::Reservation => f.write_str("reserved for this machine"),
            Self::InUse => f.write_str("this machine was found on it"),
            Self::Free => f.write_str("free"),
            Self::Lapsed(hw) => write!(f, "the lease of {hw} has ended"),
            Self::Superseded(hw) => write!(f, "no other is left; {hw} was offered it and has not taken it"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLent => f.write_str("not in a range"),
            Self::OtherRanges => f.write_str("in ranges that this machine gets nothing of"),
            Self::Reserved => f.write_str("reserved for another machine"),
            Self::Held(hw) => write!(f, "{hw} has it"),
            Self::Offered(hw) => write!(f, "offered to {hw}"),
            Self::Quarantined(until) => write!(f, "somebody else was found on it; not lent until {until}"),
        }
    }
}
