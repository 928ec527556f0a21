//! A message for people: one line for the header, one per option.

use std::fmt::{self, Write as _};
use std::net::Ipv4Addr;

use super::decode::tlvs;
use super::typed::{OptionType, option_type};
use super::{Arch, Code, Fqdn, Ipxe, Message, MessageType, Op, RelayInfo, UserClass};
use crate::cursor::Cursor;
use crate::{HwAddr, Mac};

/// Text beyond this is cut: client input must not flood a log.
const TEXT_LEN_MAX: usize = 128;
/// Bytes beyond this are cut.
const HEX_LEN_MAX: usize = 64;
/// List entries beyond this are cut.
const ENTRIES_MAX: usize = 64;
/// No sane client sends as many options.
const OPTIONS_MAX: usize = 64;

/// Every field that is set and every option, decoded, one per line.
///
/// Nothing in it needs escaping: what clients sent as text is quoted with control and non-ASCII bytes
/// replaced, and everything is bounded.
pub fn describe(message: &Message) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = header(&mut out, message);
    for (code, bytes) in message.options.iter().take(OPTIONS_MAX) {
        let _ = writeln!(out, "{}", describe_option(code, bytes));
    }
    if let Some(more) = message.options.len().checked_sub(OPTIONS_MAX).filter(|more| *more > 0) {
        let _ = writeln!(out, "... and {more} more options");
    }
    out
}

/// One option: number, name and decoded value, without a line end.
pub fn describe_option(code: Code, bytes: &[u8]) -> String {
    format!("option {code}: {}", describe_value(code, bytes))
}

/// The decoded value of an option alone.
pub fn describe_value(code: Code, bytes: &[u8]) -> String {
    structured(code, bytes)
        .or_else(|| plain(option_type(code), bytes))
        .unwrap_or_else(|| format!("malformed {}", Hex(bytes)))
}

fn header(out: &mut String, message: &Message) -> fmt::Result {
    let op = match message.op {
        Op::Request => "request",
        Op::Reply => "reply",
    };
    write!(out, "{op} {} xid {:#010x} secs {}", message.hw, message.xid, message.secs)?;
    if message.hops != 0 {
        write!(out, " hops {}", message.hops)?;
    }
    if message.broadcast {
        out.push_str(" broadcast");
    }
    out.push('\n');
    let addresses = [
        ("ciaddr", message.ciaddr),
        ("yiaddr", message.yiaddr),
        ("siaddr", message.siaddr),
        ("giaddr", message.giaddr),
    ];
    for (name, address) in addresses.iter().filter(|(_, address)| !address.is_unspecified()) {
        writeln!(out, "{name} {address}")?;
    }
    for (name, text) in [("sname", &message.sname), ("file", &message.file)] {
        if !text.is_empty() {
            writeln!(out, "{name} {}", Text(text))?;
        }
    }
    Ok(())
}

/// Options with a format of their own; `None` when the bytes do not follow it, or for all others.
fn structured(code: Code, bytes: &[u8]) -> Option<String> {
    Some(match code {
        Code::MESSAGE_TYPE => MessageType::from(single(bytes)?).to_string(),
        Code::PARAMETER_LIST => list(bytes.iter().map(|b| Code(*b))),
        Code::VENDOR => vendor(bytes)?,
        Code::CLIENT_ID => client_id(bytes)?,
        Code::USER_CLASS => user_class(bytes),
        Code::FQDN => {
            let fqdn = Fqdn::parse(bytes)?;
            format!("{} flags {:#04x}", Text(&fqdn.name), fqdn.flags)
        }
        Code::RELAY_INFO => relay_info(bytes),
        Code::ARCH => {
            let (pairs, odd) = bytes.as_chunks();
            if pairs.is_empty() || !odd.is_empty() {
                return None;
            }
            list(pairs.iter().map(|pair| Arch(u16::from_be_bytes(*pair))))
        }
        Code::UNDI => match *bytes {
            [1, major, minor] => format!("UNDI {major}.{minor}"),
            _ => return None,
        },
        Code::UUID => match *bytes {
            [0, ref uuid @ ..] if uuid.len() == 16 => wire_uuid(uuid),
            _ => return None,
        },
        Code::IPXE => ipxe(bytes)?,
        _ => return None,
    })
}

/// By the type of the option; `None` when the length does not suit it.
fn plain(kind: OptionType, bytes: &[u8]) -> Option<String> {
    Some(match kind {
        OptionType::Ip => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string(),
        OptionType::Ips | OptionType::IpPairs => {
            let (quads, odd) = bytes.as_chunks::<4>();
            if quads.is_empty() || !odd.is_empty() {
                return None;
            }
            list(quads.iter().copied().map(Ipv4Addr::from))
        }
        OptionType::U8 => single(bytes)?.to_string(),
        OptionType::U16 => u16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        OptionType::U32 => match u32::from_be_bytes(bytes.try_into().ok()?) {
            u32::MAX => "infinite".to_owned(),
            n => n.to_string(),
        },
        OptionType::I32 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        OptionType::Bool => if single(bytes)? == 0 { "no" } else { "yes" }.to_owned(),
        OptionType::Text => Text(bytes).to_string(),
        OptionType::Hex => Hex(bytes).to_string(),
        OptionType::Routes => routes(bytes)?,
        OptionType::Domains => domains(bytes)?,
        OptionType::Any => any(bytes),
    })
}

