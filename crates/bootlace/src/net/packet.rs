//! Frames out of an interface, for clients that have no address yet and cannot answer ARP.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use socket2::{Domain, Socket, Type};

/// Where a filter's program finds what the kernel itself knows of a frame (linux/filter.h).
const ANCILLARY: u32 = 0xffff_f000;
/// For whom the frame is: this host, everybody, a group, or another host (linux/if_packet.h).
pub(super) const PACKET_TYPE: u32 = ANCILLARY + 4;
/// Whether a VLAN tag is on the frame that is not among its bytes.
pub(super) const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;

/// An Ethernet frame and where it leaves.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The whole frame, destination MAC first.
    pub bytes: &'a [u8],
    /// The interface.
    pub ifindex: u32,
}

/// A packet socket that only sends: bound to no protocol, the kernel copies nothing into it.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
}

impl PacketSocket {
    /// Needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Sends what the socket takes at once: the number of frames that left.
    pub fn send(&self, frames: &[Frame<'_>]) -> io::Result<usize> {
        send(&self.socket, libc::ETH_P_IP as u16, frames)
    }
}

/// Sends frames of one protocol.
pub(super) fn send(socket: &Socket, ethertype: u16, frames: &[Frame<'_>]) -> io::Result<usize> {
    let mut addresses: Vec<libc::sockaddr_ll> =
        frames.iter().map(|frame| link_address(ethertype, frame.ifindex)).collect();
    let mut vectors: Vec<libc::iovec> = frames
        .iter()
        .map(|frame| libc::iovec {
            iov_base: frame.bytes.as_ptr().cast_mut().cast(),
            iov_len: frame.bytes.len(),
        })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(frames.len());
    for (vector, to) in vectors.iter_mut().zip(&mut addresses) {
        // SAFETY: an all-zero msghdr is a valid value of this plain C struct.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        header.msg_hdr.msg_name = ptr::from_mut(to).cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        headers.push(header);
    }
    // SAFETY: each header points at an address and a vector that live until after the call, with their true
    // lengths; the kernel only reads the frames.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Lets a packet socket hear the frames of one protocol on one interface.
pub(super) fn bind(socket: &Socket, ethertype: u16, ifindex: u32) -> io::Result<()> {
    let address = link_address(ethertype, ifindex);
    // SAFETY: the pointer and length describe `address`, which outlives the call; the kernel only reads it.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if bound == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Every frame of this protocol on an interface.
pub(super) fn link_address(ethertype: u16, ifindex: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: ifindex.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
