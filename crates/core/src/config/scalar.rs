//! Single values: durations, addresses, names. Pure functions from text; a message says what is wrong.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use bootlace_wire::tftp::{NameError, clean_name};

use super::file::{Table, Value};
use super::report::{At, Report};
use super::types::Cidr;
use crate::finding::Finding;

/// What is wrong with a text, and what to write instead.
pub(super) type Wrong = (&'static str, &'static str);

impl Table<'_> {
    /// A text of this table, parsed; what is wrong with it is reported.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
        report: &mut Report<'_>,
    ) -> Option<At<T>> {
        let text = self.text(key, report)?;
        parsed(&text, parse, report)
    }

    /// A list of texts of this table, each parsed.
    pub(super) fn all_parsed<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
        report: &mut Report<'_>,
    ) -> Vec<At<T>> {
        let texts = self.texts(key, report);
        texts.iter().filter_map(|text| parsed(text, &parse, report)).collect()
    }

    /// A port number.
    pub(super) fn port(&self, key: &str, default: u16, report: &mut Report<'_>) -> u16 {
        let Some(number) = self.get(key).and_then(|value: Value<'_>| value.integer(report)) else {
            return default;
        };
        match u16::try_from(number.value) {
            Ok(port) if port > 0 => port,
            _ => {
                let message = format!("{} is not a port", number.value);
                let fix = "ports are 1 to 65535";
                report.add(Finding::error("config-value", message).fix(fix), &number.span);
                default
            }
        }
    }
}

/// Parses one text and reports what is wrong with it.
pub(super) fn parsed<T>(
    text: &At<&str>,
    parse: impl Fn(&str) -> Result<T, Wrong>,
    report: &mut Report<'_>,
) -> Option<At<T>> {
    match parse(text.value) {
        Ok(value) => Some(At { value, span: text.span.clone() }),
        Err((problem, fix)) => {
            let message = format!("\"{}\" {problem}", text.value.escape_debug());
            report.add(Finding::error("config-value", message).fix(fix), &text.span);
            None
        }
    }
}

/// `10s`, `30m`, `12h`, `7d`, `2w`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    const WRONG: Wrong = ("is no duration", "write a number and a unit: 10s, 30m, 12h, 7d or 2w");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(WRONG)?;
    let (number, unit) = text.split_at(unit_at);
    let secs_each = match unit.trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(WRONG),
    };
    let secs = number.parse::<u64>().ok().and_then(|n| n.checked_mul(secs_each)).ok_or(WRONG)?;
    Ok(Duration::from_secs(secs))
}

/// `512 MiB`, `20GiB`, `1 TiB`.
pub(super) fn bytes(text: &str) -> Result<u64, Wrong> {
    const WRONG: Wrong = ("is no number of bytes", "write a number and a unit: 512 MiB, 20 GiB or 1 TiB");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(WRONG)?;
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit.trim_start() {
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(WRONG),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).ok_or(WRONG)
}

/// An IPv4 address that one machine can have.
pub(super) fn address(text: &str) -> Result<Ipv4Addr, Wrong> {
    let address: Ipv4Addr = text.parse().map_err(|_| ("is no IPv4 address", "write it as 10.188.0.10"))?;
    if is_unicast(address) {
        Ok(address)
    } else {
        Err(("is no address of a machine", "loopback, multicast and reserved addresses cannot be used here"))
    }
}

fn is_unicast(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    // 0/8 "this network", 127/8 loopback, 224/4 multicast, 240/4 reserved (RFC 6890).
    first != 0 && first != 127 && first < 224
}

/// An IPv4 network, written by its lowest address.
pub(super) fn network(text: &str) -> Result<Cidr, Wrong> {
    const WRONG: Wrong = ("is no IPv4 network", "write it as 10.188.0.0/24");
    let (address, prefix) = text.split_once('/').ok_or(WRONG)?;
    let address: Ipv4Addr = address.parse().map_err(|_| WRONG)?;
    let prefix: u8 = prefix.parse().map_err(|_| WRONG)?;
    let cidr = Cidr::new(address, prefix).ok_or(WRONG)?;
    if !(PREFIX_MIN..=PREFIX_MAX).contains(&prefix) {
        return Err(("cannot be a subnet", "prefixes are 8 to 30"));
    }
    if !is_unicast(address) {
        return Err((
            "is no network of machines",
            "loopback, multicast and reserved networks cannot be used",
        ));
    }
    Ok(cidr)
}

/// A network, or one address as a network of its own.
pub(super) fn address_or_network(text: &str) -> Result<Cidr, Wrong> {
    const WRONG: Wrong = ("is no address and no network", "write it as 10.188.0.1 or 10.188.0.0/24");
    if text.contains('/') {
        return network(text);
    }
    let address: Ipv4Addr = text.parse().map_err(|_| WRONG)?;
    Cidr::new(address, 32).filter(|_| is_unicast(address)).ok_or(WRONG)
}

/// The biggest subnet: no IPv4 network that was ever assigned is larger.
const PREFIX_MIN: u8 = 8;
/// The smallest subnet with room for a machine and a server between network and broadcast address.
const PREFIX_MAX: u8 = 30;

/// `10.188.0.60-10.188.0.70`, or one address.
pub(super) fn address_range(text: &str) -> Result<RangeInclusive<Ipv4Addr>, Wrong> {
    const WRONG: Wrong = ("is no range of addresses", "write it as 10.188.0.60-10.188.0.70");
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let low: Ipv4Addr = low.trim().parse().map_err(|_| WRONG)?;
    let high: Ipv4Addr = high.trim().parse().map_err(|_| WRONG)?;
    if low > high {
        return Err(("ends before it begins", "write the lower address first"));
    }
    Ok(low..=high)
}