fn single(bytes: &[u8]) -> Option<u8> {
    match *bytes {
        [byte] => Some(byte),
        _ => None,
    }
}

/// PXE sub-options (PXE 2.1 section 2) where it is a list of them, else bytes.
fn vendor(bytes: &[u8]) -> Option<String> {
    let mut subs = tlvs(bytes).peekable();
    subs.peek()?;
    Some(list(subs.map(|(tag, value)| match (tag, value) {
        (6, &[control]) => format!("6 discovery-control {control:#04x}"),
        (9, _) => format!("9 boot-menu {}", boot_menu(value)),
        (10, &[timeout, ref prompt @ ..]) => format!("10 menu-prompt {timeout} s {}", Text(prompt)),
        (71, &[t1, t0, l1, l0]) => {
            let (kind, layer) = (u16::from_be_bytes([t1, t0]), u16::from_be_bytes([l1, l0]));
            format!("71 boot-item {kind} layer {layer}")
        }
        _ => format!("{tag} {}", Hex(value)),
    })))
}

/// Server type, then counted text, for each entry.
fn boot_menu(bytes: &[u8]) -> String {
    let mut from = Cursor::new(bytes);
    let entries = std::iter::from_fn(|| {
        let (kind, len) = (from.u16()?, from.u8()?);
        Some(format!("{kind} {}", Text(from.take(usize::from(len))?)))
    });
    list(entries)
}

fn client_id(bytes: &[u8]) -> Option<String> {
    Some(match *bytes {
        [] => return None,
        [HwAddr::ETHERNET, a, b, c, d, e, f] => format!("ether {}", Mac([a, b, c, d, e, f])),
        [0, ref uuid @ ..] if uuid.len() == 16 => format!("uuid {}", wire_uuid(uuid)),
        // RFC 4361 section 6.1.
        [0xff, a, b, c, d, ref duid @ ..] => format!("iaid {} duid {}", Hex(&[a, b, c, d]), Hex(duid)),
        _ => Hex(bytes).to_string(),
    })
}

fn user_class(bytes: &[u8]) -> String {
    let class = UserClass::parse(bytes);
    if class.parts.is_empty() {
        return Text(bytes).to_string();
    }
    list(class.parts.iter().map(|part| Text(part)))
}

fn relay_info(bytes: &[u8]) -> String {
    let info = RelayInfo::parse(bytes);
    list(info.iter().map(|(code, value)| {
        let name = RelayInfo::name(code).map(|name| format!(" {name}")).unwrap_or_default();
        match (code, value) {
            (5 | 11, &[a, b, c, d]) => format!("{code}{name} {}", Ipv4Addr::new(a, b, c, d)),
            (1 | 2 | 6, text) if text.iter().all(|b| (0x20..0x7f).contains(b)) => {
                format!("{code}{name} {}", Text(text))
            }
            _ => format!("{code}{name} {}", Hex(value)),
        }
    }))
}

/// What the client reports of itself, or the settings that a server sent.
fn ipxe(bytes: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    match Ipxe::parse(bytes) {
        Some(ipxe) => {
            if let Some([major, minor, patch]) = ipxe.version {
                words.push(format!("version {major}.{minor}.{patch}"));
            }
            if let Some(bus) = ipxe.bus {
                words.push(format!("bus {} {:04x}:{:04x}", bus.kind, bus.vendor, bus.device));
            }
            words.extend(ipxe.features().map(|(feature, value)| match value {
                1 => feature.name().to_owned(),
                value => format!("{}={value}", feature.name()),
            }));
        }
        None => words.extend(tlvs(bytes).map(|(tag, value)| match (tag, value) {
            (1, &[priority]) => format!("priority {}", priority.cast_signed()),
            (8, &[keep]) => format!("keep-san {keep}"),
            (9, &[skip]) => format!("skip-san-boot {skip}"),
            (176, &[skip]) => format!("no-pxedhcp {skip}"),
            _ => format!("{tag} {}", Hex(value)),
        })),
    }
    (!words.is_empty()).then(|| list(words))
}

fn routes(bytes: &[u8]) -> Option<String> {
    let mut from = Cursor::new(bytes);
    let mut routes = Vec::new();
    while let Some(len) = from.u8() {
        let significant = from.take(usize::from(len.div_ceil(8)))?;
        let mut network = [0; 4];
        network.get_mut(..significant.len())?.copy_from_slice(significant);
        let router = Ipv4Addr::from(from.array::<4>()?);
        routes.push(format!("{}/{len} via {router}", Ipv4Addr::from(network)));
    }
    Some(list(routes))
}

