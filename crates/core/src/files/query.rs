//! The query of `/script`: what a machine says of itself.

use bootlace_wire::Mac;

use crate::model::{Facts, Firmware, Reporting, Text, Var};

/// What is read of a query. All variables at their longest fit.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;

/// Pairs that are looked at.
const PAIRS_MAX: usize = 64;

/// A query, read.
pub(super) struct Report {
    /// What the machine says of itself, as variables.
    pub(super) facts: Facts,
    /// What was chosen in a menu.
    pub(super) pick: Option<Text>,
}

/// Reads a query. Of a repeated key the first counts; unknown ones count nothing.
pub(super) fn read(query: &str) -> Report {
    let mut facts = Facts::new();
    let mut pick = None;
    for (key, value) in pairs(query) {
        if key == "boot" {
            pick.get_or_insert_with(|| cleaned(value));
        } else if let Ok(var) = key.parse::<Var>()
            && facts.get(var).is_none()
        {
            facts.set(var, cleaned(value));
        }
    }
    Report { facts, pick }
}

/// The MAC of a query, as [`read`] finds it.
pub(super) fn mac(query: &str) -> Option<Mac> {
    let of_mac = pairs(query).filter(|(key, _)| *key == Var::Mac.name());
    of_mac.map(|(_, value)| cleaned(value)).find(|text| !text.is_empty())?.as_str().parse().ok()
}

/// Keys and raw values, bounded.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &[u8])> {
    let bounded = &query.as_bytes()[..query.len().min(QUERY_BYTES_MAX)];
    let mut rest = Some(bounded);
    let pieces = std::iter::from_fn(move || {
        let (piece, behind) = split_pair(rest?);
        rest = behind;
        Some(piece)
    });
    pieces.take(PAIRS_MAX).filter_map(|pair| {
        let at = pair.iter().position(|&b| b == b'=')?;
        Some((str::from_utf8(&pair[..at]).ok()?, &pair[at + 1..]))
    })
}

/// The first pair and what follows it. An iPXE before 2021 decodes a URL and encodes it anew, and leaves a `&` as
/// it is: `Lab%20&%20Sons` arrives. So an `&` ends a pair only where another pair follows.
fn split_pair(query: &[u8]) -> (&[u8], Option<&[u8]>) {
    let ampersands = query.iter().enumerate().filter(|&(_, &b)| b == b'&').map(|(at, _)| at);
    for at in ampersands {
        let behind = &query[at + 1..];
        let is_pair = behind.split(|&b| b == b'&').next().is_some_and(|piece| piece.contains(&b'='));
        if is_pair {
            return (&query[..at], Some(behind));
        }
    }
    (query, None)
}

fn cleaned(value: &[u8]) -> Text {
    if value.contains(&b'%') { Text::clean(&percent_decoded(value)) } else { Text::clean(value) }
}

/// What is known after the report: it wins over the session, but for what only DHCP tells. Of that, the client
/// identifier says which machine it is: nobody is asked for it, so nobody may claim one.
pub(super) fn merged(session: &Facts, report: &Facts) -> Facts {
    let mut facts = session.clone();
    for (var, value) in report.texts() {
        let may_add = || facts.get(var).is_none() && var != Var::ClientId;
        if var.ipxe_setting().is_some() || may_add() {
            facts.set(var, value.clone());
        }
    }
    complete(&mut facts);
    facts.reporting = Reporting::Done;
    facts
}

/// Adds what follows from what is known: who asks for a script is iPXE, and its build tells the firmware.
pub(super) fn complete(facts: &mut Facts) {
    if facts.get(Var::Loader).is_none() {
        facts.set(Var::Loader, "ipxe");
    }
    if facts.get(Var::Firmware).is_none() {
        let build = facts.get(Var::Platform).zip(facts.get(Var::Buildarch));
        if let Some(firmware) = build.and_then(|(platform, arch)| Firmware::from_ipxe(platform, arch)) {
            facts.set(Var::Firmware, firmware.to_string().as_str());
        }
    }
}

