//! Settings: what scripts set, and what the machine and its lease are.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bootlace_wire::dhcp::{Arch, Code, Message};

use crate::clients::ipxe::VERSION;
use crate::clients::{Platform, View};
use crate::dhcp::name_of;
use crate::limits::{SETTINGS_MAX, VALUE_BYTES_MAX};

/// A value with its own way to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    /// Shown in hexadecimal with colons.
    Bytes(Vec<u8>),
    Ip(Ipv4Addr),
    Number(u32),
    Uuid([u8; 16]),
}

/// What scripts have set.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<String, Value>);

/// The options that have names (core/settings.c, net/netdev_settings.c).
const OPTIONS: &[(&str, Code)] = &[
    ("netmask", Code::SUBNET_MASK),
    ("gateway", Code::ROUTER),
    ("dns", Code::DNS),
    ("domain", Code::DOMAIN),
    ("hostname", Code::HOSTNAME),
    ("root-path", Code::ROOT_PATH),
    ("dhcp-server", Code::SERVER_ID),
    ("vendor-class", Code::VENDOR_CLASS),
    ("initiator-iqn", Code::ISCSI_INITIATOR),
    ("mtu", Code::MTU),
];

impl Settings {
    /// Sets, or with an empty value clears. A type decides how the text is read; false when it cannot be.
    pub(super) fn set(&mut self, name: &str, text: &str) -> bool {
        let (name, kind) = name.split_once(':').unwrap_or((name, ""));
        let key = key(name);
        if text.is_empty() {
            self.0.remove(&key);
            return true;
        }
        let value = match kind {
            "hex" | "hexhyp" | "hexraw" => from_hex(text).map(Value::Bytes),
            "ipv4" => text.parse().ok().map(Value::Ip),
            "int8" | "int16" | "int32" | "uint8" | "uint16" | "uint32" => number(text).map(Value::Number),
            _ => Some(Value::Text(text.chars().take(VALUE_BYTES_MAX).collect())),
        };
        match value {
            Some(value) if self.0.len() < SETTINGS_MAX || self.0.contains_key(&key) => {
                self.0.insert(key, value);
                true
            }
            _ => false,
        }
    }

    /// `inc NAME BY`.
    pub(super) fn increase(&mut self, name: &str, by: u32, view: &View<'_>) {
        let old = number(&self.formatted(name, view)).unwrap_or(0);
        let sum = old.wrapping_add(by).to_string();
        self.set(name, &sum);
    }

    /// The value as text; empty when there is none.
    pub(super) fn text(&self, name: &str, view: &View<'_>) -> String {
        self.formatted(name, view)
    }

    /// `NAME` or `NAME:TYPE`.
    pub(super) fn formatted(&self, name: &str, view: &View<'_>) -> String {
        let (name, kind) = name.split_once(':').map_or((name, None), |(name, kind)| (name, Some(kind)));
        let key = key(name);
        let value = self
            .0
            .get(&key)
            .cloned()
            .or_else(|| self.0.get(bare(&key)).cloned())
            .or_else(|| built_in(&key, view));
        value.map(|value| value.format(kind)).unwrap_or_default()
    }

    /// The platform goes by these names.
    pub(super) fn set_platform(&mut self, platform: Platform) {
        let (name, arch) = match platform {
            Platform::Bios => ("pcbios", "i386"),
            Platform::Efi(Arch::UEFI_ARM64) => ("efi", "arm64"),
            Platform::Efi(_) => ("efi", "x86_64"),
        };
        self.set("platform", name);
        self.set("buildarch", arch);
    }
}

/// The one card is `net0`, and as the last opened also `netX`.
fn key(name: &str) -> String {
    name.strip_prefix("netX").map_or_else(|| name.to_owned(), |rest| format!("net0{rest}"))
}

