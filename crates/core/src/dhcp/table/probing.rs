//! Probes of addresses before they are offered for the first time: the table says which, somebody sends them and
//! tells what came back.

use std::net::Ipv4Addr;

use bootlace_wire::HwAddr;

use super::super::pool::Pool;
use super::super::{Lease, LeaseChange, LeaseState};
use super::{Claim, LeaseTable, is_live, is_quarantine};
use crate::config::Cidr;
use crate::model::Timestamp;

/// Whether a stranger may be on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// As far as anybody can tell nobody is.
    Given,
    /// A probe will tell. The address is kept for the client.
    Awaited,
}

/// Somebody was found on an address that nobody has leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: Ipv4Addr,
    /// Its quarantine; `None` when too much is in quarantine already and the address is lent on.
    pub change: Option<LeaseChange>,
}

impl LeaseTable {
    /// From now on the caller probes the free addresses of these subnets: see [`LeaseTable::due_probes`].
    pub fn watch(&mut self, subnets: Vec<Cidr>) {
        self.watched = subnets;
        for pool in &mut self.pools {
            if self.watched.contains(&pool.cidr()) {
                pool.watch();
            }
        }
    }

    /// Addresses to probe now, at most `room`: what somebody waits for, then what will be needed next. They are
    /// named until [`LeaseTable::probed`].
    pub fn due_probes(&mut self, room: usize) -> Vec<Ipv4Addr> {
        let mut due = Vec::new();
        for probes in self.pools.iter_mut().filter_map(Pool::probes_mut) {
            due.extend(probes.due(room - due.len()));
        }
        due
    }

    /// A probe of this address has left: an answer counts for [`super::super::PROBE_WAIT`].
    pub fn probed(&mut self, address: Ipv4Addr, now: Timestamp) {
        if let Some(probes) = self.pool_of(address).and_then(|at| self.pools[at].probes_mut()) {
            probes.asked(address, now);
        }
    }

    /// Whether an answer about this address depends on a probe that is on its way.
    pub fn awaits_probe(&self, address: Ipv4Addr) -> bool {
        let pool = self.pool_of(address).and_then(|at| self.pools[at].probes());
        pool.is_some_and(|probes| probes.is_awaited(address))
    }

    /// Somebody answered a probe. Whoever was offered the address may have it already; anybody else is a stranger,
    /// and the address is lent to nobody but him for [`super::QUARANTINE`].
    pub fn found(&mut self, address: Ipv4Addr, hw: HwAddr, now: Timestamp) -> Option<Conflict> {
        let subnet = self.pool_of(address)?;
        let pool = &mut self.pools[subnet];
        if !pool.probes()?.is_asked(address) {
            return None;
        }
        let offered_to = pool.offered_to(address);
        let lease = self.leases.get(&address);
        if offered_to == Some(hw) || lease.is_some_and(|lease| is_live(lease, now)) {
            pool.prove(address, now);
            return None;
        }
        let quarantines = self.may_quarantine(subnet, hw);
        let change = if quarantines {
            if let Some(client) = offered_to {
                self.withdraw(subnet, client);
            }
            self.drop_lease(subnet, address);
            Some(self.quarantine(subnet, address, hw, LeaseState::Conflict, now))
        } else {
            self.pools[subnet].prove(address, now);
            None
        };
        Some(Conflict { address, change })
    }

    /// Probes that went unanswered for long enough prove their addresses.
    pub fn conclude_probes(&mut self, now: Timestamp) {
        self.pools.iter_mut().for_each(|pool| pool.conclude_probes(now));
    }

    /// When [`LeaseTable::conclude_probes`] has something to do next.
    pub fn probe_deadline(&self) -> Option<Timestamp> {
        self.pools.iter().filter_map(|pool| pool.probes()?.deadline()).min()
    }

    fn pool_of(&self, address: Ipv4Addr) -> Option<usize> {
        self.pools.iter().position(|pool| pool.cidr().contains(address))
    }

    /// An address that nobody ever had, that a stranger was found on, or that was somebody else's when the server was not
    /// there, needs a probe, if anybody probes here.
    pub(super) fn prove_or_want(
        &mut self,
        subnet: usize,
        hw: HwAddr,
        address: Ipv4Addr,
        claim: Claim,
    ) -> Proof {
        let lease = self.leases.get(&address);
        let started = self.started.unwrap_or(Timestamp(i64::MIN));
        let is_watched = |lease: &Lease| !is_quarantine(lease) && lease.noted >= started;
        let is_known = lease.is_some_and(|lease| lease.hw == hw || is_watched(lease));
        let Some(probes) = self.pools.get_mut(subnet).and_then(Pool::probes_mut).filter(|_| !is_known) else {
            return Proof::Given;
        };
        if probes.is_proven(address) {
            return Proof::Given;
        }
        if claim == Claim::Free && !probes.is_awaited(address) {
            probes.ran_dry();
        }
        probes.want(address);
        Proof::Awaited
    }
}
