//! The message that goes out, and where to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, SERVER_PORT};
use bootlace_wire::{HwAddr, Mac};

use super::boot_fields::{BootFields, Fetch};
use super::net::Net;
use super::{Kind, Query, Request, hash, relays};
use crate::boot::choose::Choice;
use crate::config::{Config, DhcpOptions};
use crate::event::ClientClass;

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub message: Message,
    /// How many bytes of it the client can take.
    pub limit: usize,
    /// Where to.
    pub destination: Destination,
}

/// Where a reply goes (RFC 2131 section 4.1). It leaves by the interface that the request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the relay.
    Relay(SocketAddrV4),
    /// To everybody on the link, port 68.
    Broadcast,
    /// To a client that cannot answer ARP yet, port 68.
    UnicastHw {
        /// The address that it is about to have.
        ip: Ipv4Addr,
        /// Its Ethernet address.
        hw: Mac,
    },
    /// To a client with an address.
    UnicastIp(SocketAddrV4),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(to) => write!(f, "relay {to}"),
            Self::Broadcast => f.write_str("everybody"),
            Self::UnicastHw { ip, hw } => write!(f, "{ip} at {hw}"),
            Self::UnicastIp(to) => to.fmt(f),
        }
    }
}

/// The most that a BOOTP reply holds: the header and 64 bytes of vendor area (RFC 951).
const BOOTP_LIMIT: usize = 300;
/// Option 51 of a lease without end.
pub(super) const INFINITE: u32 = u32::MAX;
/// `no-pxedhcp = 1` of option 175: iPXE need not wait two seconds for a proxy.
const NO_PXEDHCP: [u8; 3] = [0xb0, 1, 1];
/// What only the protocol itself may set, or what may not be sent at all: 52 because iPXE would read options
/// as a file name.
const NOT_FROM_CONFIG: [Code; 14] = [
    Code::PAD,
    Code::END,
    Code::SUBNET_MASK,
    Code::REQUESTED_IP,
    Code::LEASE_TIME,
    Code::OVERLOAD,
    Code::MESSAGE_TYPE,
    Code::SERVER_ID,
    Code::PARAMETER_LIST,
    Code::MAX_SIZE,
    Code::CLIENT_ID,
    Code::RELAY_INFO,
    Code::UUID,
    Code::SUBNET_SELECTION,
];

/// What a reply is made of.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) config: &'a Config,
    pub(super) query: &'a Query<'a>,
    pub(super) net: Net<'a>,
    pub(super) choice: &'a Choice<'a>,
    pub(super) boot: &'a BootFields,
}

