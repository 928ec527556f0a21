//! Who asks for what: a message and how it came, in the terms that decisions are made in.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use bootlace_wire::HwAddr;
use bootlace_wire::dhcp::{Arch, Code, HOPS_MAX, Message, MessageType, Op};

use crate::boot::features::IpxeFeatures;
use crate::config::Cidr;
use crate::event::{ClientClass, DhcpMessage};
use crate::model::{ClientId, Facts, Firmware, Reporting, Text, Uuid, Var};

/// How a message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The interface's name.
    pub interface: String,
    /// The interface's addresses with their prefix lengths.
    pub local: Vec<(Ipv4Addr, u8)>,
    /// The interface's MTU.
    pub mtu: u16,
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Where it was sent to: broadcast, or one of our addresses.
    pub destination: Ipv4Addr,
    /// The port that it was sent to.
    pub service: Service,
}

/// What a client takes us for by asking on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Port 67: a DHCP server or its proxy.
    Dhcp,
    /// Port 4011: a PXE boot server, which a proxy's offer has named (PXE 2.1 section 2.2).
    BootServer,
}

impl Received {
    /// It was sent to everybody on the link.
    pub fn is_broadcast(&self) -> bool {
        let directed = |(address, prefix): &(Ipv4Addr, u8)| {
            Cidr::new(*address, *prefix).is_some_and(|local| local.broadcast() == self.destination)
        };
        self.destination.is_broadcast() || self.local.iter().any(directed)
    }
}

/// A message that a server answers, understood.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// The message.
    pub message: &'a Message,
    /// How it came.
    pub received: &'a Received,
    /// What it wants.
    pub kind: Kind,
    /// Who sent it.
    pub class: ClientClass,
    /// What it boots with, if it is booting.
    pub firmware: Option<Firmware>,
    /// The key of its leases: the hardware address, or what stands for it where there is none.
    pub hw: HwAddr,
    /// Its UUID, when it is a real one.
    pub uuid: Option<Uuid>,
    /// What it tells of itself.
    pub facts: Facts,
    /// What an iPXE tells of its build; one that tells nothing may be able to do anything.
    pub features: Option<IpxeFeatures>,
}

/// What a client wants, with what that needs (RFC 2131 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Offers.
    Discover,
    /// An address, finally.
    Request(Request),
    /// Not this address: somebody else uses it.
    Decline(Ipv4Addr),
    /// To give this address back.
    Release(Ipv4Addr),
    /// Options for an address that it has by other means.
    Inform(Ipv4Addr),
    /// An address for ever, by BOOTP.
    Bootp,
    /// The boot file that a proxy's offer has promised, for the client at this address.
    BootServer(Ipv4Addr),
}

/// The four kinds of REQUEST (RFC 2131 section 4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Takes the offer of this server.
    Selecting {
        /// Whose offer it takes.
        server: Ipv4Addr,
        /// The offered address.
        address: Ipv4Addr,
    },
    /// Asks whether an address that it remembers still holds here.
    InitReboot(Ipv4Addr),
    /// Asks the server that gave it its address for more time.
    Renewing(Ipv4Addr),
    /// Asks any server for more time.
    Rebinding(Ipv4Addr),
}

impl Kind {
    /// The message type, for events.
    pub fn message(self) -> DhcpMessage {
        match self {
            Self::Discover => DhcpMessage::Discover,
            Self::Request(_) | Self::BootServer(_) => DhcpMessage::Request,
            Self::Decline(_) => DhcpMessage::Decline,
            Self::Release(_) => DhcpMessage::Release,
            Self::Inform(_) => DhcpMessage::Inform,
            Self::Bootp => DhcpMessage::Bootp,
        }
    }
}

/// Why a message is nothing for a server: counted, not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// A reply.
    Reply,
    /// It went through too many relays.
    Hops,
    /// Neither hardware address nor client identifier.
    Anonymous,
    /// It names no address where it must.
    NoAddress(MessageType),
    /// No message type that a server answers.
    Type(MessageType),
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply => f.write_str("a reply, not a request"),
            Self::Hops => f.write_str("passed too many relays"),
            Self::Anonymous => f.write_str("neither a hardware address nor a client identifier"),
            Self::NoAddress(kind) => write!(f, "{kind} without an address"),
            Self::Type(kind) => write!(f, "{kind} is not for a server"),
        }
    }
}