/// A name without the block that it is looked for in.
fn bare(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

pub(super) fn next_server(view: &View<'_>) -> Option<Ipv4Addr> {
    let lease = view.lease?;
    let sources = [Some(&lease.ack), lease.proxy.as_ref(), lease.boot_server.as_ref()];
    sources.into_iter().flatten().map(|message| message.siaddr).find(|ip| !ip.is_unspecified())
}

/// What the machine is and what its lease says.
fn built_in(key: &str, view: &View<'_>) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let lease = view.lease;
    let (block, name) = key.rsplit_once('/').unwrap_or(("", key));
    let message: Option<&Message> = match block {
        "proxydhcp" => lease?.proxy.as_ref(),
        "pxebs" => lease?.boot_server.as_ref(),
        _ => lease.map(|lease| &lease.ack),
    };
    match name {
        "mac" | "sysmac" => return Some(Value::Bytes(view.who.mac.0.to_vec())),
        "uuid" => return Some(Value::Uuid(view.who.uuid)),
        "version" => return text(VERSION),
        "ifname" => return text("net0"),
        "user-class" => return text("iPXE"),
        "linktype" => return text("Ethernet"),
        "chip" => return text("virtio-net"),
        "memsize" => return Some(Value::Number(2048)),
        "manufacturer" => return text("Bootlace"),
        "product" => return text("Probe"),
        "ip" => return lease.map(|lease| Value::Ip(lease.address.ip)),
        "next-server" => return next_server(view).map(Value::Ip),
        "filename" if block.is_empty() || block == "net0" => {
            let lease = lease?;
            let sources = [Some(&lease.ack), lease.proxy.as_ref(), lease.boot_server.as_ref()];
            return sources.into_iter().flatten().find_map(name_of).map(Value::Text);
        }
        "filename" => return name_of(message?).map(Value::Text),
        _ => {}
    }
    let code = OPTIONS.iter().find(|(known, _)| *known == name).map(|(_, code)| *code);
    let code = code.or_else(|| name.parse().ok().map(Code))?;
    let bytes = message?.options.get(code)?;
    Some(match (code, bytes) {
        (Code::SUBNET_MASK | Code::ROUTER | Code::DNS | Code::SERVER_ID, &[a, b, c, d, ..]) => {
            Value::Ip([a, b, c, d].into())
        }
        (Code::MTU, &[a, b]) => Value::Number(u32::from(u16::from_be_bytes([a, b]))),
        _ => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
    })
}

impl Value {
    fn raw(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Ip(ip) => ip.octets().to_vec(),
            Self::Number(number) => number.to_be_bytes().to_vec(),
            Self::Uuid(uuid) => uuid.to_vec(),
        }
    }

    fn format(&self, kind: Option<&str>) -> String {
        let joined = |bytes: Vec<u8>, by: &str| {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(by)
        };
        match (kind, self) {
            (None, Self::Text(text)) => text.clone(),
            (None | Some("hex"), Self::Bytes(bytes)) => joined(bytes.clone(), ":"),
            (None, Self::Ip(ip)) | (Some("ipv4"), Self::Ip(ip)) => ip.to_string(),
            (None, Self::Number(number)) => number.to_string(),
            (None | Some("uuid"), Self::Uuid(uuid)) => uuid_text(uuid),
            (Some("hex"), _) => joined(self.raw(), ":"),
            (Some("hexhyp"), _) => joined(self.raw(), "-"),
            (Some("hexraw"), _) => joined(self.raw(), ""),
            (Some("uristring"), _) => percent(&self.raw()),
            (Some("ipv4"), _) => match self.raw().as_slice() {
                &[a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d).to_string(),
                _ => String::new(),
            },
            (Some("int8" | "int16" | "int32" | "uint8" | "uint16" | "uint32"), _) => {
                let raw = self.raw();
                let value = match self {
                    Self::Text(text) => number(text).unwrap_or(0),
                    _ => raw.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)),
                };
                value.to_string()
            }
            _ => String::from_utf8_lossy(&self.raw()).into_owned(),
        }
    }
}

/// As iPXE prints it: the first three fields are little-endian in the bytes (SMBIOS 2.6).
fn uuid_text(uuid: &[u8; 16]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (at, from) in order.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", uuid[from]));
    }
    text
}

/// What a URL may hold as it is, and `%XX` for the rest (RFC 3986 section 2.3).
pub(super) fn percent(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let separated = text.contains([':', '-']);
    if separated {
        return text.split([':', '-']).map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    }
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
