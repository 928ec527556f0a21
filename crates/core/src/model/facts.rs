//! What is known of a machine.

use std::fmt;
use std::str::FromStr;

use super::{Firmware, Text, Uuid};
use bootlace_wire::Mac;
use serde::{Deserialize, Serialize};

/// A variable that a machine reports and rules and templates use. [`Var::name`] is the key in rules, in
/// templates (`client.NAME`, dashes as underscores) and in the query of `/script`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the field's own; VARS says where each comes from")]
pub enum Var {
    Mac,
    Ip,
    Firmware,
    Loader,
    Uuid,
    Serial,
    Asset,
    BoardSerial,
    Manufacturer,
    Product,
    Hostname,
    Domain,
    Netmask,
    Gateway,
    Dns,
    NextServer,
    Filename,
    UserClass,
    VendorClass,
    ClientId,
    Buildarch,
    Platform,
    Version,
    Memsize,
    CpuVendor,
    CpuModel,
    Chip,
    Busid,
}

/// Each variable: its name, and the iPXE setting that reports it (empty: known from DHCP only).
const VARS: [(Var, &str, &str); 28] = [
    (Var::Mac, "mac", "netX/mac"),
    (Var::Ip, "ip", "ip"),
    (Var::Firmware, "firmware", ""),
    (Var::Loader, "loader", ""),
    (Var::Uuid, "uuid", "uuid"),
    (Var::Serial, "serial", "serial"),
    (Var::Asset, "asset", "asset"),
    (Var::BoardSerial, "board-serial", "board-serial"),
    (Var::Manufacturer, "manufacturer", "manufacturer"),
    (Var::Product, "product", "product"),
    (Var::Hostname, "hostname", "hostname"),
    (Var::Domain, "domain", "domain"),
    (Var::Netmask, "netmask", "netmask"),
    (Var::Gateway, "gateway", "gateway"),
    (Var::Dns, "dns", "dns"),
    (Var::NextServer, "next-server", "next-server"),
    (Var::Filename, "filename", "filename"),
    (Var::UserClass, "user-class", "user-class"),
    (Var::VendorClass, "vendor-class", ""),
    (Var::ClientId, "client-id", ""),
    (Var::Buildarch, "buildarch", "buildarch"),
    (Var::Platform, "platform", "platform"),
    (Var::Version, "version", "version"),
    (Var::Memsize, "memsize", "memsize"),
    (Var::CpuVendor, "cpuvendor", "cpuvendor"),
    (Var::CpuModel, "cpumodel", "cpumodel"),
    (Var::Chip, "chip", "netX/chip"),
    (Var::Busid, "busid", "netX/busid"),
];

impl Var {
    /// The name in rules, queries and docs.
    pub fn name(self) -> &'static str {
        VARS[self as usize].1
    }

    /// The iPXE setting whose value reports this variable, if iPXE can.
    pub fn ipxe_setting(self) -> Option<&'static str> {
        Some(VARS[self as usize].2).filter(|setting| !setting.is_empty())
    }

    /// All of them, in the order of the docs.
    pub fn all() -> impl Iterator<Item = Self> {
        VARS.iter().map(|&(var, _, _)| var)
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Var {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::all().find(|var| var.name() == name).ok_or(())
    }
}

/// Whether a machine can still be asked for what it has not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reporting {
    /// It can: an unknown variable before the first match means "ask the machine".
    #[default]
    CanBeAsked,
    /// It has answered, or its loader has no way to: unknown counts as no.
    Done,
}

/// What is known of one machine now. Empty values are not facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// In the order of the variables: a dozen at most, so that a search costs less than a tree would.
    values: Vec<(Var, Text)>,
    /// Whether the rest can be asked for.
    pub reporting: Reporting,
}

impl Facts {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns a variable; an empty value is forgotten again.
    pub fn set(&mut self, var: Var, value: impl Into<Text>) {
        let value = value.into();
        match self.place(var) {
            Ok(at) if value.is_empty() => drop(self.values.remove(at)),
            Ok(at) => self.values[at].1 = value,
            Err(at) if !value.is_empty() => self.values.insert(at, (var, value)),
            Err(_) => {}
        }
    }

    /// Where the variable is, or would be.
    fn place(&self, var: Var) -> Result<usize, usize> {
        self.values.binary_search_by_key(&var, |(var, _)| *var)
    }

    /// The value, if known.
    pub fn get(&self, var: Var) -> Option<&str> {
        self.place(var).ok().map(|at| self.values[at].1.as_str())
    }

    /// The MAC of the interface that boots.
    pub fn mac(&self) -> Option<Mac> {
        self.get(Var::Mac)?.parse().ok()
    }

    /// The SMBIOS UUID, when it is one that can tell machines apart.
    pub fn uuid(&self) -> Option<Uuid> {
        self.get(Var::Uuid)?.parse().ok().filter(|uuid: &Uuid| uuid.is_unique())
    }

    /// The firmware family.
    pub fn firmware(&self) -> Option<Firmware> {
        self.get(Var::Firmware)?.parse().ok()
    }

    /// Everything known, in the order of the docs.
    pub fn iter(&self) -> impl Iterator<Item = (Var, &str)> {
        self.texts().map(|(var, text)| (var, text.as_str()))
    }

    /// The same, to keep.
    pub fn texts(&self) -> impl Iterator<Item = (Var, &Text)> {
        self.values.iter().map(|(var, text)| (*var, text))
    }

    /// Adds what `other` knows; its values win.
    pub fn merge(&mut self, other: &Self) {
        if self.values.is_empty() {
            self.values.clone_from(&other.values);
        } else {
            other.texts().for_each(|(var, text)| self.set(var, text.clone()));
        }
        if other.reporting == Reporting::Done {
            self.reporting = Reporting::Done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (at, var) in Var::all().enumerate() {
            assert_eq!(at, var as usize, "{var}");
            assert_eq!(var.name().parse(), Ok(var));
        }
    }

    #[test]
    fn empty_values_are_no_facts() {
        let mut facts = Facts::new();
        facts.set(Var::Serial, "  ");
        assert_eq!(facts.get(Var::Serial), None);
        facts.set(Var::Serial, "X1");
        facts.set(Var::Serial, "");
        assert_eq!(facts.iter().count(), 0);
    }
}