/// Understands a message.
pub fn classify<'a>(message: &'a Message, received: &'a Received) -> Result<Query<'a>, Unserved> {
    if message.op != Op::Request {
        return Err(Unserved::Reply);
    }
    if message.hops > HOPS_MAX {
        return Err(Unserved::Hops);
    }
    let hw = lease_key(message).ok_or(Unserved::Anonymous)?;
    let kind = kind(message, received)?;
    let class = class(message);
    let firmware = match class {
        ClientClass::Os => None,
        ClientClass::Bootp => Some(Firmware::Bios),
        ClientClass::HttpBoot => first_arch(message).map(Firmware::from_arch),
        // What asks as PXE client is served over TFTP, whatever its number promises.
        _ => first_arch(message).map(|arch| Firmware::from_arch(arch).over_tftp()),
    };
    let uuid = message.uuid().map(Uuid::from_wire).filter(|uuid| uuid.is_unique());
    let facts = facts(message, class, firmware, uuid);
    let features = ipxe_features(message).filter(|_| class == ClientClass::Ipxe);
    Ok(Query { message, received, kind, class, firmware, hw, uuid, facts, features })
}

/// InfiniBand sends no hardware address (RFC 4390): there the end of the client identifier, which holds the
/// port's GUID, stands for it.
fn lease_key(message: &Message) -> Option<HwAddr> {
    if !message.hw.as_bytes().is_empty() {
        return Some(message.hw);
    }
    let id = message.client_id()?;
    let tail = id.len().saturating_sub(16);
    HwAddr::new(message.hw.htype(), id.get(tail..)?)
}

fn kind(message: &Message, received: &Received) -> Result<Kind, Unserved> {
    let given = |address: Ipv4Addr| Some(address).filter(|address| !address.is_unspecified());
    let requested = message.requested_ip().and_then(given);
    // Some clients leave an old ciaddr beside option 50, which then is what they mean.
    let ciaddr = given(message.ciaddr).filter(|_| requested.is_none());
    let Some(message_type) = message.message_type() else { return Ok(Kind::Bootp) };
    let missing = Unserved::NoAddress(message_type);
    if received.service == Service::BootServer {
        // Some ROMs ask with an INFORM; a client that leaves `ciaddr` empty has its address all the same.
        return match message_type {
            MessageType::Request | MessageType::Inform => {
                given(message.ciaddr).or(given(*received.source.ip())).map(Kind::BootServer).ok_or(missing)
            }
            other => Err(Unserved::Type(other)),
        };
    }
    match message_type {
        MessageType::Discover => Ok(Kind::Discover),
        MessageType::Request => {
            let request = match (message.server_id(), requested, ciaddr) {
                (Some(server), Some(address), _) => Request::Selecting { server, address },
                (None, Some(address), _) => Request::InitReboot(address),
                (_, None, Some(address)) if is_unicast(message, received) => Request::Renewing(address),
                (_, None, Some(address)) => Request::Rebinding(address),
                (_, None, None) => return Err(missing),
            };
            Ok(Kind::Request(request))
        }
        MessageType::Decline => requested.map(Kind::Decline).ok_or(missing),
        MessageType::Release => ciaddr.map(Kind::Release).ok_or(missing),
        // Windows sends some without ciaddr.
        MessageType::Inform => ciaddr.or(given(*received.source.ip())).map(Kind::Inform).ok_or(missing),
        other => Err(Unserved::Type(other)),
    }
}

/// The client sent this to one server; a relay says so by RFC 5010 or it counts as broadcast.
fn is_unicast(message: &Message, received: &Received) -> bool {
    if !message.giaddr.is_unspecified() {
        return message.relay_info().and_then(|info| info.client_unicast()) == Some(true);
    }
    !received.is_broadcast()
}