impl Answer<'_> {
    /// An OFFER, an ACK or a BOOTP reply. `address` is unspecified for an INFORM; `lease` is what option 51
    /// says, in seconds.
    pub(super) fn give(&self, kind: MessageType, address: Ipv4Addr, lease: Option<u32>) -> Reply {
        let query = self.query;
        let mut message = query.message.reply();
        message.yiaddr = address;
        if let Kind::Inform(own) | Kind::Request(Request::Renewing(own) | Request::Rebinding(own)) =
            query.kind
        {
            message.ciaddr = own;
        }
        // A relay sends to `yiaddr`, which an INFORM leaves empty (RFC 1542 section 4.1.2).
        message.broadcast |= address.is_unspecified() && !message.giaddr.is_unspecified();
        message.siaddr = self.boot.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED);
        if query.kind != Kind::Bootp {
            message.options.set_u8(Code::MESSAGE_TYPE, kind.code());
            message.options.set_ip(Code::SERVER_ID, self.net.id);
        }
        if let Some(lease) = lease {
            message.options.set_u32(Code::LEASE_TIME, lease);
        }
        message.options.set_ip(Code::SUBNET_MASK, self.net.subnet.cidr.netmask());
        set_boot_file(&mut message, query, self.boot);
        self.set_configured(&mut message, lease);
        echo(query.message, &mut message);
        let limit = match query.kind {
            Kind::Bootp => BOOTP_LIMIT,
            _ => query.message.payload_limit(query.received.mtu),
        };
        Reply { message, limit, destination: destination(query, address) }
    }

    /// The rest: first what the client lists, in its order, then by number. What the client does not list is
    /// sent too: a ROM cannot know what the loader after it will want.
    fn set_configured(&self, message: &mut Message, lease: Option<u32>) {
        let broadcast = self.net.subnet.cidr.broadcast().octets();
        let (t1, t2) = lease.map(|lease| timers(self.query.hw, lease)).unwrap_or_default();
        let (t1, t2) = (t1.to_be_bytes(), t2.to_be_bytes());
        let mut values: BTreeMap<Code, Cow<'_, [u8]>> = BTreeMap::new();
        values.insert(Code::BROADCAST, Cow::Borrowed(&broadcast));
        if let Some(machine) = self.choice.machine {
            values.insert(Code::HOSTNAME, Cow::Borrowed(machine.name.as_bytes()));
        }
        values.insert(Code::T1, Cow::Borrowed(&t1));
        values.insert(Code::T2, Cow::Borrowed(&t2));
        let layers = [&self.config.dhcp.options, &self.net.subnet.options, &self.choice.settings.options];
        let configured = layers.into_iter().flat_map(DhcpOptions::iter);
        for (code, bytes) in configured.filter(|(code, _)| !NOT_FROM_CONFIG.contains(code)) {
            values.insert(*code, Cow::Borrowed(bytes));
        }
        if let Some(prefix) = &self.boot.prefix {
            values.entry(Code::PXELINUX_PREFIX).or_insert(Cow::Borrowed(prefix.as_bytes()));
        }
        if lease.is_none() {
            values.remove(&Code::T1);
            values.remove(&Code::T2);
        }
        if self.query.class == ClientClass::Ipxe {
            values.entry(Code::IPXE).or_default().to_mut().extend(NO_PXEDHCP);
        }
        // EDK2 and iPXE take an offer with 60 for one that needs a talk on port 4011, and 43 means nothing
        // without it.
        if matches!(self.query.class, ClientClass::Ipxe | ClientClass::Firmware) {
            values.remove(&Code::VENDOR_CLASS);
            values.remove(&Code::VENDOR);
        }
        for (code, bytes) in vendor(self.query.class, self.boot) {
            values.insert(*code, Cow::Borrowed(*bytes));
        }
        for code in query_order(self.query.message) {
            if let Some(bytes) = values.remove(&code) {
                set_unless_there(message, code, &bytes);
            }
        }
        for (code, bytes) in values {
            set_unless_there(message, code, &bytes);
        }
    }
}

/// In both places: iPXE, pxelinux and shim read the header, EDK2 and GRUB the option.
pub(super) fn set_boot_file(message: &mut Message, query: &Query<'_>, boot: &BootFields) {
    let is_bootp = query.kind == Kind::Bootp;
    if let (Fetch::Tftp, Some(server), false) = (boot.by, boot.next_server, is_bootp) {
        message.options.set_text(Code::TFTP_SERVER, &server.to_string());
    }
    let Some(file) = &boot.file else { return };
    message.file = file.clone().into_bytes();
    if !is_bootp {
        message.options.set_text(Code::BOOT_FILE, file);
    }
}

/// What a class of firmware wants to read before it believes an offer of files, also from a proxy.
///
/// UEFI HTTP Boot looks for its own vendor class (UEFI 2.10 section 24.7.3.2); a Raspberry Pi for a boot menu whose one
/// entry has this name.
pub(super) fn vendor(class: ClientClass, boot: &BootFields) -> &'static [(Code, &'static [u8])] {
    const RASPBERRY_PI: &[u8] = b"\x06\x01\x03\x0a\x04\x00PXE\x09\x14\x00\x00\x11Raspberry Pi Boot\xff";
    match class {
        ClientClass::HttpBoot if boot.file.is_some() => &[(Code::VENDOR_CLASS, b"HTTPClient")],
        ClientClass::RaspberryPi if boot.next_server.is_some() => {
            &[(Code::VENDOR_CLASS, b"PXEClient"), (Code::VENDOR, RASPBERRY_PI)]
        }
        _ => &[],
    }
}