/// Bytes with `%XX` decoded once; what is no `%XX` stays. A `+` is a plus: iPXE writes a blank as `%20`.
pub(crate) fn percent_decoded(raw: &[u8]) -> Vec<u8> {
    let digit = |at: usize| raw.get(at).and_then(|&b| char::from(b).to_digit(16));
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says() {
        let report =
            read("mac=52:54:00:12:34:56&manufacturer=Dell%20Inc%2e&boot=rescue&serial=&asset=a+b&x=y&uuid");
        let facts: Vec<_> = report.facts.iter().collect();
        let expected =
            [(Var::Mac, "52:54:00:12:34:56"), (Var::Asset, "a+b"), (Var::Manufacturer, "Dell Inc.")];
        assert_eq!(facts, expected);
        assert_eq!(report.pick.unwrap().as_str(), "rescue");
    }

    #[test]
    fn what_only_dhcp_tells_is_not_overruled_and_a_client_identifier_not_claimed() {
        let mut session = Facts::new();
        session.set(Var::VendorClass, "PXEClient");
        session.set(Var::Serial, "S1");
        let report = read("vendor-class=x&client-id=aa:bb&serial=S2&platform=efi").facts;
        let facts = merged(&session, &report);
        assert_eq!(facts.get(Var::VendorClass), Some("PXEClient"));
        assert_eq!(facts.get(Var::Serial), Some("S2"));
        assert_eq!(facts.get(Var::ClientId), None);
        session.set(Var::ClientId, "cc:dd");
        assert_eq!(merged(&session, &report).get(Var::ClientId), Some("cc:dd"));
        assert_eq!(merged(&Facts::new(), &report).get(Var::VendorClass), Some("x"));
    }

    #[test]
    fn the_mac_alone_is_the_mac_of_the_report() {
        for query in [
            "mac=52:54:00:12:34:56",
            "x=1&mac=&mac=52%3a54:00:12:34:56&mac=00:00:00:00:00:01",
            "mac=no",
            "mac",
        ] {
            assert_eq!(mac(query), read(query).facts.mac(), "{query}");
        }
    }

    #[test]
    fn an_ampersand_that_ipxe_did_not_encode_stays_in_its_value() {
        let report = read("&manufacturer=Lab%20&%20Sons&&Co&product=A=B&serial=x&");
        let facts: Vec<_> = report.facts.iter().collect();
        let expected = [(Var::Serial, "x&"), (Var::Manufacturer, "Lab & Sons&&Co"), (Var::Product, "A=B")];
        assert_eq!(facts, expected);
    }

    #[test]
    fn hostile_queries_are_bounded() {
        let report = read("serial=first&serial=second&boot=a&boot=b&asset=a%0a%1b%zz%&product=%00x");
        assert_eq!(report.facts.get(Var::Serial), Some("first"));
        assert_eq!(report.facts.get(Var::Asset), Some("a??%zz%"));
        assert_eq!(report.facts.get(Var::Product), None);
        assert_eq!(report.pick.unwrap().as_str(), "a");
        let long = format!("serial={}", "x".repeat(100_000));
        assert_eq!(read(&long).facts.get(Var::Serial).map(str::len), Some(128));
        let many = "a=b&".repeat(PAIRS_MAX) + "serial=late";
        assert_eq!(read(&many).facts.get(Var::Serial), None);
        assert_eq!(read(&"é".repeat(QUERY_BYTES_MAX)).facts, Facts::new());
    }

    #[test]
    fn dhcp_knows_best_what_only_dhcp_tells() {
        let mut session = Facts::new();
        session.set(Var::Firmware, "uefi-x64");
        session.set(Var::Serial, "old");
        let known = merged(&session, &read("firmware=bios&serial=new&platform=pcbios&buildarch=i386").facts);
        assert_eq!(known.get(Var::Firmware), Some("uefi-x64"));
        assert_eq!(known.get(Var::Serial), Some("new"));
        assert_eq!(known.get(Var::Loader), Some("ipxe"));
        let known = merged(&Facts::new(), &read("platform=efi&buildarch=arm64").facts);
        assert_eq!(known.get(Var::Firmware), Some("uefi-arm64"));
        assert_eq!(known.reporting, Reporting::Done);
    }
}