/// Names without compression; with it (RFC 3397 allows that to others) the bytes are shown.
fn domains(bytes: &[u8]) -> Option<String> {
    let mut from = Cursor::new(bytes);
    let mut names = vec![];
    let mut labels: Vec<&[u8]> = vec![];
    while let Some(len) = from.u8() {
        if len == 0 {
            names.push(std::mem::take(&mut labels).join(&b'.'));
        } else {
            labels.push(from.take(usize::from(len))?);
        }
    }
    if names.is_empty() || !labels.is_empty() {
        return Some(Hex(bytes).to_string());
    }
    Some(list(names.iter().map(|name| Text(name))))
}

/// Nothing is known of it: text if it all prints, else bytes.
fn any(bytes: &[u8]) -> String {
    if !bytes.is_empty() && bytes.iter().all(|b| (0x20..0x7f).contains(b)) {
        return Text(bytes).to_string();
    }
    Hex(bytes).to_string()
}

/// The bytes as they came, grouped like a UUID: what pxelinux and GRUB print, not what dmidecode does.
fn wire_uuid(uuid: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn list(entries: impl IntoIterator<Item: fmt::Display>) -> String {
    let mut out = String::new();
    for (at, entry) in entries.into_iter().enumerate() {
        if at == ENTRIES_MAX {
            out.push_str(", ...");
            break;
        }
        let _ = write!(out, "{}{entry}", if at == 0 { "" } else { ", " });
    }
    out
}

/// Quoted, escaped, bounded.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..TEXT_LEN_MAX).unwrap_or(self.0);
        write!(f, "\"{}\"", shown.escape_ascii())?;
        cut_mark(f, shown, self.0)
    }
}

/// Hex digits, bounded.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..HEX_LEN_MAX).unwrap_or(self.0);
        f.write_str("hex:")?;
        shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        cut_mark(f, shown, self.0)
    }
}

fn cut_mark(f: &mut fmt::Formatter<'_>, shown: &[u8], all: &[u8]) -> fmt::Result {
    if shown.len() < all.len() { write!(f, "... ({} bytes)", all.len()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        let expected: [(Code, &[u8], &str); 19] = [
            (Code::MESSAGE_TYPE, &[1], "DISCOVER"),
            (Code::MESSAGE_TYPE, &[13], "type 13"),
            (Code::LEASE_TIME, &[0xff; 4], "infinite"),
            (Code::PARAMETER_LIST, &[1, 3, 224], "1 netmask, 3 router, 224"),
            (Code::ARCH, &[0, 7, 0, 99], "7 uefi-x64, 99"),
            (Code::UNDI, &[1, 3, 16], "UNDI 3.16"),
            (Code::DNS, &[10, 0, 0, 1, 10, 0, 0, 2], "10.0.0.1, 10.0.0.2"),
            (Code::DNS, &[10, 0, 0], "malformed hex:0a0000"),
            (Code::IP_FORWARD, &[0], "no"),
            (Code::TIME_OFFSET, &[255, 255, 241, 240], "-3600"),
            (Code::USER_CLASS, b"iPXE", "\"iPXE\""),
            (Code::USER_CLASS, b"\x02ab\x01c", "\"ab\", \"c\""),
            (
                Code::VENDOR,
                b"\x06\x01\x08\x0a\x04\x00PXE\xff",
                "6 discovery-control 0x08, 10 menu-prompt 0 s \"PXE\"",
            ),
            (Code::IPXE, b"\xb0\x01\x01\x01\x01\xff", "no-pxedhcp 1, priority -1"),
            (
                Code::RELAY_INFO,
                b"\x01\x04eth3\x02\x01\x00\x05\x04\x0a\x01\x00\x00",
                "1 circuit-id \"eth3\", 2 remote-id hex:00, 5 link-selection 10.1.0.0",
            ),
            (
                Code::CLASSLESS_ROUTES,
                &[0, 10, 0, 0, 1, 17, 10, 1, 128, 10, 0, 0, 9],
                "0.0.0.0/0 via 10.0.0.1, 10.1.128.0/17 via 10.0.0.9",
            ),
            (Code::DOMAIN_SEARCH, b"\x01a\x02bc\x00\x01d\x00", "\"a.bc\", \"d\""),
            (Code::CLIENT_ID, &[255, 0, 0, 0, 1, 0, 4, 9], "iaid hex:00000001 duid hex:000409"),
            (Code(224), b"a b", "\"a b\""),
        ];
        for (code, bytes, text) in expected {
            assert_eq!(describe_value(code, bytes), text, "{code}");
        }
        assert_eq!(describe_option(Code::MTU, &[5, 220]), "option 26 mtu: 1500");
    }

    #[test]
    fn client_text_cannot_break_a_line_or_flood_it() {
        let line = describe_option(Code::HOSTNAME, b"a\r\nb\x1b[2J\"\xff");
        assert_eq!(line, r#"option 12 hostname: "a\r\nb\x1b[2J\"\xff""#);
        assert!(describe_option(Code::HOSTNAME, &[0; 4000]).len() < 600);
        assert!(describe_option(Code::VENDOR, &[1, 0].repeat(4000)).len() < 4000);
        assert!(describe_option(Code(224), &[0; 4000]).ends_with("... (4000 bytes)"));
    }
}