/// A refusal.
pub(super) fn nak(query: &Query<'_>, server: Ipv4Addr, why: &str) -> Reply {
    let mut message = query.message.reply();
    message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Nak.code());
    message.options.set_ip(Code::SERVER_ID, server);
    message.options.set_text(Code::MESSAGE, why);
    echo(query.message, &mut message);
    let destination = if query.message.giaddr.is_unspecified() {
        Destination::Broadcast
    } else {
        // The client may not have the address that the relay would send it to.
        message.broadcast = true;
        relay(query)
    };
    Reply { message, limit: query.message.payload_limit(query.received.mtu), destination }
}

fn query_order(message: &Message) -> impl Iterator<Item = Code> {
    message.parameter_list().iter().map(|code| Code(*code))
}

fn set_unless_there(message: &mut Message, code: Code, bytes: &[u8]) {
    if message.options.get(code).is_none() {
        message.options.set(code, bytes);
    }
}

/// What a client or its relay finds its own by: 61 (RFC 6842), 97 (GRUB reads it from the reply), 118 and 82.
/// Option 82 also comes without a relay's address: a switch added it, and needs it to find the port again.
pub(super) fn echo(request: &Message, reply: &mut Message) {
    let selected = relays::follows_subnet_selection(request).then_some(Code::SUBNET_SELECTION);
    for code in [Code::CLIENT_ID, Code::UUID].into_iter().chain(selected).chain([Code::RELAY_INFO]) {
        if let Some(bytes) = request.options.get(code) {
            reply.options.set(code, bytes);
        }
    }
}

/// Renewal at half of the lease, rebinding at seven eighths (RFC 2131 section 4.4.5), a few per cent earlier or
/// later by the client's address, so that machines that started together do not renew together for ever.
fn timers(hw: HwAddr, lease: u32) -> (u32, u32) {
    const SPREAD: u64 = 50;
    if lease == INFINITE {
        return (INFINITE, INFINITE);
    }
    let jitter = hash::of(hw) % (SPREAD + 1);
    let part = |thousandths: u64| u32::try_from(u64::from(lease) * thousandths / 1000).unwrap_or(lease);
    (part(500 - SPREAD / 2 + jitter), part(875 - SPREAD / 2 + jitter))
}

/// To the port of servers, unless the relay says that it listens where it sent from (RFC 8357).
pub(super) fn relay(query: &Query<'_>) -> Destination {
    let own_port = query.message.relay_info().is_some_and(|info| info.uses_source_port());
    let port = if own_port { query.received.source.port() } else { SERVER_PORT };
    Destination::Relay(SocketAddrV4::new(query.message.giaddr, port))
}

fn destination(query: &Query<'_>, address: Ipv4Addr) -> Destination {
    if !query.message.giaddr.is_unspecified() {
        return relay(query);
    }
    match query.kind {
        Kind::Inform(own) => {
            // To the port that it asked from, but never to another host: that would make a reflector of the server.
            let source = query.received.source;
            let to = if *source.ip() == own { source } else { SocketAddrV4::new(own, CLIENT_PORT) };
            Destination::UnicastIp(to)
        }
        Kind::Request(Request::Renewing(own) | Request::Rebinding(own)) => {
            Destination::UnicastIp(SocketAddrV4::new(own, CLIENT_PORT))
        }
        _ => match query.message.hw.mac() {
            Some(hw) if !query.message.broadcast && query.message.hw.htype() == HwAddr::ETHERNET => {
                Destination::UnicastHw { ip: address, hw }
            }
            _ => Destination::Broadcast,
        },
    }
}

/// What option 51 says of a lease time.
pub(super) fn seconds(lease: Duration) -> u32 {
    u32::try_from(lease.as_secs()).unwrap_or(INFINITE)
}
