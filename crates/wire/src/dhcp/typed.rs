//! Option values as people write them in a configuration.

use std::fmt;
use std::net::Ipv4Addr;

use super::Code;

/// What kind of value an option holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionType {
    /// One IPv4 address.
    Ip,
    /// One or more IPv4 addresses.
    Ips,
    /// Pairs of addresses: destination and router, or address and mask.
    IpPairs,
    /// 0 to 255.
    U8,
    /// 0 to 65535.
    U16,
    /// 0 to 4294967295.
    U32,
    /// A signed number of 32 bits.
    I32,
    /// Yes or no.
    Bool,
    /// Text without a NUL.
    Text,
    /// Bytes with a structure of their own, written in hex.
    Hex,
    /// Networks with their routers (RFC 3442).
    Routes,
    /// Domain names (RFC 3397).
    Domains,
    /// Nothing is known: addresses when the value looks like it, else text.
    Any,
}

/// The type of an option's value.
pub fn option_type(code: Code) -> OptionType {
    code.option_type().unwrap_or(OptionType::Any)
}

/// Why a value does not suit its option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// The server decides this option itself, or only clients send it.
    Managed,
    /// Nothing there.
    Empty,
    /// More than the 255 bytes that an option can hold.
    TooLong,
    /// No IPv4 address.
    NotAddress,
    /// More or fewer addresses than the option takes.
    AddressCount,
    /// No number, or outside the option's range.
    NotNumber,
    /// Neither yes nor no.
    NotBool,
    /// Not an even number of hex digits.
    NotHex,
    /// Control characters in a text.
    NotText,
    /// Not `NETWORK/LENGTH ROUTER`.
    NotRoute,
    /// Not a domain name.
    NotDomain,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Managed => "the server sets this option itself",
            Self::Empty => "the value is empty",
            Self::TooLong => "longer than the 255 bytes that an option can hold",
            Self::NotAddress => "not an IPv4 address; write it as 10.0.0.1, several with commas",
            Self::AddressCount => "a wrong number of addresses for this option",
            Self::NotNumber => "not a number in this option's range",
            Self::NotBool => "neither yes nor no",
            Self::NotHex => "not hex bytes; write them as hex:0a0b0c",
            Self::NotText => "control characters have no place in this option; write the bytes as hex:0a0b0c",
            Self::NotRoute => "not a route; write it as 10.1.0.0/16 10.0.0.1, several with commas",
            Self::NotDomain => "not a domain name; write several with commas",
        })
    }
}

impl std::error::Error for ValueError {}

const OPTION_LEN_MAX: usize = 255;
/// What a link must carry for PXE to work; some stacks take a smaller number at its word and go dead.
const MTU_MIN: u16 = 576;
/// RFC 1035 section 2.3.4.
const LABEL_LEN_MAX: usize = 63;
const NAME_LEN_MAX: usize = 255;
/// Marks a value as bytes, whatever the option's type.
const HEX_PREFIX: &str = "hex:";

/// Not for a configuration: part of the protocol itself, or said by clients only.
const MANAGED: [Code; 16] = [
    Code::PAD,
    Code::REQUESTED_IP,
    Code::LEASE_TIME,
    Code::OVERLOAD,
    Code::MESSAGE_TYPE,
    Code::SERVER_ID,
    Code::PARAMETER_LIST,
    Code::MAX_SIZE,
    Code::CLIENT_ID,
    Code::RAPID_COMMIT,
    Code::RELAY_INFO,
    Code::ARCH,
    Code::UNDI,
    Code::UUID,
    Code::SUBNET_SELECTION,
    Code::END,
];

/// Turns a value such as `10.0.0.1,10.0.0.2`, `text`, `300` or `hex:0a0b` into the bytes of an option.
///
/// `hex:` works for every option and is not checked further than its length.
pub fn encode_option(code: Code, value: &str) -> Result<Vec<u8>, ValueError> {
    if MANAGED.contains(&code) {
        return Err(ValueError::Managed);
    }
    let value = value.trim();
    let bytes = match value.strip_prefix(HEX_PREFIX) {
        Some(digits) => hex(digits)?,
        None if value.is_empty() => return Err(ValueError::Empty),
        None => encode_value(code, value)?,
    };
    if bytes.len() > OPTION_LEN_MAX { Err(ValueError::TooLong) } else { Ok(bytes) }
}

