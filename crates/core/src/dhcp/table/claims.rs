//! By what right an address can be a client's, or why not.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;

use bootlace_wire::HwAddr;

use super::super::pool::Pool;
use super::super::stations::Voice;
use super::super::{Lease, LeaseState};
use super::{Client, LeaseTable, is_live};
use crate::model::Timestamp;

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
    /// Another station speaks for the client, and such clients have what they get.
    SpokenFor,
}

impl LeaseTable {
    /// Whether `address` can be this client's, and by what right.
    pub fn claim(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        address: Ipv4Addr,
        now: Timestamp,
    ) -> Result<Claim, Refusal> {
        let claim = self.right(subnet, client, address, now)?;
        let Some(pool) = self.pools.get(subnet).filter(|_| client.voice == Voice::Another) else {
            return Ok(claim);
        };
        let counts_already = match claim {
            Claim::Lease => self.leases.get(&address).is_some_and(|lease| is_live(lease, now)),
            // Its own, or that of who was offered the address after it, in whose place it comes.
            Claim::Offer => {
                let offer = pool.offered_to(address).and_then(|hw| pool.offer_of(hw));
                offer.is_some_and(|offer| offer.voice == Voice::Another)
            }
            Claim::Reservation | Claim::InUse => true,
            Claim::Free | Claim::Lapsed(_) | Claim::Superseded(_) => false,
        };
        if counts_already || !pool.is_their_share_used_up() { Ok(claim) } else { Err(Refusal::SpokenFor) }
    }

    /// By what right an address can be a client's, whoever speaks for it.
    fn right(
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
    /// its own: the two would swap addresses for ever. Unless that one is long gone: it may have been replaced.
    pub fn better(&mut self, subnet: usize, client: Client<'_>, now: Timestamp) -> Option<Ipv4Addr> {
        let reserved = client.machine?.address?;
        let own = self.lease_of(subnet, client.hw)?.address;
        let moves = own != reserved
            && !self.leaves_to_sibling(subnet, client, reserved, now)
            && self.claim(subnet, client, reserved, now).is_ok();
        moves.then_some(reserved)
    }

    pub(super) fn leaves_to_sibling(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        reserved: Ipv4Addr,
        now: Timestamp,
    ) -> bool {
        let siblings = self.leases.get(&reserved).filter(|lease| client.is_siblings(lease));
        let siblings = siblings.is_some_and(|lease| keeps_from_siblings(lease, now));
        let own = self.lease_of(subnet, client.hw).filter(|lease| is_live(lease, now));
        let own = own.map(|lease| lease.address).filter(|own| siblings && *own != reserved);
        own.is_some_and(|own| self.claim(subnet, client, own, now).is_ok())
    }
}

/// Whether a quarantine is one for this client, too.
fn keeps_out(lease: &Lease, hw: HwAddr) -> bool {
    match lease.state {
        LeaseState::Declined => true,
        LeaseState::Conflict => lease.hw != hw,
        LeaseState::Bound | LeaseState::Released => false,
    }
}

/// Whether the other interfaces of the holder's machine leave the address to it: while its lease lives, and for as long
/// again after that. An interface that has not come back by then was replaced.
fn keeps_from_siblings(lease: &Lease, now: Timestamp) -> bool {
    lease.until.after(lease.until.since(lease.noted)) > now
}

impl Claim {
    /// The same for a person.
    pub fn words(self) -> Cow<'static, str> {
        match self {
            Self::Lease => "this machine's lease".into(),
            Self::Offer => "was offered to it".into(),
            Self::Reservation => "reserved for this machine".into(),
            Self::InUse => "this machine was found on it".into(),
            Self::Free => "free".into(),
            Self::Lapsed(hw) => format!("the lease of {hw} has ended").into(),
            Self::Superseded(hw) => {
                format!("no other is left; {hw} was offered it and has not taken it").into()
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLent => f.write_str("not in a range"),
            Self::SpokenFor => f.write_str("another station speaks for this machine, as for too many"),
            Self::OtherRanges => f.write_str("in ranges that this machine gets nothing of"),
            Self::Reserved => f.write_str("reserved for another machine"),
            Self::Held(hw) => write!(f, "{hw} has it"),
            Self::Offered(hw) => write!(f, "offered to {hw}"),
            Self::Quarantined(until) => write!(f, "somebody else was found on it; not lent until {until}"),
        }
    }
}
