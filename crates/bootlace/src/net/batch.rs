//! Many datagrams in one system call: `recvmmsg` and `sendmmsg` with the interface and address of each.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams taken in one call (design: "recv batch <= 64").
pub const RECV_BATCH_MAX: usize = 64;
/// Bytes kept of one datagram: more than any DHCP message on Ethernet.
const RECV_BYTES_MAX: usize = 2048;
/// Room for one `in_pktinfo` control message.
const CONTROL_BYTES: usize = 64;

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
            headers.push(header(source, vector, control.0.as_mut_ptr(), CONTROL_BYTES));
        }
        // SAFETY: each header points at an address, one vector and a control buffer that live in `self` or in
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
    let mut addresses: Vec<libc::sockaddr_in> = datagrams.iter().map(|d| address(d.to)).collect();
    let mut controls: Vec<Control> = datagrams.iter().map(pktinfo_control).collect();
    let mut vectors: Vec<libc::iovec> = datagrams
        .iter()
        .map(|d| libc::iovec { iov_base: d.bytes.as_ptr().cast_mut().cast(), iov_len: d.bytes.len() })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(datagrams.len());
    for ((vector, to), control) in vectors.iter_mut().zip(&mut addresses).zip(&mut controls) {
        headers.push(header(to, vector, control.0.as_mut_ptr(), PKTINFO_SPACE));
    }
    // SAFETY: as in `receive`; the kernel only reads the payloads.
    let count = unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

fn header(
    name: &mut libc::sockaddr_in,
    vector: &mut libc::iovec,
    control: *mut u8,
    control_len: usize,
) -> libc::mmsghdr {
    // SAFETY: an all-zero msghdr is a valid value of this plain C struct.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_name = ptr::from_mut(name).cast();
    header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_control = control.cast();
    header.msg_hdr.msg_controllen = control_len;
    header
}

/// Bytes of `cmsghdr` before its data on 64-bit Linux (length, level, type).
const CMSG_HEADER: usize = size_of::<libc::cmsghdr>();
/// Bytes of a whole pktinfo control message, padded to the alignment of the next.
const PKTINFO_SPACE: usize = (CMSG_HEADER + size_of::<libc::in_pktinfo>()).next_multiple_of(8);

/// The control message that picks the interface and source address of a datagram. Written as bytes: a
/// `cmsghdr` is a length of the machine's word and two ints, then the data.
fn pktinfo_control(datagram: &Datagram<'_>) -> Control {
    let mut control = Control([0; CONTROL_BYTES]);
    let parts: [&[u8]; 6] = [
        &(CMSG_HEADER + size_of::<libc::in_pktinfo>()).to_ne_bytes(),
        &libc::IPPROTO_IP.to_ne_bytes(),
        &libc::IP_PKTINFO.to_ne_bytes(),
        &datagram.ifindex.to_ne_bytes(),
        &datagram.from.unwrap_or(Ipv4Addr::UNSPECIFIED).octets(),
        &[0; 4],
    ];
    let mut rest = &mut control.0[..];
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    control
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
