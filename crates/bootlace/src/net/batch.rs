//! Many datagrams in one system call: `recvmmsg` and `sendmmsg` with the interface and address of each.
//!
//! Datagrams of one length to one peer go through the network stack as one, which the kernel cuts at the end of the way
//! (`UDP_SEGMENT`, Linux 4.18): answers to a crowd behind one relay cost half of what they do one by one.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{ptr, slice};

use super::segments::SEGMENTED_BYTES_MAX;

/// Datagrams taken in one call (design: "recv batch <= 64").
pub const RECV_BATCH_MAX: usize = 64;
/// Bytes kept of one datagram: more than any DHCP message on Ethernet.
const RECV_BYTES_MAX: usize = 2048;
/// Room for an `in_pktinfo` control message and the size of segments.
const CONTROL_BYTES: usize = 64;

/// Datagrams that go as one: most of the gain, and whoever takes them is not overrun by more.
const RUN: usize = 8;

/// A datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Its payload.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub source: SocketAddrV4,
    /// The address it was sent to: ours, or a broadcast.
    pub destination: Ipv4Addr,
    /// The local address that it was delivered by: what an answer should come from.
    pub local: Ipv4Addr,
    /// Index of the interface it came in by; 0 when the kernel did not say.
    pub ifindex: u32,
}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its payload.
    pub bytes: &'a [u8],
    /// Where to.
    pub to: SocketAddrV4,
    /// Our address; `None` leaves the choice to the kernel.
    pub from: Option<Ipv4Addr>,
    /// The interface to leave by; 0 leaves the choice to the routes.
    pub ifindex: u32,
}

/// Control bytes, aligned as `cmsghdr` wants them.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Buffers for one batch, used again and again.
pub struct RecvBatch {
    bytes: Vec<[u8; RECV_BYTES_MAX]>,
    sources: Vec<libc::sockaddr_in>,
    controls: Vec<Control>,
    lengths: Vec<usize>,
    control_lengths: Vec<usize>,
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl RecvBatch {
    /// Allocates the buffers.
    pub fn new() -> Self {
        Self {
            bytes: vec![[0; RECV_BYTES_MAX]; RECV_BATCH_MAX],
            sources: vec![empty_address(); RECV_BATCH_MAX],
            controls: vec![Control([0; CONTROL_BYTES]); RECV_BATCH_MAX],
            lengths: Vec::with_capacity(RECV_BATCH_MAX),
            control_lengths: Vec::with_capacity(RECV_BATCH_MAX),
        }
    }

    /// Takes what is queued, without waiting; `WouldBlock` when nothing is.
    pub fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.lengths.clear();
        self.control_lengths.clear();
        let mut vectors: Vec<libc::iovec> = self
            .bytes
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: RECV_BYTES_MAX })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(RECV_BATCH_MAX);
        for ((vector, source), control) in vectors.iter_mut().zip(&mut self.sources).zip(&mut self.controls) {
            headers.push(header(source, slice::from_mut(vector), control.0.as_mut_ptr(), CONTROL_BYTES));
        }
        // SAFETY: each header points at an address, its vectors and a control buffer that live in `self` or in
        // `vectors` until after the call, with their true lengths; MSG_DONTWAIT needs no timeout.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for header in &headers[..count] {
            self.lengths.push((header.msg_len as usize).min(RECV_BYTES_MAX));
            self.control_lengths.push(header.msg_hdr.msg_controllen.min(CONTROL_BYTES));
        }
        Ok(count)
    }

    /// What the last call took.
    pub fn iter(&self) -> impl Iterator<Item = Arrived<'_>> {
        (0..self.lengths.len()).map(|at| {
            let (ifindex, local, destination) = pktinfo(&self.controls[at].0[..self.control_lengths[at]]);
            Arrived {
                bytes: &self.bytes[at][..self.lengths[at]],
                source: address_of(&self.sources[at]),
                destination,
                local,
                ifindex,
            }
        })
    }
}

