//! What the options of a message mean.

use std::fmt;
use std::net::Ipv4Addr;

use super::{Arch, Code, Message};
use crate::cursor::Cursor;

/// DHCP message type (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// A client looks for servers.
    Discover,
    /// A server offers an address, or boot data alone.
    Offer,
    /// A client takes an offer, checks or extends what it has.
    Request,
    /// A client found its new address in use.
    Decline,
    /// A server commits.
    Ack,
    /// A server refuses.
    Nak,
    /// A client gives its address back.
    Release,
    /// A client with an address asks for the other options.
    Inform,
    /// Anything else: forced renewal, lease queries.
    Other(u8),
}

impl MessageType {
    /// The number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Decline => 4,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Release => 7,
            Self::Inform => 8,
            Self::Other(code) => code,
        }
    }
}

impl From<u8> for MessageType {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Discover => "DISCOVER",
            Self::Offer => "OFFER",
            Self::Request => "REQUEST",
            Self::Decline => "DECLINE",
            Self::Ack => "ACK",
            Self::Nak => "NAK",
            Self::Release => "RELEASE",
            Self::Inform => "INFORM",
            Self::Other(code) => return write!(f, "type {code}"),
        };
        f.write_str(name)
    }
}

/// User class (option 77), which has two forms in the wild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserClass<'a> {
    /// The option as it came. iPXE and gPXE put their name here as it is.
    pub raw: &'a [u8],
    /// Its parts, when it is a complete list as RFC 3004 has it; else empty.
    pub parts: Vec<&'a [u8]>,
}

impl<'a> UserClass<'a> {
    /// Reads the bytes of option 77.
    pub fn parse(raw: &'a [u8]) -> Self {
        Self { raw, parts: counted_list(raw).unwrap_or_default() }
    }

    /// The class is this one, in either form.
    pub fn has(&self, class: &[u8]) -> bool {
        self.raw == class || self.parts.contains(&class)
    }
}

/// `None` unless every part is non-empty and the last ends where the option does (RFC 3004 section 4).
fn counted_list(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut from = Cursor::new(bytes);
    let mut parts = Vec::new();
    while let Some(len) = from.u8() {
        parts.push(from.take(usize::from(len)).filter(|part| !part.is_empty())?);
    }
    Some(parts)
}

/// The name that a client wants in the DNS (option 81, RFC 4702).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fqdn {
    /// S, O, E and N bits, from the lowest.
    pub flags: u8,
    /// The name as text. Client input: neither letters nor length are checked.
    pub name: Vec<u8>,
}

impl Fqdn {
    const FLAG_WIRE_ENCODING: u8 = 4;

    /// Reads the bytes of option 81; the two result codes are obsolete and ignored.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor::new(bytes);
        let [flags, _, _] = from.array()?;
        let name = if flags & Self::FLAG_WIRE_ENCODING != 0 {
            dns_text(from.rest())
        } else {
            // Old Microsoft clients send and count a NUL.
            from.rest().split(|&b| b == 0).next().unwrap_or_default().to_vec()
        };
        Some(Self { flags, name })
    }
}

/// Labels to dotted text, as far as they are whole; a partial name ends without the root label.
fn dns_text(bytes: &[u8]) -> Vec<u8> {
    let mut from = Cursor::new(bytes);
    let mut labels = Vec::new();
    while let Some(len) = from.u8().filter(|len| *len != 0) {
        let Some(label) = from.take(usize::from(len)) else { break };
        labels.push(label);
    }
    labels.join(&b'.')
}

impl Message {
    /// The DHCP message type; `None` is BOOTP.
    pub fn message_type(&self) -> Option<MessageType> {
        self.options.u8(Code::MESSAGE_TYPE).map(MessageType::from)
    }

    /// The address that the client would like (option 50).
    pub fn requested_ip(&self) -> Option<Ipv4Addr> {
        self.options.ip(Code::REQUESTED_IP)
    }

    /// The server that is meant or that speaks (option 54).
    pub fn server_id(&self) -> Option<Ipv4Addr> {
        self.options.ip(Code::SERVER_ID)
    }

    /// Client identifier (option 61), type byte first.
    pub fn client_id(&self) -> Option<&[u8]> {
        self.options.get(Code::CLIENT_ID).filter(|id| !id.is_empty())
    }

    /// Lease time in seconds (option 51): a wish in requests.
    pub fn lease_time(&self) -> Option<u32> {
        self.options.u32(Code::LEASE_TIME)
    }

    /// Option 57 as the client says it; [`Message::payload_limit`] is what to believe.
    pub fn max_size(&self) -> Option<u16> {
        self.options.u16(Code::MAX_SIZE)
    }

    /// The options that the client asks for (option 55), in its order.
    pub fn parameter_list(&self) -> &[u8] {
        self.options.get(Code::PARAMETER_LIST).unwrap_or_default()
    }

    /// Host name (option 12) as sent. Client input: not checked in any way.
    pub fn hostname(&self) -> Option<&[u8]> {
        self.options.get(Code::HOSTNAME)
    }

