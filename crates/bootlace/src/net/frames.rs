//! The frames of one interface that are for DHCP clients, whoever they are for, and frames out of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use bootlace_wire::dhcp::CLIENT_PORT;
use rustix::net::RecvFlags;
use socket2::{Domain, SockFilter, Socket, Type};

use super::packet::{self, Frame};
use super::sockopt;

/// Kept of a frame: DHCP messages fit the usual MTU.
const FRAME_BYTES_MAX: usize = 2048;
/// Answers to a crowd come all at once.
const RECEIVE_BUFFER: usize = 4 << 20;
/// `struct virtio_net_hdr` of `linux/virtio_net.h`, before each frame.
const VNET_HEADER_LEN: usize = 10;
/// In its first byte: the sender left the checksum to a card that was not there, as on veth.
const NEEDS_CHECKSUM: u8 = 1;
/// Where a UDP datagram in a frame without VLAN tag and IP options has its checksum.
const ETHERNET_LEN: usize = 14;
const UDP_CHECKSUM_AT: usize = 6;

/// A packet socket in promiscuous mode that the kernel gives only UDP datagrams to port 68.
#[derive(Debug)]
pub struct FrameSocket {
    socket: Socket,
    ifindex: u32,
}

impl FrameSocket {
    /// Needs CAP_NET_RAW.
    pub fn bind(ifindex: u32) -> io::Result<Self> {
        // Of no protocol at first, or the kernel would deliver every interface's frames until it is bound.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        only_to_clients(&socket)?;
        sockopt::set_int(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        // All protocols: one tap before bridges and macvlans on this interface take their frames away.
        let address = packet::link_address(libc::ETH_P_ALL as u16, ifindex);
        // SAFETY: the pointer and length describe `address`, which outlives the call; the kernel only reads it.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if bound != 0 {
            return Err(io::Error::last_os_error());
        }
        let frames = Self { socket, ifindex };
        frames.hear_everybody()?;
        Ok(frames)
    }

    /// Replies go to the MACs of clients that this computer does not have. Ends with the socket.
    fn hear_everybody(&self) -> io::Result<()> {
        // struct packet_mreq: index, type, length of an address, eight bytes of it.
        let mut request = [0; 16];
        request[..4].copy_from_slice(&self.ifindex.to_ne_bytes());
        request[4..6].copy_from_slice(&(libc::PACKET_MR_PROMISC as u16).to_ne_bytes());
        sockopt::set_bytes(self.socket.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // With a header that asks for nothing.
        let bytes = [&[0; VNET_HEADER_LEN], frame].concat();
        let frame = Frame { bytes: &bytes, ifindex: self.ifindex };
        packet::send(&self.socket, libc::ETH_P_IP as u16, &[frame]).map(|_| ())
    }

    /// Hands over what was received. A checksum that was never made is made "none" (RFC 768).
    pub fn receive(&self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut bytes = [0; VNET_HEADER_LEN + FRAME_BYTES_MAX];
        loop {
            match rustix::net::recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((len, _)) => {
                    let (header, frame) = bytes[..len.min(VNET_HEADER_LEN + FRAME_BYTES_MAX)]
                        .split_at_mut(VNET_HEADER_LEN.min(len));
                    if header.first().is_some_and(|flags| flags & NEEDS_CHECKSUM != 0) {
                        without_checksum(frame);
                    }
                    take(frame);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn without_checksum(frame: &mut [u8]) {
    let ip_len = frame.get(ETHERNET_LEN).map_or(0, |first| usize::from(first & 0x0f) * 4);
    let at = ETHERNET_LEN + ip_len + UDP_CHECKSUM_AT;
    if let Some(checksum) = frame.get_mut(at..at + 2) {
        checksum.fill(0);
    }
}

/// A classic BPF program: IPv4, UDP, no later fragment, destination port 68. The kernel takes VLAN tags off before.
fn only_to_clients(socket: &Socket) -> io::Result<()> {
    const ETHERTYPE_AT: u32 = 12;
    const PROTOCOL_AT: u32 = 23;
    const FRAGMENT_AT: u32 = 20;
    const OFFSET_BITS: u32 = 0x1fff;
    const IP_AT: u32 = 14;
    const PORT_BEHIND_IP_AT: u32 = 16;
    let load = |size: u32, at| SockFilter::new((libc::BPF_LD | size | libc::BPF_ABS) as u16, 0, 0, at);
    let unless =
        |value, skip| SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, skip, value);
    socket.attach_filter(&[
        load(libc::BPF_H, ETHERTYPE_AT),
        unless(libc::ETH_P_IP as u32, 8),
        load(libc::BPF_B, PROTOCOL_AT),
        unless(libc::IPPROTO_UDP as u32, 6),
        load(libc::BPF_H, FRAGMENT_AT),
        SockFilter::new((libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16, 4, 0, OFFSET_BITS),
        SockFilter::new((libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16, 0, 0, IP_AT),
        SockFilter::new((libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16, 0, 0, PORT_BEHIND_IP_AT),
        unless(CLIENT_PORT.into(), 1),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, (FRAME_BYTES_MAX) as u32),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_taken_out_of_any_frame_that_has_one() {
        let mut frame = [0xff; 60];
        frame[ETHERNET_LEN] = 0x45;
        without_checksum(&mut frame);
        assert_eq!((frame[39], &frame[40..42], frame[42]), (0xff, &[0, 0][..], 0xff));
        for len in 0..42 {
            without_checksum(&mut [0x4f; 42][..len]);
        }
    }
}
