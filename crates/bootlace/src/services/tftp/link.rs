//! The way to one client: a connected socket of its own, or a share of the request port.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::listener::Opening;
use super::table::Slot;
use crate::net::{self, Datagram, Segments};

/// Longest packet that a client sends in a transfer: an ERROR with a text. What is longer is cut.
const PACKET_BYTES_MAX: usize = 256;

/// What came.
pub(super) enum Received<'a> {
    /// A packet on the transfer's own port.
    Packet(&'a [u8]),
    /// A datagram on the request port: a request, or any packet when that port is shared.
    OnRequestPort(Vec<u8>),
    /// The client's host says that nobody listens there.
    Unreachable,
}

/// One client.
pub(super) struct Link {
    way: Way,
    slot: Slot,
}

enum Way {
    OwnPort { socket: UdpSocket, segments: Segments, buffer: Box<[u8; PACKET_BYTES_MAX]> },
    RequestPort { socket: Arc<UdpSocket>, local: Ipv4Addr, peer: SocketAddrV4 },
}

impl Link {
    /// Binds a socket on the address that was asked and connects it to the client; for the event loop that the
    /// caller is in.
    pub(super) fn own_port(
        opening: &Opening,
        ports: Option<&RangeInclusive<u16>>,
        slot: Slot,
    ) -> io::Result<Self> {
        let socket = bind(opening.local, ports)?;
        net::allow_fragments(socket.as_fd())?;
        socket.connect(opening.peer)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        Ok(Self {
            way: Way::OwnPort {
                socket,
                segments: Segments::default(),
                buffer: Box::new([0; PACKET_BYTES_MAX]),
            },
            slot,
        })
    }

    /// Shares the request socket.
    pub(super) fn request_port(socket: Arc<UdpSocket>, opening: &Opening, slot: Slot) -> Self {
        Self { way: Way::RequestPort { socket, local: opening.local, peer: opening.peer }, slot }
    }

    /// Another transfer for the same client and port can live beside this one.
    pub(super) fn has_own_port(&self) -> bool {
        matches!(self.way, Way::OwnPort { .. })
    }

    /// Waits for what comes next.
    pub(super) async fn receive(&mut self) -> Received<'_> {
        match &mut self.way {
            Way::RequestPort { .. } => Received::OnRequestPort(self.slot.receive().await),
            Way::OwnPort { socket, buffer, .. } => tokio::select! {
                biased;
                received = socket.recv(&mut buffer[..]) => match received {
                    Ok(len) => Received::Packet(&buffer[..len]),
                    // Whatever else the kernel may report of a connected socket, the client is out of reach.
                    Err(_) => Received::Unreachable,
                },
                bytes = self.slot.receive() => Received::OnRequestPort(bytes),
            },
        }
    }

    /// What came to the request port and was not received; see [`Slot::close`].
    pub(super) fn close(&mut self) -> Option<Vec<u8>> {
        self.slot.close()
    }

    /// Sends `bytes` as datagrams of `size`, the last one perhaps shorter.
    pub(super) async fn send(&mut self, bytes: &[u8], size: usize) -> io::Result<()> {
        match &mut self.way {
            Way::OwnPort { socket, segments, .. } => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    match socket.try_io(Interest::WRITABLE, || segments.send(socket.as_fd(), rest, size)) {
                        Ok(sent) => rest = &rest[sent..],
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
            Way::RequestPort { socket, local, peer } => {
                send_shared(socket, *local, *peer, bytes.chunks(size)).await
            }
        }
    }
}

async fn send_shared(
    socket: &UdpSocket,
    local: Ipv4Addr,
    peer: SocketAddrV4,
    packets: impl Iterator<Item = &[u8]>,
) -> io::Result<()> {
    let datagrams: Vec<Datagram<'_>> =
        packets.map(|bytes| Datagram { bytes, to: peer, from: Some(local), ifindex: 0 }).collect();
    let mut rest = &datagrams[..];
    while !rest.is_empty() {
        match socket.try_io(Interest::WRITABLE, || net::send(socket.as_fd(), rest)) {
            Ok(sent) => rest = &rest[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The next port of the range that is free, or the kernel's choice.
fn bind(local: Ipv4Addr, ports: Option<&RangeInclusive<u16>>) -> io::Result<std::net::UdpSocket> {
    static TURN: AtomicU16 = AtomicU16::new(0);
    let Some(ports) = ports else { return std::net::UdpSocket::bind((local, 0)) };
    let count = ports.clone().count();
    // Not the lowest free one: late packets of a transfer that has just ended would meet the next.
    let first = usize::from(TURN.fetch_add(1, Ordering::Relaxed)).checked_rem(count).unwrap_or(0);
    for port in ports.clone().cycle().skip(first).take(count) {
        match std::net::UdpSocket::bind((local, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            done => return done,
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "all ports of [tftp] ports are taken"))
}
