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
        Self::with(ifindex, datagrams_for(port))
    }

    /// Hears only messages to a server's port that no relay passed on and that name another hardware address than the
    /// frame came from: on most networks none, so that it costs nobody a system call.
    pub fn of_other_stations(ifindex: u32, port: u16) -> io::Result<Self> {
        let mut steps = datagrams_for(port);
        steps.extend(unlike_their_sender());
        Self::with(ifindex, steps)
    }

    fn with(ifindex: u32, steps: Vec<Step>) -> io::Result<Self> {
        // Of no protocol at first, or the kernel would deliver every interface's frames until it is bound.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&program(&steps))?;
        packet::bind(&socket, libc::ETH_P_IP as u16, ifindex)?;
        Ok(Self { socket })
    }
}

impl AsFd for DhcpTap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A step of a classic BPF program that says which frames to keep.
#[derive(Clone, Copy)]
enum Step {
    /// Loads or stores: operation and its argument.
    Do(u32, u32),
    /// The frame is dropped if the loaded value passes the test against this one.
    DropIf(u32, u32),
    /// The frame is dropped if the loaded value is another one.
    DropUnless(u32),
    /// The frame is kept if the loaded value is not the one in the index register.
    KeepUnlessIndex,
}

/// Offsets in a frame.
const SENDER: u32 = 6;
const IP: u32 = 14;
/// Behind an IP header without options; the index register has its length.
const UDP: u32 = IP;
const DHCP: u32 = UDP + 8;

const fn load(size: u32, mode: u32, at: u32) -> Step {
    Step::Do(libc::BPF_LD | size | mode, at)
}

/// Whole UDP datagrams for a port that the kernel would give to this host without a VLAN. Leaves the length of the IP
/// header in the index register.
fn datagrams_for(port: u16) -> Vec<Step> {
    const PROTOCOL: u32 = IP + 9;
    const FRAGMENT: u32 = IP + 6;
    const FRAGMENT_OFFSET: u32 = 0x1fff;
    const DESTINATION_PORT: u32 = UDP + 2;
    vec![
        load(libc::BPF_W, libc::BPF_ABS, PACKET_TYPE),
        Step::DropIf(libc::BPF_JGT, libc::PACKET_MULTICAST.into()),
        load(libc::BPF_W, libc::BPF_ABS, VLAN_TAG_PRESENT),
        Step::DropUnless(0),
        load(libc::BPF_B, libc::BPF_ABS, PROTOCOL),
        Step::DropUnless(libc::IPPROTO_UDP.cast_unsigned()),
        load(libc::BPF_H, libc::BPF_ABS, FRAGMENT),
        Step::DropIf(libc::BPF_JSET, FRAGMENT_OFFSET),
        Step::Do(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, IP),
        load(libc::BPF_H, libc::BPF_IND, DESTINATION_PORT),
        Step::DropUnless(port.into()),
    ]
}

/// Of DHCP messages in those: from an Ethernet client, without a relay, in a frame that another address sent.
fn unlike_their_sender() -> Vec<Step> {
    /// `htype` and `hlen`.
    const HARDWARE: u32 = DHCP + 1;
    const ETHERNET: u32 = 0x0106;
    const GIADDR: u32 = DHCP + 24;
    const CHADDR: u32 = DHCP + 28;
    let store = |place: u32| Step::Do(libc::BPF_ST, place);
    let recall = |place: u32| Step::Do(libc::BPF_LDX | libc::BPF_W | libc::BPF_MEM, place);
    vec![
        load(libc::BPF_H, libc::BPF_IND, HARDWARE),
        Step::DropUnless(ETHERNET),
        load(libc::BPF_W, libc::BPF_IND, GIADDR),
        Step::DropUnless(0),
        load(libc::BPF_W, libc::BPF_IND, CHADDR),
        store(0),
        load(libc::BPF_H, libc::BPF_IND, CHADDR + 4),
        store(1),
        load(libc::BPF_W, libc::BPF_ABS, SENDER),
        recall(0),
        Step::KeepUnlessIndex,
        load(libc::BPF_H, libc::BPF_ABS, SENDER + 4),
        recall(1),
        Step::KeepUnlessIndex,
        // Both parts are the same: a jump that is always taken.
        Step::DropIf(libc::BPF_JGE, 0),
    ]
}

/// The steps as the kernel takes them: behind them, a frame is kept, and then one is dropped.
fn program(steps: &[Step]) -> Vec<SockFilter> {
    let filter = |code: u32, yes: usize, no: usize, value: u32| {
        // A program of ours has a few dozen steps.
        let jump = |over: usize| u8::try_from(over).unwrap_or(u8::MAX);
        SockFilter::new(code as u16, jump(yes), jump(no), value)
    };
    let jump = |test: u32| libc::BPF_JMP | test;
    let steps = steps.iter().enumerate().map(|(at, step)| {
        let keep = steps.len() - at - 1;
        let drop = keep + 1;
        match *step {
            Step::Do(code, value) => filter(code, 0, 0, value),
            Step::DropIf(test, value) => filter(jump(test | libc::BPF_K), drop, 0, value),
            Step::DropUnless(value) => filter(jump(libc::BPF_JEQ | libc::BPF_K), 0, drop, value),
            Step::KeepUnlessIndex => filter(jump(libc::BPF_JEQ | libc::BPF_X), 0, keep, 0),
        }
    });
    let ends = [FRAME_BYTES_MAX, 0].map(|kept| filter(libc::BPF_RET | libc::BPF_K, 0, 0, kept));
    steps.chain(ends).collect()
}
