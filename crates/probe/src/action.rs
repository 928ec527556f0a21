//! What a client asks its driver to do, and what the driver tells it.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Something to do, in the order in which it is given. A client has one UDP socket and one TCP connection at most:
/// the next one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this Ethernet frame.
    SendFrame(Vec<u8>),
    /// From here on the machine has this address.
    SetAddress(Address),
    /// Open a UDP socket at the machine's address; port 0 is any.
    OpenUdp {
        /// The local port.
        port: u16,
    },
    /// Send from that socket.
    SendUdp {
        /// Whom to.
        to: SocketAddrV4,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// Connect by TCP from the machine's address.
    Connect(SocketAddrV4),
    /// Send over that connection.
    SendTcp(Vec<u8>),
    /// Close that connection.
    CloseTcp,
}

/// A leased address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: Ipv4Addr,
    /// Leading one bits of its netmask.
    pub prefix: u8,
    /// The first router.
    pub router: Option<Ipv4Addr>,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// An Ethernet frame arrived.
    Frame(&'a [u8]),
    /// The UDP socket received a datagram.
    Udp {
        /// Who sent it.
        from: SocketAddrV4,
        /// The payload.
        bytes: &'a [u8],
    },
    /// What the UDP socket sent was refused: nobody listens there, or there is no way.
    UdpRefused,
    /// The TCP connection is there.
    Connected,
    /// Bytes came over it.
    Tcp(&'a [u8]),
    /// The other side closed it.
    TcpClosed,
    /// It could not be made, or broke.
    TcpFailed,
    /// The deadline has passed.
    Timeout,
}
