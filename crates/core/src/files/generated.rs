//! Names that stand for a script in every folder, unless a file of that name is there: iPXE looks for
//! `autoexec.ipxe` beside the file that it was loaded from, and many networks have scripts that chain to
//! `mac-*.ipxe`, `uuid-*.ipxe` and `hostname-*.ipxe`, in lower or upper case. GRUB and pxelinux search for configs
//! under several names (`super::searched`).

use bootlace_wire::Mac;

use super::searched::{Searched, Which};
use crate::config::{Config, Machine};
use crate::model::{Facts, Text, Uuid, Var};

const SUFFIX: &str = ".ipxe";

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Generated {
    /// `autoexec.ipxe`: the script of whoever asks.
    Autoexec,
    /// The script of the machine that the name names.
    Of(Claim),
    /// A config of a loader that searches for one.
    Searched(Searched),
}

/// How a name names a machine. Whoever asks may name any: it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// `mac-525400123456.ipxe` (`${mac:hexraw}`) or `mac-52-54-00-12-34-56.ipxe` (`${mac:hexhyp}`).
    Mac(Mac),
    /// `uuid-UUID.ipxe`, in either byte order.
    Uuid(Uuid),
    /// `hostname-NAME.ipxe`: the name of a `[[machine]]`, or what DHCP calls it.
    Hostname(Text),
}

impl Generated {
    /// Reads a cleaned path. A name that names no machine, as when a setting was empty, is no such name.
    pub(super) fn read(path: &str) -> Option<Self> {
        let base = path.rsplit('/').next().unwrap_or(path);
        if base.eq_ignore_ascii_case("autoexec.ipxe") {
            return Some(Self::Autoexec);
        }
        if let Some(searched) = Searched::read(path) {
            return Some(Self::Searched(searched));
        }
        let (stem, suffix) = base.split_at_checked(base.len().checked_sub(SUFFIX.len())?)?;
        if !suffix.eq_ignore_ascii_case(SUFFIX) {
            return None;
        }
        let (kind, value) = stem.split_once('-')?;
        let claim = match kind.to_ascii_lowercase().as_str() {
            "mac" => Claim::Mac(value.parse().ok()?),
            "uuid" => Claim::Uuid(value.parse().ok().filter(|uuid: &Uuid| uuid.is_unique())?),
            "hostname" => Claim::Hostname(Some(Text::from(value)).filter(|name| !name.is_empty())?),
            _ => return None,
        };
        Some(Self::Of(claim))
    }
}

impl Generated {
    /// The machine that the name names, if it names one.
    pub(super) fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Of(claim) | Self::Searched(Searched { which: Which::Of(claim), .. }) => Some(claim),
            Self::Autoexec | Self::Searched(_) => None,
        }
    }

    /// Whether another config has led to this one.
    pub(super) fn is_after_another(&self) -> bool {
        matches!(self, Self::Searched(Searched { which: Which::Entry(_) | Which::Piece(_), .. }))
    }
}

impl Claim {
    /// The `[[machine]]` that it names.
    pub(super) fn machine<'c>(&self, config: &'c Config) -> Option<&'c Machine> {
        let machines = &config.machines;
        match self {
            Self::Mac(mac) => machines.by_mac(*mac),
            Self::Uuid(uuid) => machines.by_uuid(*uuid),
            Self::Hostname(name) => {
                machines.iter().find(|machine| machine.name.eq_ignore_ascii_case(name.as_str()))
            }
        }
    }

    /// Whether what is known of a peer already says that it is the machine.
    pub(super) fn fits(&self, machine: Option<&Machine>, known: &Facts) -> bool {
        match (self, machine) {
            (Self::Mac(mac), _) => known.mac() == Some(*mac),
            // A UUID or serial may be the peer's own word; a MAC is what the link or a lease showed.
            (_, Some(machine)) if !machine.macs.is_empty() => {
                known.mac().is_some_and(|mac| machine.macs.contains(&mac))
            }
            (Self::Uuid(uuid), _) => known.uuid().is_some_and(|known| known.same_machine(*uuid)),
            (Self::Hostname(_), Some(machine)) => {
                let same_uuid = machine.uuid.zip(known.uuid()).is_some_and(|(a, b)| a.same_machine(b));
                same_uuid || machine.serial.as_deref().is_some_and(|own| known.get(Var::Serial) == Some(own))
            }
            (Self::Hostname(name), None) => known.get(Var::Hostname) == Some(name.as_str()),
        }
    }

    /// What the name alone tells of the machine.
    pub(super) fn facts(&self, machine: Option<&Machine>) -> Facts {
        let mut facts = Facts::new();
        if let Some(machine) = machine {
            if let Some(mac) = machine.macs.first() {
                facts.set(Var::Mac, mac.to_string().as_str());
            }
            if let Some(uuid) = machine.uuid {
                facts.set(Var::Uuid, uuid.to_string().as_str());
            }
            facts.set(Var::Serial, machine.serial.as_deref().unwrap_or_default());
        }
        match self {
            Self::Mac(mac) => facts.set(Var::Mac, mac.to_string().as_str()),
            Self::Uuid(uuid) => facts.set(Var::Uuid, uuid.to_string().as_str()),
            Self::Hostname(name) => facts.set(Var::Hostname, name.clone()),
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_scripts_use() {
        let mac = Generated::Of(Claim::Mac("52:54:00:12:34:56".parse().unwrap()));
        for name in ["mac-525400123456.ipxe", "MAC-525400123456.ipxe", "mac-52-54-00-12-34-56.IPXE"] {
            assert_eq!(Generated::read(name), Some(mac.clone()), "{name}");
        }
        let uuid = "44454c4c-3900-104e-804e-b9c04f4d344a";
        let named = Generated::Of(Claim::Uuid(uuid.parse().unwrap()));
        assert_eq!(Generated::read(&format!("uuid-{uuid}.ipxe")), Some(named));
        let named = Generated::Of(Claim::Hostname("web-1".into()));
        assert_eq!(Generated::read("hostname-web-1.ipxe"), Some(named));
        assert_eq!(Generated::read("autoexec.ipxe"), Some(Generated::Autoexec));
        for name in [
            "mac-.ipxe",
            "uuid-.ipxe",
            "hostname-.ipxe",
            "mac-525400123456",
            "pci-80861000.ipxe",
            "é.ipxe",
            "x",
        ] {
            assert_eq!(Generated::read(name), None, "{name}");
        }
        let board_without = "uuid-00000000-0000-0000-0000-000000000000.ipxe";
        assert_eq!(Generated::read(board_without), None, "it names no machine");
    }
}