/// `5000-5100`.
pub(super) fn port_range(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    const WRONG: Wrong = ("is no range of ports", "write it as 5000-5100");
    let (low, high) = text.split_once('-').ok_or(WRONG)?;
    let low: u16 = low.trim().parse().map_err(|_| WRONG)?;
    let high: u16 = high.trim().parse().map_err(|_| WRONG)?;
    if low == 0 || low > high {
        return Err(WRONG);
    }
    Ok(low..=high)
}

/// A host or domain name of letters, digits and dashes (RFC 1123 section 2.1), which needs no escaping in a
/// URL, a script, DHCP option 12 or a log.
pub(super) fn host_name(text: &str) -> Result<String, Wrong> {
    let fix = "use letters, digits and `-`, in labels of at most 63 separated by dots";
    if text.len() > HOST_NAME_BYTES_MAX || !text.split('.').all(is_label) {
        return Err(("is no host name", fix));
    }
    Ok(text.to_owned())
}

/// Longest name that DNS can carry (RFC 1035 section 2.3.4, less the root label).
const HOST_NAME_BYTES_MAX: usize = 253;

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A network interface of Linux.
pub(super) fn interface(text: &str) -> Result<String, Wrong> {
    // IFNAMSIZ is 16 with the final NUL; the kernel refuses these characters (dev_valid_name).
    let fits = (1..=15).contains(&text.len()) && text != "." && text != "..";
    if !fits || text.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control()) {
        return Err(("is no interface name", "`ip link` lists them"));
    }
    Ok(text.to_owned())
}

/// A path: any text that the operating system can take.
pub(super) fn path(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.contains('\0') {
        return Err(("is no path", "write a path; relative ones start at the folder of this file"));
    }
    Ok(text.to_owned())
}

/// A name below `boot_dir`, as the file services look it up.
pub(super) fn served_name(text: &str) -> Result<String, Wrong> {
    if text.contains("{{") {
        return Err(("is a file name and cannot hold {{ }}", "only URLs, cmdline and scripts are templates"));
    }
    clean_name(text.as_bytes()).map_err(|error| match error {
        NameError::Empty => ("is no file name", "write a name below its folder, such as debian/linux"),
        NameError::TooLong => ("is too long for a file name", "choose a shorter one"),
        NameError::Parent => ("leaves its folder", "write a name without `..`"),
        NameError::Control | NameError::Encoding => {
            ("has characters that no client can ask for", "rename the file")
        }
    })
}

/// The same for a file that machines ask for: names that mean something else come first.
pub(super) fn boot_file(text: &str) -> Result<String, Wrong> {
    let name = served_name(text)?;
    let folder = name.split_once('/').map(|(folder, _)| folder);
    if matches!(name.as_str(), "boot.ipxe" | "script") || matches!(folder, Some("answer" | "done")) {
        return Err(("is a name that Bootlace answers itself", "give the file another name"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let secs = |text| duration(text).map(|d| d.as_secs()).ok();
        let cases = [("10s", 10), ("30m", 1800), ("12h", 43200), ("7 d", 604_800), ("2w", 1_209_600)];
        for (text, expected) in cases {
            assert_eq!(secs(text), Some(expected), "{text}");
        }
        for text in ["", "12", "h", "1.5h", "-1s", "1y", "99999999999999999999s", "9999999999999999999w"] {
            assert_eq!(secs(text), None, "{text}");
        }
    }

    #[test]
    fn networks_and_ranges() {
        assert_eq!(network("10.188.0.0/24").unwrap().to_string(), "10.188.0.0/24");
        for text in ["10.188.0.0", "10.188.0.0/33", "10.188.0.0/31", "0.0.0.0/8", "224.0.0.0/8", "x/24"] {
            assert!(network(text).is_err(), "{text}");
        }
        let one: Ipv4Addr = "10.0.0.1".parse().unwrap();
        assert_eq!(address_range("10.0.0.1"), Ok(one..=one));
        assert!(address_range("10.0.0.2-10.0.0.1").is_err());
        assert_eq!(port_range("5000-5100"), Ok(5000..=5100));
        for text in ["5000", "0-1", "2-1", "1-65536", "-"] {
            assert!(port_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names() {
        for text in ["pxe", "pxe.example.com", "10.188.0.10", "a-b.c"] {
            assert!(host_name(text).is_ok(), "{text}");
        }
        for text in ["", "a_b", "-a", "a-", "a..b", "a b", "é", "${x}", &"a".repeat(64)] {
            assert!(host_name(text).is_err(), "{text}");
        }
        assert!(interface("enp3s0.12").is_ok());
        for text in ["", "a/b", "a b", "0123456789abcdef", ".."] {
            assert!(interface(text).is_err(), "{text}");
        }
        assert_eq!(served_name("/debian//linux").as_deref(), Ok("debian/linux"));
        for text in ["", "../x", "a\nb", "{{ machine.name }}/linux"] {
            assert!(served_name(text).is_err(), "{text}");
        }
        for text in ["boot.ipxe", "/script", "answer/a", "done/x"] {
            assert!(served_name(text).is_ok() && boot_file(text).is_err(), "{text}");
        }
        assert_eq!(boot_file("debian/script").as_deref(), Ok("debian/script"));
    }
}
