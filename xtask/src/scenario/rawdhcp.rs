//! A DHCP client that says whatever it is told to, and that knows exactly what it was answered.
//!
//! It shares no code with the server on purpose.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bootlace_lab::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

use super::context::STEP_LIMIT;

pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;
pub(super) const DECLINE: u8 = 4;
pub(super) const RELEASE: u8 = 7;
pub(super) const INFORM: u8 = 8;

pub(super) const CLIENT_PORT: u16 = 68;
pub(super) const SERVER_PORT: u16 = 67;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const HEADER_LEN: usize = 240;
/// The only flag there is.
pub(super) const BROADCAST: u16 = 0x8000;
pub(super) const OPTION_REQUESTED_IP: u8 = 50;
const OPTION_MESSAGE_TYPE: u8 = 53;
pub(super) const OPTION_SERVER_ID: u8 = 54;
const OPTION_END: u8 = 255;
/// The answers to a storm of newcomers, which all come at once.
const RECEIVE_BUFFER: usize = 1 << 20;
/// A client asks again after this time. It only bounds how long a lost packet delays a scenario.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What a client sends, or what a relay makes of it.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) kind: u8,
    pub(super) mac: [u8; 6],
    pub(super) xid: u32,
    pub(super) hops: u8,
    pub(super) flags: u16,
    pub(super) ciaddr: Ipv4Addr,
    pub(super) giaddr: Ipv4Addr,
    pub(super) options: Vec<(u8, Vec<u8>)>,
}

/// What a client gets.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) kind: u8,
    pub(super) mac: [u8; 6],
    pub(super) xid: u32,
    pub(super) address: Ipv4Addr,
    pub(super) options: BTreeMap<u8, Vec<u8>>,
    /// The codes as they came.
    pub(super) order: Vec<u8>,
    /// The whole message.
    pub(super) bytes: Vec<u8>,
}

impl Packet {
    pub(super) fn new(kind: u8, mac: [u8; 6], xid: u32) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self { kind, mac, xid, hops: 0, flags: BROADCAST, ciaddr: none, giaddr: none, options: Vec::new() }
    }

    pub(super) fn discover(mac: [u8; 6], xid: u32) -> Self {
        Self::new(DISCOVER, mac, xid)
    }

    /// Takes the offer, as a client in the SELECTING state does.
    pub(super) fn request(offer: &Reply) -> Self {
        let server = offer.options.get(&OPTION_SERVER_ID).cloned().unwrap_or_default();
        let mut packet = Self::init_reboot(offer.mac, offer.xid, offer.address);
        packet.options.push((OPTION_SERVER_ID, server));
        packet
    }

    /// Asks for the address that it had before.
    pub(super) fn init_reboot(mac: [u8; 6], xid: u32, address: Ipv4Addr) -> Self {
        Self::new(REQUEST, mac, xid).with(OPTION_REQUESTED_IP, &address.octets())
    }

    /// The same packet with one option more.
    pub(super) fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }

    /// The same packet from a client that has this address.
    pub(super) fn of(mut self, ciaddr: Ipv4Addr) -> Self {
        self.ciaddr = ciaddr;
        self
    }

    /// The same packet from a client that can be reached before it has an address.
    pub(super) fn unicast(mut self) -> Self {
        self.flags = 0;
        self
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[..4].copy_from_slice(&[1, 1, 6, self.hops]);
        bytes[4..8].copy_from_slice(&self.xid.to_be_bytes());
        bytes[10..12].copy_from_slice(&self.flags.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.ciaddr.octets());
        bytes[24..28].copy_from_slice(&self.giaddr.octets());
        bytes[28..34].copy_from_slice(&self.mac);
        bytes[236..240].copy_from_slice(&MAGIC);
        bytes.extend([OPTION_MESSAGE_TYPE, 1, self.kind]);
        for (code, value) in &self.options {
            bytes.extend([*code, u8::try_from(value.len()).unwrap_or(u8::MAX)]);
            bytes.extend(value.iter().take(usize::from(u8::MAX)));
        }
        bytes.push(OPTION_END);
        bytes
    }
}

