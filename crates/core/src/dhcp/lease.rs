//! What is remembered of an address.

use std::net::Ipv4Addr;

use bootlace_wire::HwAddr;

use super::classify::telling_id;
use crate::model::{ClientId, Facts, Text, Timestamp, Uuid, Var};

/// An address and who holds or held it. Offers are not leases: they live in memory only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address; a store holds one lease of each.
    pub address: Ipv4Addr,
    /// The holder, who declined the address, or who was found on it.
    pub hw: HwAddr,
    /// Held, given back or unusable.
    pub state: LeaseState,
    /// When it first became this holder's.
    pub since: Timestamp,
    /// When it became or was confirmed as `state` last: granted or renewed, given back, found in use.
    pub noted: Timestamp,
    /// Until when `state` holds; [`Timestamp::NEVER`] for infinite leases.
    pub until: Timestamp,
    /// The client identifier (option 61) last sent with it: an attribute, never the key.
    pub client_id: Option<Vec<u8>>,
    /// The UUID (option 97) last sent with it.
    pub uuid: Option<Uuid>,
    /// The host name (option 12) last sent with it.
    pub hostname: Text,
}

impl Lease {
    /// What it remembers of its holder, beside the hardware address, that can tell which machine it is.
    pub fn told(&self) -> Told {
        let uuid = self.uuid.map(|uuid| [&[0][..], &uuid.0].concat());
        let client_id = self.client_id.as_deref().and_then(|id| telling_id(id, self.hw, uuid.as_deref()));
        Told { client_id, uuid: self.uuid }
    }
}

/// What a client tells once and not at every stage of its boot: its machine stays known by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Its client identifier, unless that says its hardware address or its UUID.
    pub client_id: Option<ClientId>,
    /// Its UUID.
    pub uuid: Option<Uuid>,
}

impl Told {
    /// There is nothing to be known by.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What `facts` do not say, unless they say it all.
    pub fn missing_in(mut self, facts: &Facts) -> Option<Self> {
        self.client_id = self.client_id.filter(|_| facts.get(Var::ClientId).is_none());
        self.uuid = self.uuid.filter(|_| facts.get(Var::Uuid).is_none());
        (!self.is_empty()).then_some(self)
    }

    /// Says it in `facts`.
    pub fn tell(&self, facts: &mut Facts) {
        if let Some(id) = &self.client_id {
            facts.set(Var::ClientId, id.to_string().as_str());
        }
        if let Some(uuid) = self.uuid {
            facts.set(Var::Uuid, uuid.to_string().as_str());
        }
    }
}

/// The state of a [`Lease`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseState {
    /// Held until `until`; after that still the holder's, but others may take it, oldest first.
    Bound,
    /// Given back; remembered, so that its holder gets it again.
    Released,
    /// The holder found somebody else on it (DHCPDECLINE): lent to nobody until `until`.
    Declined,
    /// `hw` answered a probe of it, though it has no lease: lent to nobody else until `until`.
    Conflict,
}

/// What a decision changes of the leases. It is on stable storage before the answer leaves (invariant 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseChange {
    /// This is now the lease of its address.
    Put(Lease),
    /// The address has no lease any more.
    Remove(Ipv4Addr),
}
