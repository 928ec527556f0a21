//! What becomes of leases: granted, declined, given back.

use std::net::Ipv4Addr;

use bootlace_wire::HwAddr;

use super::super::{AlmostFull, Lease, LeaseChange, LeaseState};
use super::{
    Claim, Client, LeaseTable, QUARANTINE, QUARANTINES_MAX, QUARANTINES_PER_CLIENT_MAX, Refusal,
    is_quarantine,
};
use crate::model::{Text, Timestamp, Uuid};

/// Longest client identifier that is kept: what one option can carry.
const CLIENT_ID_BYTES_MAX: usize = 255;

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
            noted: now,
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

    /// Whether most addresses of a subnet are held by now. It is told once, until some are free again: to be asked
    /// after [`LeaseTable::bind`].
    pub fn almost_full(&mut self, subnet: usize) -> Option<AlmostFull> {
        self.pools.get_mut(subnet)?.almost_full()
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
    pub(super) fn may_quarantine(&self, subnet: usize, hw: HwAddr) -> bool {
        let Some(pool) = self.pools.get(subnet) else { return false };
        let is_theirs = |address: &Ipv4Addr| self.leases.get(address).is_some_and(|lease| lease.hw == hw);
        let by_this_client = pool.quarantine.iter().filter(|(_, address)| is_theirs(address)).count();
        let room = usize::try_from(pool.size() / 4).unwrap_or(usize::MAX).clamp(1, QUARANTINES_MAX);
        by_this_client < QUARANTINES_PER_CLIENT_MAX && pool.quarantine.len() < room
    }

    pub(super) fn quarantine(
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
            noted: now,
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
        let released = Lease {
            state: LeaseState::Released,
            noted: now,
            until: bound.until.min(now),
            ..Lease::clone(bound)
        };
        self.take_lease(subnet, address);
        self.put_lease(subnet, released.clone());
        Some(LeaseChange::Put(released))
    }

    /// Ends a lease: its address is free.
    pub(super) fn drop_lease(&mut self, subnet: usize, address: Ipv4Addr) -> Option<Lease> {
        let lease = self.take_lease(subnet, address)?;
        self.pools.get_mut(subnet)?.place(address, None);
        Some(lease)
    }

    /// Takes a lease out for another one of its address.
    fn take_lease(&mut self, subnet: usize, address: Ipv4Addr) -> Option<Lease> {
        let lease = *self.leases.remove(&address)?;
        let pool = self.pools.get_mut(subnet)?;
        if pool.clients.get(&lease.hw) == Some(&address) {
            pool.clients.remove(&lease.hw);
        }
        pool.unplace(address, Some(&lease));
        pool.forget_lease(&lease);
        Some(lease)
    }

    fn put_lease(&mut self, subnet: usize, lease: Lease) {
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        pool.unplace(lease.address, None);
        pool.place(lease.address, Some(&lease));
        pool.note_lease(&lease);
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
        self.leases.insert(lease.address, Box::new(lease));
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
