//! Which relays are believed.
//!
//! A relay decides which subnet its client gets an address of, and its word is all there is: anybody who can
//! send a datagram to port 67 can claim to be one. So a relay must be one that the config knows: by `relays` of
//! `[dhcp]` or, when that is not written, by standing in a subnet that is served.

use std::net::Ipv4Addr;

use bootlace_wire::dhcp::Message;

use super::Query;
use crate::config::{DhcpConfig, Relays};

/// Why a message of this relay gets no answer; `None` also where there is no relay.
pub(super) fn refusal(dhcp: &DhcpConfig, query: &Query<'_>) -> Option<String> {
    let relay = query.message.giaddr;
    if relay.is_unspecified() {
        return None;
    }
    match &dhcp.relays {
        Relays::Listed(networks) if networks.iter().any(|network| network.contains(relay)) => None,
        Relays::Listed(_) => Some(format!("relay {relay} is not in `relays` of [dhcp]")),
        Relays::OfSubnets if dhcp.subnets.iter().any(|subnet| subnet.cidr.contains(relay)) => None,
        Relays::OfSubnets => {
            let fix = "add the subnet; or the relay to `relays` of [dhcp], if it selects others";
            Some(format!("relay {relay} stands in no [[dhcp.subnet]]: {fix}"))
        }
    }
}

/// The address that says which link the client is on: by link selection (RFC 3527), by subnet selection
/// (RFC 3011) or by the relay's own place, in this order.
pub(super) fn link(message: &Message) -> Ipv4Addr {
    let selected = message.relay_info().and_then(|info| info.link_selection());
    selected.or_else(|| message.subnet_selection()).unwrap_or(message.giaddr)
}

/// The client's wish for a subnet was followed: only then is it sent back (RFC 3011 section 2).
pub(super) fn follows_subnet_selection(message: &Message) -> bool {
    let relayed = !message.giaddr.is_unspecified();
    relayed && message.relay_info().is_none_or(|info| info.link_selection().is_none())
}
