//! Names that stand for a script in every folder, unless a file of that name is there: iPXE looks for
//! `autoexec.ipxe` beside the file that it was loaded from, and many networks have scripts that chain to
//! `mac-*.ipxe`, `uuid-*.ipxe` and `hostname-*.ipxe`, in lower or upper case. GRUB looks for `grub.cfg*` in the folder
//! that its distributor chose and beside itself.

use bootlace_wire::Mac;

use crate::config::{Config, Machine};
use crate::model::{Facts, Text, Uuid, Var};

const SUFFIX: &str = ".ipxe";
/// The config of GRUB that every other name of one begins with.
pub(super) const GRUB: &str = "grub.cfg";

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Generated {
    /// `autoexec.ipxe`: the script of whoever asks.
    Autoexec,
    /// The script of the machine that the name names.
    Of(Claim),
    /// A config for GRUB.
    Grub(GrubConfig),
}

/// The configs that GRUB asks for, in its order: by SMBIOS UUID, MAC, address, any (normal/main.c, net/net.c). The
/// first that it gets is the one that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GrubConfig {
    /// `grub.cfg-UUID`, `grub.cfg-01-MAC`: that of the machine which the name names.
    Of(Claim),
    /// `grub.cfg-C0A8010A` and ever shorter: that of whoever asks.
    ByAddress,
    /// `grub.cfg`: the same.
    Any,
    /// `grub.cfg-boot-NAME`: an entry of whoever's menu.
    Entry(Text),
}

impl GrubConfig {
    /// Reads what follows `grub.cfg`.
    fn read(rest: &str) -> Option<Self> {
        if rest.is_empty() {
            return Some(Self::Any);
        }
        let rest = rest.strip_prefix('-')?;
        if let Some(boot) = rest.strip_prefix("boot-") {
            return Some(Self::Entry(Text::from(boot)));
        }
        if (1..=8).contains(&rest.len()) && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')) {
            return Some(Self::ByAddress);
        }
        let claim = match rest.strip_prefix("01-") {
            Some(mac) => Claim::Mac(mac.parse().ok()?),
            None => Claim::Uuid(rest.parse().ok().filter(|uuid: &Uuid| uuid.is_unique())?),
        };
        Some(Self::Of(claim))
    }

    /// Whether GRUB goes on to another name when this one is not there.
    pub(super) fn is_one_of_several(&self) -> bool {
        matches!(self, Self::Of(_) | Self::ByAddress)
    }
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
    /// Reads the last part of a path. One that names no machine, as when a setting was empty, is no such name.
    pub(super) fn read(base: &str) -> Option<Self> {
        if base.eq_ignore_ascii_case("autoexec.ipxe") {
            return Some(Self::Autoexec);
        }
        if let Some(rest) = base.strip_prefix(GRUB) {
            return GrubConfig::read(rest).map(Self::Grub);
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
            Self::Of(claim) | Self::Grub(GrubConfig::Of(claim)) => Some(claim),
            Self::Autoexec | Self::Grub(_) => None,
        }
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
        let grub = |name: &str| match Generated::read(name) {
            Some(Generated::Grub(config)) => config,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(grub("grub.cfg"), GrubConfig::Any);
        assert_eq!(grub("grub.cfg-0ABC003D"), GrubConfig::ByAddress);
        assert_eq!(grub("grub.cfg-0"), GrubConfig::ByAddress);
        let of_mac = GrubConfig::Of(Claim::Mac("52:54:00:12:34:56".parse().unwrap()));
        assert_eq!(grub("grub.cfg-01-52-54-00-12-34-56"), of_mac);
        assert_eq!(grub(&format!("grub.cfg-{uuid}")), GrubConfig::Of(Claim::Uuid(uuid.parse().unwrap())));
        assert_eq!(grub("grub.cfg-boot-rescue"), GrubConfig::Entry("rescue".into()));
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
        for name in [
            "grub.cfg-01-",
            "grub.cfg-01-52:54",
            "grub.cfg-0A0b",
            "grub.cfg-0A0B0C0D0",
            "grub.cfgx",
            "grub.cfg-",
        ] {
            assert_eq!(Generated::read(name), None, "{name}");
        }
        let board_without = "uuid-00000000-0000-0000-0000-000000000000.ipxe";
        assert_eq!(Generated::read(board_without), None, "it names no machine");
    }
}
