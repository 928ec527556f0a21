//! ARP on one interface: questions out, answers in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bootlace_wire::arp::ETHERTYPE_ARP;
use socket2::{Domain, SockFilter, Socket, Type};

use super::packet::{self, Frame, PACKET_TYPE, VLAN_TAG_PRESENT};

/// Kept of a frame: more than an ARP packet has on Ethernet.
const FRAME_BYTES_MAX: usize = 128;

/// A packet socket for ARP. The kernel gives it only replies to this host: a network's questions, of which there are
/// many, do not wake the server.
#[derive(Debug)]
pub struct ArpSocket {
    socket: Socket,
    ifindex: u32,
}

impl ArpSocket {
    /// Needs CAP_NET_RAW.
    pub fn bind(ifindex: u32) -> io::Result<Self> {
        // Of no protocol at first, or the kernel would deliver every interface's frames until it is bound.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        only_replies(&socket)?;
        packet::bind(&socket, ETHERTYPE_ARP, ifindex)?;
        Ok(Self { socket, ifindex })
    }

    /// Sends what the socket takes at once: the number of frames that left.
    pub fn send<T: AsRef<[u8]>>(&self, frames: &[T]) -> io::Result<usize> {
        let frames: Vec<Frame<'_>> =
            frames.iter().map(|frame| Frame { bytes: frame.as_ref(), ifindex: self.ifindex }).collect();
        packet::send(&self.socket, ETHERTYPE_ARP, &frames)
    }

    /// Hands over what was received, at most `most` frames.
    pub fn receive(&self, most: usize, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut frame = [0; FRAME_BYTES_MAX];
        for _ in 0..most {
            match rustix::net::recv(&self.socket, &mut frame, rustix::net::RecvFlags::DONTWAIT) {
                Ok((len, _)) => take(&frame[..len.min(FRAME_BYTES_MAX)]),
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl AsFd for ArpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A classic BPF program: takes the frame when the 16 bits at 20, where ARP has its operation, are 2, and the kernel
/// would give it to this host without a VLAN. Whoever has an address in a VLAN is not in the way of one on this link.
fn only_replies(socket: &Socket) -> io::Result<()> {
    const OPERATION_AT: u32 = 20;
    const REPLY: u32 = 2;
    let load = |size: u32, at: u32| SockFilter::new((libc::BPF_LD | size | libc::BPF_ABS) as u16, 0, 0, at);
    let jump = |test: u32, value: u32, over_if: u8, over_unless: u8| {
        SockFilter::new((libc::BPF_JMP | test | libc::BPF_K) as u16, over_if, over_unless, value)
    };
    socket.attach_filter(&[
        load(libc::BPF_W, PACKET_TYPE),
        jump(libc::BPF_JGT, libc::PACKET_MULTICAST.into(), 5, 0),
        load(libc::BPF_W, VLAN_TAG_PRESENT),
        jump(libc::BPF_JEQ, 0, 0, 3),
        load(libc::BPF_H, OPERATION_AT),
        jump(libc::BPF_JEQ, REPLY, 0, 1),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, FRAME_BYTES_MAX as u32),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0),
    ])
}
