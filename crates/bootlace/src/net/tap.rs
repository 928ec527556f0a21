//! DHCP messages as they pass an interface, whoever has their port.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, SockFilter, Socket, Type};

use super::packet::{self, PACKET_TYPE, VLAN_TAG_PRESENT};

/// Kept of a frame: more than any DHCP message has on Ethernet.
const FRAME_BYTES_MAX: u32 = 2048;

/// A packet socket that hears what is sent to a UDP port of this host or of everybody.
///
/// It takes the port away from nobody: a DHCP server or client of the same host, running or started later, does not
/// notice it.
#[derive(Debug)]
pub struct DhcpTap {
    socket: Socket,
}

impl DhcpTap {
    /// Needs CAP_NET_RAW.
    pub fn bind(ifindex: u32, port: u16) -> io::Result<Self> {
        // Of no protocol at first, or the kernel would deliver every interface's frames until it is bound.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        only_datagrams_for(&socket, port)?;
        packet::bind(&socket, libc::ETH_P_IP as u16, ifindex)?;
        Ok(Self { socket })
    }
}

impl AsFd for DhcpTap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A classic BPF program: whole UDP datagrams for a port that the kernel would give to this host without a VLAN.
fn only_datagrams_for(socket: &Socket, port: u16) -> io::Result<()> {
    // Offsets in a frame.
    const IP: u32 = 14;
    const PROTOCOL: u32 = IP + 9;
    const FRAGMENT: u32 = IP + 6;
    const FRAGMENT_OFFSET: u32 = 0x1fff;
    const DESTINATION_PORT_BEHIND_HEADER: u32 = IP + 2;
    let load = |size: u32, mode: u32, at: u32| SockFilter::new((libc::BPF_LD | size | mode) as u16, 0, 0, at);
    let drop_if = |test: u32, value: u32, over: u8| {
        SockFilter::new((libc::BPF_JMP | test | libc::BPF_K) as u16, over, 0, value)
    };
    let drop_unless = |value: u32, over: u8| {
        SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, over, value)
    };
    socket.attach_filter(&[
        load(libc::BPF_W, libc::BPF_ABS, PACKET_TYPE),
        drop_if(libc::BPF_JGT, libc::PACKET_MULTICAST.into(), 10),
        load(libc::BPF_W, libc::BPF_ABS, VLAN_TAG_PRESENT),
        drop_unless(0, 8),
        load(libc::BPF_B, libc::BPF_ABS, PROTOCOL),
        drop_unless(libc::IPPROTO_UDP.cast_unsigned(), 6),
        load(libc::BPF_H, libc::BPF_ABS, FRAGMENT),
        drop_if(libc::BPF_JSET, FRAGMENT_OFFSET, 4),
        SockFilter::new((libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16, 0, 0, IP),
        load(libc::BPF_H, libc::BPF_IND, DESTINATION_PORT_BEHIND_HEADER),
        drop_unless(port.into(), 1),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, FRAME_BYTES_MAX),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0),
    ])
}
