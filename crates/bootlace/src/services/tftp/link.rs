//! The way to one client: a connected socket of its own, or a share of the request port.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::net::{self, Datagram, Segments};

/// Longest packet that a client sends in a transfer: an ERROR with a text.
const PACKET_BYTES_MAX: usize = 1024;

/// A datagram of this client that came to the request port.
pub(super) struct Incoming(pub(super) Vec<u8>);

/// What came.
pub(super) enum Received {
    /// A packet on the transfer's own port.
    Packet(Vec<u8>),
    /// A datagram on the request port: the same request again, or all packets when that port is shared.
    OnRequestPort(Vec<u8>),
    /// The client's host says that nobody listens there.
    Unreachable,
}

/// One client.
pub(super) struct Link {
    way: Way,
    incoming: mpsc::Receiver<Incoming>,
}

enum Way {
    OwnPort { socket: UdpSocket, segments: Segments, buffer: Box<[u8; PACKET_BYTES_MAX]> },
    RequestPort { socket: Arc<UdpSocket>, local: Ipv4Addr, peer: SocketAddrV4 },
}

impl Link {
    /// Binds a socket on the address that was asked and connects it to the client.
    pub(super) fn own_port(
        local: Ipv4Addr,
        peer: SocketAddrV4,
        ports: Option<&RangeInclusive<u16>>,
        incoming: mpsc::Receiver<Incoming>,
    ) -> io::Result<Self> {
        let socket = bind(local, ports)?;
        net::allow_fragments(socket.as_fd())?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        let way = Way::OwnPort {
            socket: UdpSocket::from_std(socket)?,
            segments: Segments::default(),
            buffer: Box::new([0; PACKET_BYTES_MAX]),
        };
        Ok(Self { way, incoming })
    }

    /// Shares the request socket.
    pub(super) fn request_port(
        socket: Arc<UdpSocket>,
        local: Ipv4Addr,
        peer: SocketAddrV4,
        incoming: mpsc::Receiver<Incoming>,
    ) -> Self {
        Self { way: Way::RequestPort { socket, local, peer }, incoming }
    }

    /// Waits for what comes next.
    pub(super) async fn receive(&mut self) -> Received {
        let Way::OwnPort { socket, buffer, .. } = &mut self.way else {
            return match self.incoming.recv().await {
                Some(Incoming(bytes)) => Received::OnRequestPort(bytes),
                None => Received::Unreachable,
            };
        };
        tokio::select! {
            biased;
            received = socket.recv(&mut buffer[..]) => match received {
                Ok(len) => Received::Packet(buffer[..len].to_vec()),
                Err(_) => Received::Unreachable,
            },
            Some(Incoming(bytes)) = self.incoming.recv() => Received::OnRequestPort(bytes),
        }
    }

    /// Sends `bytes` as datagrams of `size`, the last one perhaps shorter.
    pub(super) async fn send(&mut self, bytes: &[u8], size: u16) -> io::Result<()> {
        match &mut self.way {
            Way::OwnPort { socket, segments, .. } => {
                let mut sent = 0;
                while sent < bytes.len() {
                    match socket
                        .try_io(Interest::WRITABLE, || segments.send(socket.as_fd(), &bytes[sent..], size))
                    {
                        Ok(count) => sent += count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
            Way::RequestPort { socket, local, peer } => send_shared(socket, *local, *peer, bytes, size).await,
        }
    }
}

async fn send_shared(
    socket: &UdpSocket,
    local: Ipv4Addr,
    peer: SocketAddrV4,
    bytes: &[u8],
    size: u16,
) -> io::Result<()> {
    let datagram = |bytes| Datagram { bytes, to: peer, from: Some(local), ifindex: 0 };
    let datagrams: Vec<Datagram<'_>> = bytes.chunks(usize::from(size)).map(datagram).collect();
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
    let count = ports.end() - ports.start();
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for step in 0..=count {
        let offset = (u32::from(turn) + u32::from(step)) % (u32::from(count) + 1);
        match std::net::UdpSocket::bind((local, ports.start() + offset as u16)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            done => return done,
        }
    }
    Err(last)
}
