//! The part of rtnetlink that is needed here: one request, one acknowledgement or answer.
//!
//! A socket belongs for ever to the network namespace in which it was opened, so a [`Socket`] also works on a
//! namespace that the calling thread is not in.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// Message types and flags, `linux/rtnetlink.h` and `linux/netlink.h`.
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
/// Marks an attribute that holds attributes; newer kernels insist on it in strict requests.
const NLA_F_NESTED: u16 = 0x8000;

const HEADER_LEN: usize = 16;
/// An acknowledgement is a header, an errno and a copy of our request, whose longest is well below this. Of a
/// link's description only the beginning is read.
const REPLY_LEN_MAX: usize = 8192;

/// `struct ifinfomsg`, which stands between the header and a link's attributes.
const IFINFO_LEN: usize = 16;

/// Whether a request makes something new, changes what is there or only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Create,
    Change,
    Look,
}

/// A request under construction: the netlink header, then the fixed part, then attributes.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(kind: u16, intent: Intent, fixed: &[u8]) -> Self {
        let flags = match intent {
            Intent::Create => NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
            Intent::Change => NLM_F_REQUEST | NLM_F_ACK,
            Intent::Look => NLM_F_REQUEST,
        };
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        // Sequence and port number: with one request in flight on a private socket both may be zero.
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Self { bytes }
    }

    pub(crate) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        let len = u16::try_from(4 + value.len()).expect("attributes are a few bytes long");
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.align();
        self
    }

    pub(crate) fn attr_str(self, kind: u16, value: &str) -> Self {
        let mut terminated = value.as_bytes().to_vec();
        terminated.push(0);
        self.attr(kind, &terminated)
    }

    pub(crate) fn attr_u32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    pub(crate) fn attr_ipv4(self, kind: u16, value: Ipv4Addr) -> Self {
        self.attr(kind, &value.octets())
    }

    /// An attribute made of attributes, which `fill` appends. `fixed` is for `VETH_INFO_PEER`, whose
    /// attributes stand behind a whole `ifinfomsg`.
    pub(crate) fn nested(mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NLA_F_NESTED).to_ne_bytes());
        self.bytes.extend(fixed);
        let mut filled = fill(self);
        let len = u16::try_from(filled.bytes.len() - start).expect("attributes are a few bytes long");
        filled.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        filled
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).expect("requests are a few hundred bytes long");
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes
    }
}

/// The value of the first attribute of this kind, if there is one before the bytes end or make no sense.
pub(crate) fn attr(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    while let [len_a, len_b, kind_a, kind_b, ..] = *rest {
        let len = usize::from(u16::from_ne_bytes([len_a, len_b]));
        let value = rest.get(4..len)?;
        if u16::from_ne_bytes([kind_a, kind_b]) & !NLA_F_NESTED == wanted {
            return Some(value);
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// A route socket of one network namespace.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// Opens the socket in the namespace of the calling thread.
    pub(crate) fn open() -> Result<Self> {
        // NETLINK_ROUTE is protocol 0, which is what no protocol means.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .context("open a netlink socket")?;
        Ok(Self(fd))
    }

    /// Sends a request and waits for the kernel's verdict.
    pub(crate) fn request(&self, request: Request) -> Result<()> {
        let (kind, _) = self.exchange(request)?;
        ensure!(kind == NLMSG_ERROR, "netlink answered with message type {kind}");
        Ok(())
    }

    /// The attribute `wanted` of the link that the request asks for.
    pub(crate) fn link_attr(&self, request: Request, wanted: u16) -> Result<Vec<u8>> {
        let attributes = self.link(request)?;
        let value = attr(&attributes, wanted).with_context(|| format!("no attribute {wanted}"))?;
        Ok(value.to_vec())
    }

    /// All attributes of the link that the request asks for.
    pub(crate) fn link(&self, request: Request) -> Result<Vec<u8>> {
        let (kind, reply) = self.exchange(request)?;
        ensure!(kind == RTM_NEWLINK, "netlink answered with message type {kind}");
        Ok(reply.get(HEADER_LEN + IFINFO_LEN..).context("half a link")?.to_vec())
    }

    /// The type of the answer, and all of it. A refusal is an error.
    fn exchange(&self, request: Request) -> Result<(u16, Vec<u8>)> {
        send(&self.0, &request.finish(), SendFlags::empty()).context("send to netlink")?;
        let mut reply = vec![0; REPLY_LEN_MAX];
        let (len, _) = recv(&self.0, &mut reply[..], RecvFlags::empty()).context("receive from netlink")?;
        ensure!(len >= HEADER_LEN + 4, "netlink answered with {len} bytes");
        let kind = u16::from_ne_bytes([reply[4], reply[5]]);
        let errno = i32::from_ne_bytes([reply[16], reply[17], reply[18], reply[19]]);
        if kind == NLMSG_ERROR && errno != 0 {
            bail!(Errno::from_raw_os_error(-errno));
        }
        reply.truncate(len);
        Ok((kind, reply))
    }

    /// The index of the link called `name`.
    pub(crate) fn index(&self, name: &str) -> Result<u32> {
        rustix::net::netdevice::name_to_index(&self.0, name).with_context(|| format!("no link called {name}"))
    }
}
