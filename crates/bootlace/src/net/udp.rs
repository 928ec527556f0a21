//! A UDP socket that knows where each datagram came in.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::batch::{self, Datagram};
use super::sockopt;

/// Receive buffer asked for: a boot storm of 1,000 machines, each DISCOVER counted by the kernel with about
/// 2 KiB, fits while one commit is running.
const RECV_BUFFER_BYTES: usize = 4 << 20;

/// A non-blocking UDP socket with the packet info of each datagram.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
}

impl DatagramSocket {
    /// Binds a port on one interface only, whatever addresses it has or gets: broadcasts included. Sockets of
    /// different interfaces do not conflict; another server on the same port does, and must (no SO_REUSEADDR).
    /// Frames with the tag of a VLAN that this host has no link for are none of this interface: the kernel keeps
    /// them from its IP. A packet socket would get them, marked as somebody else's (`PACKET_OTHERHOST`).
    pub fn bind_interface(interface: &str, port: u16) -> io::Result<Self> {
        let socket = open()?;
        socket.set_broadcast(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        Self::bind(socket, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
    }

    /// Binds a port on one address (0.0.0.0: on all).
    pub fn bind_address(address: SocketAddrV4) -> io::Result<Self> {
        let socket = open()?;
        Self::bind(socket, address)
    }

    fn bind(socket: Socket, address: SocketAddrV4) -> io::Result<Self> {
        sockopt::set_int(socket.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        let fd = socket.as_fd();
        let size = RECV_BUFFER_BYTES.try_into().unwrap_or(i32::MAX);
        // Beyond the kernel's limit for everybody with CAP_NET_ADMIN, as at a start by root; else within it.
        if sockopt::set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size).is_err() {
            let _ = socket.set_recv_buffer_size(RECV_BUFFER_BYTES);
        }
        socket.bind(&address.into())?;
        Ok(Self { socket: socket.into() })
    }

    /// Where it is bound: tells the port that the kernel chose for port 0.
    pub fn local_addr(&self) -> io::Result<SocketAddrV4> {
        match self.socket.local_addr()? {
            SocketAddr::V4(address) => Ok(address),
            SocketAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sends what the socket takes at once: the number of datagrams that left.
    pub fn send(&self, datagrams: &[Datagram<'_>]) -> io::Result<usize> {
        batch::send(self.socket.as_fd(), datagrams)
    }

    /// The same socket for a runtime that waits on it.
    pub fn into_std(self) -> UdpSocket {
        self.socket
    }
}

fn open() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
