//! One value of a match table, compared as what its variable is.

use std::net::Ipv4Addr;

use bootlace_wire::Mac;

use super::super::glob::Glob;
use crate::config::Cidr;
use crate::model::{Firmware, Uuid, Var};
use crate::nearest;

/// What a known value is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pattern {
    Mac(Mac),
    /// On the canonical text of a MAC.
    MacGlob(Glob),
    Uuid(Uuid),
    /// On the canonical text of a UUID in either byte order.
    UuidGlob(Glob),
    Network(Cidr),
    Text(Glob),
}

/// What is wrong with a value, and what to write instead.
type Wrong = (String, Option<String>);

/// The loaders that report themselves: what `loader` can be.
const LOADERS: [&str; 1] = ["ipxe"];

/// The longest value: nothing longer is kept of what a machine reports.
const PATTERN_BYTES_MAX: usize = crate::model::TEXT_BYTES_MAX;

impl Pattern {
    pub(super) fn parse(var: Var, text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err((format!("an empty value of `{var}` matches nothing"), None));
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err((format!("a value of `{var}` has at most {PATTERN_BYTES_MAX} bytes"), None));
        }
        let is_glob = text.contains(['*', '?']);
        match var {
            Var::Mac if is_glob => mac_glob(text),
            Var::Mac => text.parse().map(Self::Mac).map_err(|e| (format!("\"{text}\" is {e}"), None)),
            Var::Uuid if is_glob => Ok(Self::UuidGlob(Glob::new(text))),
            Var::Uuid => text.parse().map(Self::Uuid).map_err(|e| (format!("\"{text}\" is {e}"), None)),
            Var::Ip | Var::Gateway | Var::Dns | Var::NextServer if !is_glob => network(var, text),
            Var::Firmware => named(var, text, &Firmware::all().map(|f| f.to_string()).collect::<Vec<_>>()),
            Var::Loader => named(var, text, &LOADERS.map(str::to_owned)),
            _ => Ok(Self::Text(Glob::new(text))),
        }
    }

    /// Whether a known value matches. What is no MAC, UUID or address at all matches none.
    pub(super) fn matches(&self, known: &str) -> bool {
        match self {
            Self::Mac(mac) => known.parse() == Ok(*mac),
            Self::MacGlob(glob) => known.parse().is_ok_and(|mac: Mac| glob.matches(&mac.to_string())),
            Self::Uuid(uuid) => known.parse().is_ok_and(|known| uuid.same_machine(known)),
            Self::UuidGlob(glob) => known.parse().is_ok_and(|known: Uuid| {
                glob.matches(&known.to_string()) || glob.matches(&known.swapped().to_string())
            }),
            Self::Network(cidr) => known.parse().is_ok_and(|address| cidr.contains(address)),
            Self::Text(glob) => glob.matches(known),
        }
    }
}

/// `52:54:00:*`, with the separators that a MAC may have.
fn mac_glob(text: &str) -> Result<Pattern, Wrong> {
    let canonical = text.replace('-', ":");
    let odd = canonical.chars().find(|c| !c.is_ascii_hexdigit() && !matches!(c, ':' | '*' | '?'));
    match odd {
        None => Ok(Pattern::MacGlob(Glob::new(&canonical))),
        Some(c) => Err((
            format!("`{c}` is in no MAC address"),
            Some("write the beginning of a MAC as 52:54:00:*".to_owned()),
        )),
    }
}

fn network(var: Var, text: &str) -> Result<Pattern, Wrong> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let cidr = address.parse::<Ipv4Addr>().ok().zip(prefix.parse().ok());
    cidr.and_then(|(address, prefix)| Cidr::new(address, prefix)).map(Pattern::Network).ok_or_else(|| {
        let fix = "write an address as 10.188.0.61, or a network as 10.188.0.0/24".to_owned();
        (format!("\"{text}\" is no IPv4 address or network for `{var}`"), Some(fix))
    })
}

/// A name out of a closed list, or a glob that some of them match.
fn named(var: Var, text: &str, names: &[String]) -> Result<Pattern, Wrong> {
    let glob = Glob::new(text);
    // `arch-12` is how a firmware without a name of its own is called.
    let is_number = var == Var::Firmware
        && text.to_ascii_lowercase().strip_prefix("arch-").is_some_and(|n| n.parse::<u16>().is_ok());
    if is_number || names.iter().any(|name| glob.matches(name)) {
        return Ok(Pattern::Text(glob));
    }
    let near = nearest(text, names.iter().map(String::as_str));
    let fix = match near {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known are {}", names.join(", ")),
    };
    Err((format!("`{text}` is no {var} that Bootlace tells apart"), Some(fix)))
}