fn encode_value(code: Code, value: &str) -> Result<Vec<u8>, ValueError> {
    match option_type(code) {
        OptionType::Ip => addresses(value, |count| count == 1),
        OptionType::Ips => addresses(value, |count| count > 0),
        OptionType::IpPairs => addresses(value, |count| count > 0 && count % 2 == 0),
        OptionType::U8 => number::<u8>(value).map(|n| vec![n]),
        OptionType::U16 => match number::<u16>(value)? {
            n if code == Code::MTU && n < MTU_MIN => Err(ValueError::NotNumber),
            n => Ok(n.to_be_bytes().to_vec()),
        },
        OptionType::U32 => number::<u32>(value).map(|n| n.to_be_bytes().to_vec()),
        OptionType::I32 => number::<i32>(value).map(|n| n.to_be_bytes().to_vec()),
        OptionType::Bool => boolean(value).map(|b| vec![u8::from(b)]),
        OptionType::Text => text(value),
        OptionType::Hex => hex(value),
        OptionType::Routes => routes(value),
        OptionType::Domains => domains(value),
        OptionType::Any => addresses(value, |count| count > 0).or_else(|_| text(value)),
    }
}

/// The parts of a list; commas and blanks separate.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty())
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, ValueError> {
    value.parse().map_err(|_| ValueError::NotNumber)
}

fn address(word: &str) -> Result<Ipv4Addr, ValueError> {
    word.parse().map_err(|_| ValueError::NotAddress)
}

fn addresses(value: &str, fits: impl Fn(usize) -> bool) -> Result<Vec<u8>, ValueError> {
    let list = words(value).map(address).collect::<Result<Vec<_>, _>>()?;
    if !fits(list.len()) {
        return Err(ValueError::AddressCount);
    }
    Ok(list.iter().flat_map(Ipv4Addr::octets).collect())
}

fn boolean(value: &str) -> Result<bool, ValueError> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => Err(ValueError::NotBool),
    }
}

fn text(value: &str) -> Result<Vec<u8>, ValueError> {
    if value.chars().any(char::is_control) {
        return Err(ValueError::NotText);
    }
    Ok(value.as_bytes().to_vec())
}

/// Digits in pairs; blanks, colons and dashes may stand between them.
fn hex(value: &str) -> Result<Vec<u8>, ValueError> {
    let digits = value
        .chars()
        .filter(|c| !matches!(c, ' ' | ':' | '-'))
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(ValueError::NotHex))
        .collect::<Result<Vec<u8>, _>>()?;
    let (pairs, odd) = digits.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(ValueError::NotHex);
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// `10.1.0.0/16 10.0.0.1`, with an optional `via` between the two.
fn routes(value: &str) -> Result<Vec<u8>, ValueError> {
    let parts: Vec<&str> = words(value).filter(|word| *word != "via").collect();
    let (pairs, odd) = parts.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return Err(ValueError::NotRoute);
    }
    let mut bytes = Vec::new();
    for [network, router] in pairs {
        bytes.extend(route(network, router).ok_or(ValueError::NotRoute)?);
    }
    Ok(bytes)
}

/// Prefix length, the network bytes that it touches, the router. `None` also when host bits are set.
fn route(network: &str, router: &str) -> Option<Vec<u8>> {
    let (network, len) = network.split_once('/')?;
    let network: Ipv4Addr = network.parse().ok()?;
    let len: u8 = len.parse().ok().filter(|len| *len <= 32)?;
    let host_mask = u32::MAX.checked_shr(len.into()).unwrap_or(0);
    if network.to_bits() & host_mask != 0 {
        return None;
    }
    let router: Ipv4Addr = router.parse().ok()?;
    let significant = network.octets().into_iter().take(usize::from(len.div_ceil(8)));
    Some([len].into_iter().chain(significant).chain(router.octets()).collect())
}