/// Sends what a UDP socket takes of `datagrams` at once: the number that left.
pub fn send(fd: BorrowedFd<'_>, datagrams: &[Datagram<'_>]) -> io::Result<usize> {
    let runs: Vec<_> = datagrams.chunk_by(can_follow).flat_map(pieces).collect();
    match send_runs(fd, datagrams.len(), &runs) {
        // EIO: the device cannot segment. EINVAL: a segment does not fit the route's MTU, or the kernel is older. The
        // next batch is tried again: another relay may be behind another device.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {
            let each: Vec<_> = datagrams.chunks(1).collect();
            send_runs(fd, datagrams.len(), &each)
        }
        sent => sent,
    }
}

/// Whether two datagrams can be segments of one.
fn can_follow(one: &Datagram<'_>, next: &Datagram<'_>) -> bool {
    one.bytes.len() == next.bytes.len()
        && (one.to, one.from, one.ifindex) == (next.to, next.from, next.ifindex)
}

/// A run of equal datagrams in pieces that the kernel takes.
fn pieces<'a, 'd>(run: &'a [Datagram<'d>]) -> impl Iterator<Item = &'a [Datagram<'d>]> {
    let len = run.first().map_or(1, |datagram| datagram.bytes.len().max(1));
    run.chunks((SEGMENTED_BYTES_MAX / len).clamp(1, RUN))
}

/// Sends each run as one message: how many datagrams left.
fn send_runs(fd: BorrowedFd<'_>, count: usize, runs: &[&[Datagram<'_>]]) -> io::Result<usize> {
    let firsts = || runs.iter().filter_map(|run| run.first());
    let mut addresses: Vec<libc::sockaddr_in> = firsts().map(|first| address(first.to)).collect();
    let mut controls: Vec<Control> = firsts().map(control).collect();
    let mut vectors: Vec<libc::iovec> = Vec::with_capacity(count);
    vectors.extend(runs.iter().copied().flatten().map(|datagram| libc::iovec {
        iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
        iov_len: datagram.bytes.len(),
    }));
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(runs.len());
    let mut rest = &mut vectors[..];
    for ((run, to), control) in runs.iter().zip(&mut addresses).zip(&mut controls) {
        let (vectors, behind) = rest.split_at_mut(run.len());
        rest = behind;
        let control_len = if run.len() > 1 { PKTINFO_SPACE + SEGMENT_SPACE } else { PKTINFO_SPACE };
        headers.push(header(to, vectors, control.0.as_mut_ptr(), control_len));
    }
    // SAFETY: as in `receive`; the kernel only reads the payloads.
    let sent = unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
    Ok(runs[..sent].iter().map(|run| run.len()).sum())
}

fn header(
    name: &mut libc::sockaddr_in,
    vectors: &mut [libc::iovec],
    control: *mut u8,
    control_len: usize,
) -> libc::mmsghdr {
    // SAFETY: an all-zero msghdr is a valid value of this plain C struct.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_name = ptr::from_mut(name).cast();
    header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    header.msg_hdr.msg_iov = vectors.as_mut_ptr();
    header.msg_hdr.msg_iovlen = vectors.len();
    header.msg_hdr.msg_control = control.cast();
    header.msg_hdr.msg_controllen = control_len;
    header
}

/// Bytes of `cmsghdr` before its data on 64-bit Linux (length, level, type).
const CMSG_HEADER: usize = size_of::<libc::cmsghdr>();
/// Bytes of a whole pktinfo control message, padded to the alignment of the next.
const PKTINFO_SPACE: usize = (CMSG_HEADER + size_of::<libc::in_pktinfo>()).next_multiple_of(8);

/// The same of one that says how large segments are.
const SEGMENT_SPACE: usize = (CMSG_HEADER + size_of::<u16>()).next_multiple_of(8);

/// The control messages that pick the interface and source address of a datagram and, where it is the first of a run,
/// make segments of all. Written as bytes: a `cmsghdr` is a length of the machine's word and two ints, then the data.
fn control(first: &Datagram<'_>) -> Control {
    let mut control = Control([0; CONTROL_BYTES]);
    let (pktinfo, segment) = control.0.split_at_mut(PKTINFO_SPACE);
    let parts: [&[u8]; 6] = [
        &(CMSG_HEADER + size_of::<libc::in_pktinfo>()).to_ne_bytes(),
        &libc::IPPROTO_IP.to_ne_bytes(),
        &libc::IP_PKTINFO.to_ne_bytes(),
        &first.ifindex.to_ne_bytes(),
        &first.from.unwrap_or(Ipv4Addr::UNSPECIFIED).octets(),
        &[0; 4],
    ];
    fill(pktinfo, &parts);
    let size = first.bytes.len() as u16;
    let parts: [&[u8]; 4] = [
        &(CMSG_HEADER + size_of::<u16>()).to_ne_bytes(),
        &libc::SOL_UDP.to_ne_bytes(),
        &libc::UDP_SEGMENT.to_ne_bytes(),
        &size.to_ne_bytes(),
    ];
    fill(segment, &parts);
    control
}