impl Reply {
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut options, mut order) = (BTreeMap::new(), Vec::new());
        let mut rest = bytes.get(HEADER_LEN..)?;
        while let [code @ 1..=254, len, tail @ ..] = rest {
            let (value, tail) = tail.split_at_checked(usize::from(*len))?;
            options.insert(*code, value.to_vec());
            order.push(*code);
            rest = tail;
        }
        Some(Self {
            kind: *options.get(&OPTION_MESSAGE_TYPE)?.first()?,
            mac: bytes[28..34].try_into().ok()?,
            xid: u32::from_be_bytes(bytes[4..8].try_into().ok()?),
            address: <[u8; 4]>::try_from(&bytes[16..20]).ok()?.into(),
            options,
            order,
            bytes: bytes.to_vec(),
        })
    }

    /// The four bytes at `at` of the header as an address: 12 ciaddr, 20 siaddr, 24 giaddr.
    pub(super) fn address_at(&self, at: usize) -> Ipv4Addr {
        [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]].into()
    }

    pub(super) fn flags(&self) -> u16 {
        u16::from_be_bytes([self.bytes[10], self.bytes[11]])
    }

    /// The boot file of the header.
    pub(super) fn file(&self) -> &[u8] {
        self.bytes[108..236].split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// An option that is an address or a number of seconds.
    pub(super) fn four(&self, code: u8) -> Option<[u8; 4]> {
        self.options.get(&code)?.as_slice().try_into().ok()
    }
}

/// Port 68 of a host without an address.
#[derive(Debug)]
pub(super) struct RawDhcp(UdpSocket);

impl RawDhcp {
    pub(super) fn open(ns: &Namespace) -> Result<Self> {
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            // With it, a broadcast needs no route.
            socket.bind_device(Some(b"eth0"))?;
            socket.set_broadcast(true)?;
            // As much as there is: a kernel counts an answer with some 1,280 bytes, and gives room for 166 unasked.
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
            socket.set_read_timeout(Some(AGAIN_AFTER))?;
            Ok::<UdpSocket, std::io::Error>(socket.into())
        };
        Ok(Self(ns.run(open)?.context("open port 68")?))
    }

    pub(super) fn send(&self, packet: &Packet) -> Result<()> {
        self.0.send_to(&packet.encode(), (Ipv4Addr::BROADCAST, SERVER_PORT)).context("send a DHCP packet")?;
        Ok(())
    }

    /// The next answer, or `None` after [`AGAIN_AFTER`] without one.
    pub(super) fn receive(&self) -> Result<Option<Reply>> {
        let mut buffer = [0; 1500];
        loop {
            match self.0.recv(&mut buffer) {
                Ok(len) => {
                    if let Some(reply) = Reply::decode(&buffer[..len]) {
                        return Ok(Some(reply));
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) => return Err(error).context("receive a DHCP packet"),
            }
        }
    }

    /// The answer to `packet`, which is sent again when it or its answer was lost.
    pub(super) fn exchange(&self, packet: &Packet) -> Result<Reply> {
        let deadline = Instant::now() + STEP_LIMIT;
        while Instant::now() < deadline {
            self.send(packet)?;
            while let Some(reply) = self.receive()? {
                if (reply.xid, reply.mac) == (packet.xid, packet.mac) {
                    return Ok(reply);
                }
            }
        }
        bail!("no answer to {packet:?}")
    }

    /// The answer to `packet`, which must be the first that is heard at all.
    pub(super) fn exchange_alone(&self, packet: &Packet) -> Result<Reply> {
        let deadline = Instant::now() + STEP_LIMIT;
        while Instant::now() < deadline {
            self.send(packet)?;
            if let Some(reply) = self.receive()? {
                anyhow::ensure!((reply.xid, reply.mac) == (packet.xid, packet.mac), "{reply:?}");
                return Ok(reply);
            }
        }
        bail!("no answer to {packet:?}")
    }

    /// DISCOVER, OFFER, REQUEST, ACK.
    pub(super) fn lease(&self, discover: &Packet) -> Result<Reply> {
        let offer = self.exchange(discover)?;
        anyhow::ensure!(offer.kind == OFFER, "not an offer: {offer:?}");
        let mut request = Packet::request(&offer);
        request.options.extend(discover.options.iter().cloned());
        let ack = self.exchange(&request)?;
        anyhow::ensure!(ack.kind == ACK, "not an ACK: {ack:?}");
        Ok(ack)
    }
}

/// A MAC as everybody writes it.
pub(super) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