fn domains(value: &str) -> Result<Vec<u8>, ValueError> {
    let mut bytes = Vec::new();
    for name in words(value) {
        let start = bytes.len();
        for label in name.strip_suffix('.').unwrap_or(name).split('.') {
            if !is_label(label) {
                return Err(ValueError::NotDomain);
            }
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        if bytes.len() - start > NAME_LEN_MAX {
            return Err(ValueError::NotDomain);
        }
    }
    if bytes.is_empty() { Err(ValueError::NotDomain) } else { Ok(bytes) }
}

fn is_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=LABEL_LEN_MAX).contains(&label.len()) && label.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(code: Code, value: &str) -> Vec<u8> {
        encode_option(code, value).unwrap_or_else(|error| panic!("{code} = {value:?}: {error}"))
    }

    #[test]
    fn values_become_the_bytes_of_their_type() {
        let expected: [(Code, &str, &[u8]); 17] = [
            (Code::NTP, "10.188.0.1", &[10, 188, 0, 1]),
            (Code::DNS, "10.0.0.1, 10.0.0.2", &[10, 0, 0, 1, 10, 0, 0, 2]),
            (Code::SUBNET_MASK, "255.255.255.0", &[255, 255, 255, 0]),
            (Code::STATIC_ROUTE, "10.1.0.0 10.0.0.1", &[10, 1, 0, 0, 10, 0, 0, 1]),
            (Code::DEFAULT_TTL, "64", &[64]),
            (Code::MTU, "1500", &[5, 220]),
            (Code::T1, "3600", &[0, 0, 14, 16]),
            (Code::TIME_OFFSET, "-3600", &[255, 255, 241, 240]),
            (Code::IP_FORWARD, "Yes", &[1]),
            (Code::ROOT_PATH, " iscsi:10.0.0.1::::iqn.x ", b"iscsi:10.0.0.1::::iqn.x"),
            (Code::VENDOR, "06:01:08 ff", &[6, 1, 8, 255]),
            (Code::HOSTNAME, "hex:00ff", &[0, 255]),
            (Code::CLASSLESS_ROUTES, "0.0.0.0/0 via 10.0.0.1", &[0, 10, 0, 0, 1]),
            (Code::CLASSLESS_ROUTES, "10.1.128.0/17,10.0.0.9", &[17, 10, 1, 128, 10, 0, 0, 9]),
            (Code::DOMAIN_SEARCH, "a.example, b.", b"\x01a\x07example\x00\x01b\x00"),
            (Code(224), "10.0.0.1,10.0.0.2", &[10, 0, 0, 1, 10, 0, 0, 2]),
            (Code(224), "10.0.0.1/x", b"10.0.0.1/x"),
        ];
        for (code, value, bytes) in expected {
            assert_eq!(encoded(code, value), bytes, "{code} = {value:?}");
        }
        assert_eq!(encoded(Code::CLASSLESS_ROUTES, "10.0.0.7/32 10.0.0.1").len(), 9);
    }

    #[test]
    fn wrong_values_say_why() {
        let long = "x".repeat(256);
        let label = "x".repeat(64);
        let wrong = [
            (Code::MESSAGE_TYPE, "5", ValueError::Managed),
            (Code::RELAY_INFO, "hex:00", ValueError::Managed),
            (Code::DNS, "  ", ValueError::Empty),
            (Code::BOOT_FILE, &long, ValueError::TooLong),
            (Code::DNS, "dns.example.com", ValueError::NotAddress),
            (Code::SUBNET_MASK, "1.2.3.4,1.2.3.4", ValueError::AddressCount),
            (Code::STATIC_ROUTE, "1.2.3.4", ValueError::AddressCount),
            (Code::DNS, ",", ValueError::AddressCount),
            (Code::DEFAULT_TTL, "256", ValueError::NotNumber),
            (Code::MTU, "500", ValueError::NotNumber),
            (Code::T1, "1h", ValueError::NotNumber),
            (Code::IP_FORWARD, "maybe", ValueError::NotBool),
            (Code::VENDOR, "hex:0", ValueError::NotHex),
            (Code::VENDOR, "0g", ValueError::NotHex),
            (Code::HOSTNAME, "a\nb", ValueError::NotText),
            (Code::CLASSLESS_ROUTES, "10.1.0.0/33 10.0.0.1", ValueError::NotRoute),
            (Code::CLASSLESS_ROUTES, "10.1.0.1/16 10.0.0.1", ValueError::NotRoute),
            (Code::CLASSLESS_ROUTES, "10.1.0.0/16", ValueError::NotRoute),
            (Code::DOMAIN_SEARCH, "a..b", ValueError::NotDomain),
            (Code::DOMAIN_SEARCH, &label, ValueError::NotDomain),
        ];
        for (code, value, error) in wrong {
            assert_eq!(encode_option(code, value), Err(error), "{code} = {value:?}");
        }
    }
}
