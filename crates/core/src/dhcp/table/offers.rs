//! Offers, and how they are taken back when no address is left that nobody wants: see [`super::super::superseded`].

use std::net::Ipv4Addr;

use bootlace_wire::HwAddr;

use super::super::LeaseState;
use super::super::pool::{OFFER_HOLD, Offer};
use super::{Claim, Client, Found, LeaseTable, Proof, is_live};
use crate::config::Standing;
use crate::model::Timestamp;

impl LeaseTable {
    /// Keeps an address for a client.
    pub(super) fn hold(
        &mut self,
        subnet: usize,
        client: Client<'_>,
        address: Ipv4Addr,
        claim: Claim,
        now: Timestamp,
    ) -> Proof {
        let until = now.after(OFFER_HOLD);
        if self.outlasts(subnet, client.hw, address, until) {
            // Nobody else can get it meanwhile: a machine that starts again needs no offer beside its lease.
            self.withdraw(subnet, client.hw);
        } else {
            self.note_offer(subnet, client.hw, Offer { address, until, circuit: client.circuit });
            if let (Some(pool), Some(machine)) = (self.pools.get_mut(subnet), client.machine) {
                pool.note_known(client.hw, &machine.name);
            }
        }
        self.prove_or_want(subnet, client.hw, address, claim)
    }

    /// Whether `address` is the client's by a lease that is good at `until`.
    fn outlasts(&self, subnet: usize, hw: HwAddr, address: Ipv4Addr, until: Timestamp) -> bool {
        let own = self.lease_of(subnet, hw).filter(|lease| lease.address == address);
        own.is_some_and(|own| own.state == LeaseState::Bound && own.until >= until)
    }

    /// When [`LeaseTable::offer`] has nothing: takes back an offer of the client's share, for the client: the oldest, of
    /// a circuit that has more than half of them before all others. None of a machine of the config, and no address with
    /// a lease.
    pub fn supersede(&mut self, subnet: usize, client: Client<'_>, now: Timestamp) -> Option<Found> {
        let pool = self.pools.get(subnet)?;
        let is_unclaimed = |address: &Ipv4Addr| !self.leases.get(address).is_some_and(|l| is_live(l, now));
        let (hw, offer) = pool
            .offers_to_take_back()
            .filter(|(hw, _)| *hw != client.hw && pool.standing_of(*hw) == Standing::Unknown)
            .find(|(_, offer)| {
                pool.is_of_share(client.share, offer.address) && is_unclaimed(&offer.address)
            })?;
        self.withdraw(subnet, hw);
        self.pools.get_mut(subnet)?.superseded.note(hw, offer);
        let claim = Claim::Superseded(hw);
        let proof = self.hold(subnet, client, offer.address, claim, now);
        Some(Found { address: offer.address, claim, proof, refused: Vec::new() })
    }

    /// The client takes the address: whoever else was offered it has come too late.
    pub(super) fn end_offers_of(&mut self, subnet: usize, hw: HwAddr, address: Ipv4Addr) {
        let Some(pool) = self.pools.get_mut(subnet) else { return };
        pool.superseded.forget(hw);
        if let Some(late) = pool.offered_to(address) {
            self.withdraw(subnet, late);
        }
    }

    /// The client was offered this address before somebody else was, who has not taken it.
    pub(super) fn was_first(&self, subnet: usize, hw: HwAddr, address: Ipv4Addr, now: Timestamp) -> bool {
        self.pools.get(subnet).is_some_and(|pool| pool.superseded.has(hw, address, now))
    }
}
