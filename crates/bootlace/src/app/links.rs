//! The served interfaces while the server runs: one that goes down, gets other addresses or is made anew under its
//! name is served as it is now.
//!
//! No socket is opened for that but HTTP's, whose listeners belong to addresses. The others belong to an interface
//! and are bound to it again when its index has changed, with the port and the buffers that they have.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use bootlace_core::config::{Cidr, Config};

use super::bind::Bound;
use crate::net::{Interface, follow_interface, follow_with_solicitations};
use crate::services::dhcp;

/// All served interfaces.
pub(super) struct Links(Vec<Link>);

/// One of them.
struct Link {
    /// As it was seen last; without addresses while it is gone.
    now: Interface,
    presence: Presence,
    /// Those of DHCP and TFTP.
    sockets: Vec<OwnedFd>,
    solicitations: Option<UdpSocket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// The sockets are bound to it.
    Here,
    /// There is none of this name, or it could not be bound to.
    Gone,
}

impl Links {
    /// Takes a second handle of each socket that may have to be bound again.
    pub(super) fn of(bound: &Bound) -> io::Result<Self> {
        let links = bound.interfaces.iter().enumerate().map(|(at, interface)| {
            let ports = bound.dhcp.iter().flat_map(|(ports, _)| ports);
            let here = ports.filter(|port| port.interface.name == interface.name);
            let dhcp = here.filter_map(dhcp::Port::bound_by_name);
            let tftp = bound.tftp.get(at).map(|listener| listener.socket.as_fd());
            let sockets = dhcp.chain(tftp).map(|fd| fd.try_clone_to_owned());
            let solicitations = bound.solicitations.iter().find(|(name, _)| *name == interface.name);
            Ok(Link {
                now: interface.clone(),
                presence: Presence::Here,
                sockets: sockets.collect::<io::Result<_>>()?,
                solicitations: solicitations.map(|(_, socket)| socket.try_clone()).transpose()?,
            })
        });
        Ok(Self(links.collect::<io::Result<_>>()?))
    }

    /// Follows what there is now; returns the interfaces that are not as they were.
    pub(super) fn follow(&mut self, all: &BTreeMap<String, Interface>) -> Vec<Interface> {
        self.0.iter_mut().filter_map(|link| link.follow(all.get(&link.now.name))).collect()
    }

    /// Where HTTP listens on `port`.
    pub(super) fn http_addresses(&self, port: u16) -> Vec<SocketAddr> {
        let addresses = self.0.iter().flat_map(|link| &link.now.addresses);
        addresses.map(|own| SocketAddrV4::new(own.ip, port).into()).collect()
    }

    /// The networks whose machines are served: those of the interfaces and those that relays stand before.
    pub(super) fn served(&self, config: &Config) -> Vec<Cidr> {
        served(self.0.iter().map(|link| &link.now), config)
    }
}

/// The networks of the interfaces and of the config.
pub(super) fn served<'a>(interfaces: impl IntoIterator<Item = &'a Interface>, config: &Config) -> Vec<Cidr> {
    let addresses = interfaces.into_iter().flat_map(|interface| &interface.addresses);
    let networks = addresses.filter_map(|address| Cidr::new(address.ip, address.prefix));
    networks.chain(config.dhcp.subnets.iter().map(|subnet| subnet.cidr)).collect()
}

impl Link {
    fn follow(&mut self, found: Option<&Interface>) -> Option<Interface> {
        let Some(found) = found else { return self.lose() };
        if self.presence == Presence::Here && *found == self.now {
            return None;
        }
        if self.presence == Presence::Gone || found.index != self.now.index {
            if let Err(error) = self.bind_to(found) {
                tracing::error!(%error, interface = found.name, "interface cannot be served again");
                return self.lose();
            }
            self.presence = Presence::Here;
            let (index, addresses) = (found.index, addresses(found));
            tracing::info!(interface = found.name, index, addresses, "interface is back and served again");
        } else if found.addresses != self.now.addresses {
            tracing::info!(
                interface = found.name,
                addresses = addresses(found),
                "interface has other addresses"
            );
        }
        self.now = found.clone();
        Some(found.clone())
    }

    fn lose(&mut self) -> Option<Interface> {
        if self.presence == Presence::Gone {
            return None;
        }
        self.presence = Presence::Gone;
        self.now.addresses.clear();
        tracing::warn!(interface = self.now.name, "interface is gone: it is served again when it returns");
        Some(self.now.clone())
    }

    fn bind_to(&self, interface: &Interface) -> io::Result<()> {
        for socket in &self.sockets {
            follow_interface(socket.as_fd(), &interface.name)?;
        }
        let Some(socket) = &self.solicitations else { return Ok(()) };
        if let Err(error) = follow_with_solicitations(socket.as_fd(), &interface.name, interface.index) {
            tracing::info!(%error, interface = interface.name, "iPXE will wait for IPv6 routers");
        }
        Ok(())
    }
}

fn addresses(interface: &Interface) -> String {
    let addresses = interface.addresses.iter().map(|own| format!("{}/{}", own.ip, own.prefix));
    addresses.collect::<Vec<_>>().join(",")
}