/// The order decides: iPXE also says `PXEClient`, and a Raspberry Pi says that it is a PC's BIOS.
fn class(message: &Message) -> ClientClass {
    let vendor_class = message.vendor_class().unwrap_or_default();
    let is_pxe = vendor_class.starts_with(b"PXEClient");
    if message.message_type().is_none() {
        ClientClass::Bootp
    } else if message.is_ipxe() {
        ClientClass::Ipxe
    } else if vendor_class.starts_with(b"HTTPClient") {
        ClientClass::HttpBoot
    } else if is_raspberry_pi(message, is_pxe) {
        ClientClass::RaspberryPi
    } else if is_pxe {
        ClientClass::Firmware
    } else if vendor_class.starts_with(b"U-Boot") || first_arch(message).is_some_and(is_uboot) {
        ClientClass::Uboot
    } else {
        ClientClass::Os
    }
}

fn first_arch(message: &Message) -> Option<u16> {
    message.arch().first().map(|arch| arch.0)
}

fn is_uboot(arch: u16) -> bool {
    matches!(arch, 21..=24) || arch == Arch::UEFI_RISCV64.0
}

/// By the EEPROM's option 97, which stays when its REQUEST leaves option 60 out; older boot ROMs by their
/// vendor prefixes or their placeholder UUID.
fn is_raspberry_pi(message: &Message, is_pxe: bool) -> bool {
    const PREFIXES: [[u8; 3]; 6] = [
        [0xb8, 0x27, 0xeb],
        [0xdc, 0xa6, 0x32],
        [0xe4, 0x5f, 0x01],
        [0x28, 0xcd, 0xc1],
        [0xd8, 0x3a, 0xdd],
        [0x2c, 0xcf, 0x67],
    ];
    let uuid = message.uuid();
    if uuid.is_some_and(|uuid| uuid.starts_with(b"RPi4") || uuid.starts_with(b"RPi5")) {
        return true;
    }
    let may_be = is_pxe && first_arch(message).is_some_and(|arch| arch == 0 || arch == Arch::RPI.0);
    let by_prefix = message.hw.as_bytes().first_chunk().is_some_and(|prefix| PREFIXES.contains(prefix));
    may_be && (by_prefix || uuid == Some([0x44; 16]))
}

/// A marker of zero says that a feature is not there.
fn ipxe_features(message: &Message) -> Option<IpxeFeatures> {
    let ipxe = message.ipxe()?;
    let there = ipxe.features().filter(|(_, value)| *value != 0).map(|(feature, _)| feature);
    Some(IpxeFeatures::new(there, ipxe.version))
}

fn facts(message: &Message, class: ClientClass, firmware: Option<Firmware>, uuid: Option<Uuid>) -> Facts {
    let mut facts = Facts::new();
    if let Some(mac) = message.hw.mac() {
        facts.set(Var::Mac, mac.to_string().as_str());
    }
    if let Some(firmware) = firmware {
        facts.set(Var::Firmware, firmware.to_string().as_str());
    }
    if let Some(uuid) = uuid {
        facts.set(Var::Uuid, uuid.to_string().as_str());
    }
    if class == ClientClass::Ipxe {
        facts.set(Var::Loader, "ipxe");
    }
    if let Some(hostname) = message.hostname() {
        facts.set(Var::Hostname, Text::clean(hostname));
    }
    if let Some(vendor_class) = message.vendor_class() {
        facts.set(Var::VendorClass, Text::clean(vendor_class));
    }
    if let Some(user_class) = message.user_classes() {
        let counted = user_class.parts.join(&b',');
        facts.set(Var::UserClass, Text::clean(if counted.is_empty() { user_class.raw } else { &counted }));
    }
    let id = message.client_id().and_then(|id| telling_id(id, message.hw, message.options.get(Code::UUID)));
    if let Some(id) = id {
        facts.set(Var::ClientId, id.to_string().as_str());
    }
    // Only what still loads something from us can be asked for more.
    if class == ClientClass::Os {
        facts.reporting = Reporting::Done;
    }
    facts
}

/// A client identifier, unless it only says the client's hardware address or what `uuid` (option 97) says: most do.
pub(super) fn telling_id(id: &[u8], hw: HwAddr, uuid: Option<&[u8]>) -> Option<ClientId> {
    let says_hw = id.split_first() == Some((&hw.htype(), hw.as_bytes()));
    if says_hw || uuid == Some(id) { None } else { ClientId::new(id) }
}
