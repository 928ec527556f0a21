//! Where DHCP messages come in and answers leave.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};

use bootlace_core::dhcp::{Destination, Reply, Service};
use bootlace_wire::Mac;
use bootlace_wire::dhcp::{CLIENT_PORT, Message, PXE_PORT, SERVER_PORT, describe};
use bootlace_wire::frame::{parse_udp_frame, udp_frame};

use crate::net::{Arrived, Datagram, DatagramSocket, DhcpTap, Frame, Interface};

/// A way in on a served interface.
pub struct Port {
    /// Whose machines it serves, as it is now.
    pub interface: Interface,
    /// The link that it is bound to: that interface, or one that stands in for it.
    pub(super) place: Place,
    /// What listens there.
    pub ear: Ear,
}

/// Where a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the interface that it serves.
    Interface,
    /// On a link of `bootlace probe --local` instead, which has no addresses of its own.
    StandIn,
}

/// What listens on an interface.
pub enum Ear {
    /// Port 67, as the network's DHCP server.
    Server(DatagramSocket),
    /// What is sent to port 67, beside another server that may have the port.
    Proxy(DhcpTap),
    /// Port 4011, which a proxy's offers name.
    BootServer(DatagramSocket),
    /// What other servers send to clients on port 68.
    Watch(DhcpTap),
}

/// A message as it came.
pub(super) struct Heard<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) source: SocketAddrV4,
    pub(super) destination: Ipv4Addr,
    /// The station that sent the frame: the client, its relay, or the router before that.
    pub(super) station: Option<Mac>,
}

impl Port {
    /// A socket that is there already, on the interface.
    pub fn on(interface: &Interface, ear: Ear) -> Self {
        Self { interface: interface.clone(), place: Place::Interface, ear }
    }

    /// The DHCP server's port of an interface.
    pub fn server(interface: &Interface) -> io::Result<Self> {
        let socket = DatagramSocket::bind_interface(&interface.name, SERVER_PORT)?;
        Ok(Self::on(interface, Ear::Server(socket)))
    }

    /// A proxy's ear for requests to the network's DHCP server.
    pub fn proxy(interface: &Interface) -> io::Result<Self> {
        Ok(Self::on(interface, Ear::Proxy(DhcpTap::bind(interface.index, SERVER_PORT)?)))
    }

    /// An ear for what other servers answer.
    pub fn watch(interface: &Interface) -> io::Result<Self> {
        Ok(Self::on(interface, Ear::Watch(DhcpTap::bind(interface.index, CLIENT_PORT)?)))
    }

    /// A proxy's port for firmware that its offers send there.
    pub fn boot_server(interface: &Interface) -> io::Result<Self> {
        let socket = DatagramSocket::bind_interface(&interface.name, PXE_PORT)?;
        Ok(Self::on(interface, Ear::BootServer(socket)))
    }

    /// The port, which is bound to another link, for machines that are served as if they were behind `interface`.
    #[must_use]
    pub fn standing_in_for(self, interface: &Interface) -> Self {
        let Interface { index, mac, mtu, .. } = self.interface;
        let mtu = mtu.min(interface.mtu);
        let interface = Interface { index, mac, mtu, ..interface.clone() };
        Self { interface, place: Place::StandIn, ear: self.ear }
    }

    /// Whether UDP port 67 of the interface is this program's.
    pub(super) fn is_server(&self) -> bool {
        matches!(self.ear, Ear::Server(_))
    }

    /// The interface has changed. A tap hears by the interface's index; sockets are bound again by name elsewhere.
    pub(super) fn relink(&mut self, now: &Interface) {
        let tap = match &mut self.ear {
            Ear::Proxy(tap) => Some((tap, SERVER_PORT)),
            Ear::Watch(tap) => Some((tap, CLIENT_PORT)),
            Ear::Server(_) | Ear::BootServer(_) => None,
        };
        if let Some((tap, port)) = tap.filter(|_| self.interface.index != now.index) {
            match DhcpTap::bind(now.index, port) {
                Ok(new) => *tap = new,
                Err(error) => {
                    tracing::warn!(%error, interface = now.name, "cannot hear DHCP messages any more");
                }
            }
        }
        self.interface = now.clone();
    }