fn fill(mut rest: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
}

/// Interface index, local address and destination of a received datagram.
fn pktinfo(control: &[u8]) -> (u32, Ipv4Addr, Ipv4Addr) {
    const NONE: (u32, Ipv4Addr, Ipv4Addr) = (0, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
    let int = |at: usize| Some(libc::c_int::from_ne_bytes(*control.get(at..)?.first_chunk()?));
    let quad = |at: usize| Some(Ipv4Addr::from(*control.get(at..)?.first_chunk::<4>()?));
    let word = size_of::<usize>();
    if int(word) != Some(libc::IPPROTO_IP) || int(word + 4) != Some(libc::IP_PKTINFO) {
        return NONE;
    }
    let read = || Some((int(CMSG_HEADER)?.cast_unsigned(), quad(CMSG_HEADER + 4)?, quad(CMSG_HEADER + 8)?));
    read().unwrap_or(NONE)
}

pub(super) fn address(to: SocketAddrV4) -> libc::sockaddr_in {
    let mut address = empty_address();
    address.sin_port = to.port().to_be();
    address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
    address
}

fn empty_address() -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: 0 },
        sin_zero: [0; 8],
    }
}

fn address_of(from: &libc::sockaddr_in) -> SocketAddrV4 {
    SocketAddrV4::new(u32::from_be(from.sin_addr.s_addr).into(), u16::from_be(from.sin_port))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;

    use super::super::sockopt;
    use super::*;

    fn socket() -> (UdpSocket, SocketAddrV4) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = socket.local_addr().unwrap() else { panic!("asked for IPv4") };
        (socket, address)
    }

    /// Runs of one length, single ones and changes of the peer.
    fn crowd() -> Vec<(usize, Vec<u8>)> {
        let of = |peer: usize, len: usize, count: u8| (0..count).map(move |n| (peer, vec![n; len]));
        of(0, 300, RUN as u8 + 2)
            .chain(of(1, 300, 2))
            .chain(of(0, 300, 1))
            .chain(of(0, 301, 3))
            .chain(of(1, 1, 1))
            .collect()
    }

    fn datagrams<'a>(crowd: &'a [(usize, Vec<u8>)], peers: [SocketAddrV4; 2]) -> Vec<Datagram<'a>> {
        crowd
            .iter()
            .map(|(peer, bytes)| Datagram { bytes, to: peers[*peer], from: None, ifindex: 0 })
            .collect()
    }

    fn arrive(sender: &UdpSocket) {
        let [(one, one_at), (other, other_at)] = [socket(), socket()];
        let crowd = crowd();
        let datagrams = datagrams(&crowd, [one_at, other_at]);
        let mut rest = &datagrams[..];
        while !rest.is_empty() {
            rest = &rest[send(sender.as_fd(), rest).unwrap()..];
        }
        let mut buffer = [0; 2000];
        for (peer, bytes) in &crowd {
            let len = [&one, &other][*peer].recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], bytes);
        }
    }

    #[test]
    fn what_is_sent_as_one_arrives_as_datagrams() {
        let crowd = crowd();
        let datagrams = datagrams(&crowd, [1, 2].map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)));
        let runs: Vec<_> = datagrams.chunk_by(can_follow).flat_map(pieces).map(<[_]>::len).collect();
        assert_eq!(runs, [RUN, 2, 2, 1, 3, 1]);
        arrive(&socket().0);
    }

    #[test]
    fn where_nothing_can_be_segmented_each_is_sent_alone() {
        let (sender, _) = socket();
        // The kernel refuses segments without checksums (EINVAL).
        sockopt::set_int(sender.as_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        arrive(&sender);
    }
}