    /// Fully qualified name (option 81).
    pub fn fqdn(&self) -> Option<Fqdn> {
        self.options.get(Code::FQDN).and_then(Fqdn::parse)
    }

    /// Vendor class (option 60) as sent.
    pub fn vendor_class(&self) -> Option<&[u8]> {
        self.options.get(Code::VENDOR_CLASS)
    }

    /// User class (option 77) in both its forms.
    pub fn user_classes(&self) -> Option<UserClass<'_>> {
        self.options.get(Code::USER_CLASS).map(UserClass::parse)
    }

    /// The architectures that the client can boot, best first.
    ///
    /// The numbers of option 93 decide. Firmware without it is believed the text of its vendor class, and is
    /// a BIOS when that has no number either. Clients that are no boot firmware have none.
    pub fn arch(&self) -> Vec<Arch> {
        let (pairs, _) = self.options.get(Code::ARCH).unwrap_or_default().as_chunks();
        if !pairs.is_empty() {
            return pairs.iter().map(|pair| Arch(u16::from_be_bytes(*pair))).collect();
        }
        let class = self.vendor_class().unwrap_or_default();
        let bios = class.starts_with(b"PXEClient").then_some(Arch::BIOS);
        Arch::from_vendor_class(class).or(bios).into_iter().collect()
    }

    /// SMBIOS UUID (option 97) in wire order; `None` when it is missing, malformed or a placeholder.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        let &[0, ref rest @ ..] = self.options.get(Code::UUID)? else { return None };
        let uuid = <[u8; 16]>::try_from(rest).ok()?;
        (uuid != [0; 16] && uuid != [0xff; 16]).then_some(uuid)
    }

    /// The subnet that the client asks to be in (option 118, RFC 3011). Trust it only from a relay.
    pub fn subnet_selection(&self) -> Option<Ipv4Addr> {
        self.options.ip(Code::SUBNET_SELECTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mac;
    use crate::dhcp::Op;

    fn with(code: Code, bytes: &[u8]) -> Message {
        let mut message = Message::new(Op::Request, Mac([2, 0, 0, 0, 0, 1]).into(), 1);
        message.options.set(code, bytes);
        message
    }

    #[test]
    fn message_types_lead_back_to_their_codes() {
        for code in 0..=255 {
            assert_eq!(MessageType::from(code).code(), code);
        }
        assert_eq!(with(Code::HOSTNAME, b"x").message_type(), None);
    }

    #[test]
    fn user_class_reads_both_forms() {
        assert_eq!(UserClass::parse(b"iPXE").parts, [b""; 0]);
        assert_eq!(UserClass::parse(b"\x04iPXE\x02ab").parts, [&b"iPXE"[..], b"ab"]);
        assert_eq!(UserClass::parse(b"\x04iPXE\x03ab").parts, [b""; 0], "cut short");
        assert_eq!(UserClass::parse(b"\x00\x04iPXE").parts, [b""; 0], "an empty part");
        assert!(UserClass::parse(b"iPXE").has(b"iPXE"));
        assert!(!UserClass::parse(b"\x04iPXE").has(b"PXE"));
    }

    #[test]
    fn architecture_prefers_the_number_over_the_text() {
        let mut message = with(Code::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003016");
        assert_eq!(message.arch(), [Arch::UEFI_X64]);
        message.options.set(Code::ARCH, [0, 9, 0, 7]);
        assert_eq!(message.arch(), [Arch::UEFI_BC, Arch::UEFI_X64]);
        assert_eq!(with(Code::VENDOR_CLASS, b"PXEClient").arch(), [Arch::BIOS]);
        assert_eq!(with(Code::VENDOR_CLASS, b"MSFT 5.0").arch(), []);
    }

    #[test]
    fn uuid_refuses_placeholders() {
        let uuid = |bytes: &[u8]| with(Code::UUID, bytes).uuid();
        assert_eq!(uuid(&[&[0][..], &[7; 16]].concat()), Some([7; 16]));
        for bytes in [&[][..], &[0; 17], &[0xff; 17], &[7; 17], &[0, 1, 2], &[0; 18]] {
            assert_eq!(uuid(bytes), None, "{bytes:?}");
        }
        assert_eq!(uuid(&[&[0][..], &[0xff; 16]].concat()), None);
    }

    #[test]
    fn fqdn_reads_both_encodings() {
        let name = |bytes: &[u8]| Fqdn::parse(bytes).map(|fqdn| fqdn.name);
        assert_eq!(name(b"\x00\x00\x00pc1.example.com\0"), Some(b"pc1.example.com".to_vec()));
        assert_eq!(name(b"\x05\x00\x00\x03pc1\x07example\x00"), Some(b"pc1.example".to_vec()));
        assert_eq!(name(b"\x04\x00\x00\x03pc1\x09exam"), Some(b"pc1".to_vec()));
        assert_eq!(name(b"\x04\x00"), None);
    }
}