    /// The socket that has to be bound again when the interface has returned with another index.
    pub fn bound_by_name(&self) -> Option<BorrowedFd<'_>> {
        match &self.ear {
            Ear::Server(socket) | Ear::BootServer(socket) => Some(socket.as_fd()),
            Ear::Proxy(_) | Ear::Watch(_) => None,
        }
    }

    pub(super) fn service(&self) -> Service {
        match self.ear {
            Ear::Server(_) | Ear::Proxy(_) | Ear::Watch(_) => Service::Dhcp,
            Ear::BootServer(_) => Service::BootServer,
        }
    }

    /// What arrived, without its frame; nothing when the frame is none.
    pub(super) fn hear<'a>(&self, arrived: &Arrived<'a>) -> Option<Heard<'a>> {
        match self.ear {
            Ear::Server(_) | Ear::BootServer(_) => Some(Heard {
                bytes: arrived.bytes,
                source: arrived.source,
                destination: arrived.destination,
                station: None,
            }),
            // Its checksum is not looked at: virtual links leave it to a card that is not there.
            Ear::Proxy(_) | Ear::Watch(_) => parse_udp_frame(arrived.bytes).ok().map(|datagram| Heard {
                bytes: datagram.payload,
                source: datagram.src,
                destination: *datagram.dst.ip(),
                station: Some(datagram.src_mac),
            }),
        }
    }

    /// The number of datagrams that left.
    pub(super) fn send(&self, datagrams: &[Datagram<'_>]) -> io::Result<usize> {
        match &self.ear {
            Ear::Server(socket) | Ear::BootServer(socket) => socket.send(datagrams),
            // It has no port to send from.
            Ear::Proxy(_) | Ear::Watch(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.ear {
            Ear::Server(socket) | Ear::BootServer(socket) => socket.as_fd(),
            Ear::Proxy(tap) | Ear::Watch(tap) => tap.as_fd(),
        }
    }
}

/// A reply as bytes, and where they go.
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    to: To,
    source: Option<Ipv4Addr>,
    /// What the log says when it is sent; only where somebody wants that.
    described: Option<(Destination, String)>,
}

enum To {
    Datagram(SocketAddrV4),
    /// `bytes` is a whole frame.
    Frame,
}

impl Outgoing {
    /// `station` is who sent the frame of the request, where only that is known of the way back; `asked` is whom the
    /// request was sent to.
    pub(super) fn new(reply: &Reply, port: &Port, station: Option<Mac>, asked: Ipv4Addr) -> Self {
        let interface = &port.interface;
        let is_own = |ip: &Ipv4Addr| interface.addresses.iter().any(|own| own.ip == *ip);
        // A relay may be the server in its clients' eyes (RFC 5107): then it is answered by whom it asked.
        let source = reply.message.server_id().filter(is_own).or(Some(asked).filter(is_own));
        let source = source.or_else(|| interface.addresses.first().map(|own| own.ip));
        let payload = reply.message.encode(reply.limit).bytes;
        let (bytes, to) = wrap(payload, reply.destination, port, station, source);
        let described = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (reply.destination, describe::describe(&reply.message)));
        Self { bytes, to, source, described }
    }

    /// Tells the log that it is sent now.
    pub(super) fn log(&self) {
        if let Some((peer, message)) = &self.described {
            tracing::debug!(%peer, "DHCP packet sent\n{message}");
        }
    }

    pub(super) fn datagram(&self, interface: &Interface) -> Option<Datagram<'_>> {
        let To::Datagram(to) = self.to else { return None };
        Some(Datagram { bytes: &self.bytes, to, from: self.source, ifindex: interface.index })
    }

    pub(super) fn frame(&self, interface: &Interface) -> Option<Frame<'_>> {
        matches!(self.to, To::Frame).then_some(Frame { bytes: &self.bytes, ifindex: interface.index })
    }
}

/// The bytes of a reply in whatever goes the way to its destination.
fn wrap(
    payload: Vec<u8>,
    destination: Destination,
    port: &Port,
    station: Option<Mac>,
    source: Option<Ipv4Addr>,
) -> (Vec<u8>, To) {
    let broadcast = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);
    let (Some(own), Some(from)) = (port.interface.mac, source) else {
        // An interface without Ethernet addresses has no frames to build: everybody hears a broadcast.
        let to = match destination {
            Destination::UnicastHw { .. } | Destination::Broadcast => broadcast,
            Destination::Relay(to) | Destination::UnicastIp(to) => to,
        };
        return (payload, To::Datagram(to));
    };
    let frame = |hw, to| (udp_frame(hw, own, SocketAddrV4::new(from, SERVER_PORT), to, &payload), To::Frame);
    // A tap has no port to send from: all that it answers goes out as frames.
    match (destination, &port.ear) {
        (Destination::UnicastHw { ip, hw }, _) => frame(hw, SocketAddrV4::new(ip, CLIENT_PORT)),
        (Destination::Broadcast, Ear::Proxy(_)) => frame(Mac::BROADCAST, broadcast),
        (Destination::Relay(to) | Destination::UnicastIp(to), Ear::Proxy(_)) => {
            frame(station.unwrap_or(Mac::BROADCAST), to)
        }
        (Destination::Broadcast, _) => (payload, To::Datagram(broadcast)),
        (Destination::Relay(to) | Destination::UnicastIp(to), _) => (payload, To::Datagram(to)),
    }
}

/// With every option decoded: what one looks at when a machine does not do what it should.
pub(super) fn log_received(message: &Message, peer: SocketAddrV4) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug!(%peer, "DHCP packet received\n{}", describe::describe(message));
    }
}
