//! Which subnet a client is in, and who we are there.

use std::net::Ipv4Addr;

use super::{Kind, Query, Request, relays};
use crate::config::{Cidr, Config, Subnet};

/// A subnet that a client can be in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Net<'a> {
    /// Its place in the config and in the lease table.
    pub(super) index: usize,
    pub(super) subnet: &'a Subnet,
    /// Who we are to its clients (option 54).
    pub(super) id: Ipv4Addr,
    /// Where its clients fetch files: ours even where a relay wants to be the server in their eyes.
    pub(super) server: Ipv4Addr,
}

impl Net<'_> {
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.subnet.cidr.contains(address)
    }
}

/// The subnets that a client can be in: one, unless an interface serves several.
///
/// A relay says where the client is. Without one, a client that asks us alone is where its address is, since it
/// may be behind a router; any other is where the interface is, whatever it says of itself.
pub(super) fn candidates<'a>(config: &'a Config, query: &Query<'_>) -> Vec<Net<'a>> {
    let message = query.message;
    let place = if message.giaddr.is_unspecified() {
        match query.kind {
            Kind::Request(Request::Renewing(address)) | Kind::Release(address) => Some(address),
            Kind::Inform(address) if !query.received.is_broadcast() => Some(address),
            _ => None,
        }
    } else {
        Some(relays::link(message))
    };
    let is_here = |subnet: &Subnet| match place {
        Some(address) => subnet.cidr.contains(address),
        None => query.received.local.iter().any(|local| touches(subnet.cidr, *local)),
    };
    let nets = config.dhcp.subnets.iter().enumerate().filter(|(_, subnet)| is_here(subnet));
    nets.filter_map(|(index, subnet)| {
        let server = server(config, subnet, query)?;
        Some(Net { index, subnet, id: relay_says(query).unwrap_or(server), server })
    })
    .collect()
}

/// The interface is in the subnet, or in a network that holds it.
pub(super) fn touches(subnet: Cidr, (address, prefix): (Ipv4Addr, u8)) -> bool {
    let around = || Cidr::new(address, prefix).is_some_and(|local| local.contains(subnet.network()));
    subnet.contains(address) || around()
}

/// The configured address; else the one that was asked, when it is ours; else the interface's in the subnet;
/// else any of the interface: a relay can reach it.
fn server(config: &Config, subnet: &Subnet, query: &Query<'_>) -> Option<Ipv4Addr> {
    let configured = || subnet.server.or(config.server);
    let local = || query.received.local.iter().map(|(address, _)| *address);
    let asked = || local().find(|address| *address == query.received.destination);
    let inside = || local().find(|address| subnet.cidr.contains(*address));
    configured().or_else(asked).or_else(inside).or_else(|| local().next())
}

/// A relay may want to be the server in its clients' eyes (RFC 5107).
fn relay_says(query: &Query<'_>) -> Option<Ipv4Addr> {
    let relayed = !query.message.giaddr.is_unspecified();
    let address = query.message.relay_info().filter(|_| relayed)?.server_id_override();
    address.filter(|address| !address.is_unspecified())
}

/// Whether a client that names this server means us.
pub(super) fn is_us(config: &Config, query: &Query<'_>, server: Ipv4Addr) -> bool {
    is_own(config, &query.received.local, server) || relay_says(query) == Some(server)
}

/// Whether an address is one that clients know us by, or one of the interface.
pub(super) fn is_own(config: &Config, local: &[(Ipv4Addr, u8)], server: Ipv4Addr) -> bool {
    let configured = config.dhcp.subnets.iter().filter_map(|subnet| subnet.server).chain(config.server);
    configured.chain(local.iter().map(|(address, _)| *address)).any(|own| own == server)
}
