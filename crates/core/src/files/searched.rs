//! Configs that a loader searches for under several names: the first one that is there is the one that it reads.
//!
//! GRUB looks for `grub.cfg-UUID`, `-01-MAC`, `-ADDRESS`, then `grub.cfg` (normal/main.c, net/net.c), pxelinux for
//! the same endings in the folder `pxelinux.cfg` beside itself, then for `default` (core/fs/pxe), and U-Boot as
//! pxelinux does, with `default-ARCH...` before the last (cmd/pxe.c).

use std::net::Ipv4Addr;

use super::generated::Claim;
use crate::boot::dialect::pxelinux::Piece;
use crate::model::{Facts, Text, Uuid};

/// The config of GRUB that every other name of one begins with.
const GRUB: &str = "grub.cfg";
/// The folder that pxelinux and U-Boot look into.
const PXELINUX: &str = "pxelinux.cfg";
/// What the name of a menu's entry begins with.
const ENTRY: &str = "boot-";
/// The folder of pieces for configs of the user's, in [`PXELINUX`]; GRUB's one piece ends so.
const PIECES: &str = "include";
/// Digits of an address in hexadecimal.
const ADDRESS_DIGITS_MAX: usize = 8;

/// A name of a config, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Searched {
    /// Who searches.
    pub(super) by: Searcher,
    /// For which config.
    pub(super) which: Which,
}

/// Who searches so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Searcher {
    /// GRUB 2.
    Grub,
    /// pxelinux and what takes its place: syslinux.efi, U-Boot.
    Pxelinux,
}

/// Whose config a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// That of the machine which the name names.
    Of(Claim),
    /// That of whoever asks, by its address or the beginning of it: the digits.
    ByAddress(String),
    /// That of whoever asks.
    Any,
    /// That of whoever asks, by the name that only U-Boot has.
    AnyUboot,
    /// An entry of whoever's menu.
    Entry(Text),
    /// A piece for a config of the user's.
    Piece(Piece),
}

impl Searched {
    /// Reads a cleaned path.
    pub(super) fn read(path: &str) -> Option<Self> {
        let (folder, base) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(rest) = base.strip_prefix(GRUB) {
            let which = match rest.strip_prefix('-') {
                None if rest.is_empty() => Which::Any,
                None => return None,
                Some(PIECES) => Which::Piece(Piece::Append),
                Some(ending) => Which::read(ending)?,
            };
            return Some(Self { by: Searcher::Grub, which });
        }
        let parent = folder.rsplit('/').next().unwrap_or(folder);
        let which = match parent {
            PXELINUX if base == "default" => Which::Any,
            PXELINUX if base.starts_with("default-") => Which::AnyUboot,
            PXELINUX => Which::read(base)?,
            PIECES if is_in(folder, PXELINUX) => Which::Piece(piece(base)?),
            _ => return None,
        };
        Some(Self { by: Searcher::Pxelinux, which })
    }

    /// The other names that whoever asks for this one would go on to, in its order, without the last, which is
    /// everybody's. `known` and `peer` are of whoever asks.
    pub(super) fn still_to_come(&self, path: &str, known: &Facts, peer: Ipv4Addr) -> Vec<String> {
        let address = format!("{:08X}", u32::from(peer));
        let shorter = |digits: &str, from: usize| -> Vec<String> {
            (1..from).rev().filter_map(|len| digits.get(..len)).map(str::to_owned).collect()
        };
        let endings = match &self.which {
            Which::Of(Claim::Mac(_)) => shorter(&address, ADDRESS_DIGITS_MAX + 1),
            Which::Of(Claim::Uuid(_) | Claim::Hostname(_)) => {
                let mac = known.mac().map(|mac| format!("01-{}", mac.dashed()));
                mac.into_iter().chain(shorter(&address, ADDRESS_DIGITS_MAX + 1)).collect()
            }
            Which::ByAddress(digits) => shorter(digits, digits.len()),
            Which::Any | Which::AnyUboot | Which::Entry(_) | Which::Piece(_) => Vec::new(),
        };
        let stem = self.stem(path);
        endings.into_iter().map(|ending| format!("{stem}{ending}")).collect()
    }

    /// The last name, which is everybody's, unless this is it.
    pub(super) fn of_everybody(&self, path: &str) -> Option<String> {
        match &self.which {
            Which::Of(_) | Which::ByAddress(_) | Which::AnyUboot => {}
            Which::Any | Which::Entry(_) | Which::Piece(_) => return None,
        }
        Some(match self.by {
            Searcher::Grub => self.stem(path).trim_end_matches('-').to_owned(),
            Searcher::Pxelinux => format!("{}default", self.stem(path)),
        })
    }

    /// What all names of this search begin with.
    fn stem(&self, path: &str) -> String {
        let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
        match self.by {
            Searcher::Grub => format!("{folder}{GRUB}-"),
            Searcher::Pxelinux => folder.to_owned(),
        }
    }
}

/// Whether a folder's parent has this name.
fn is_in(folder: &str, name: &str) -> bool {
    folder.rsplit('/').nth(1) == Some(name)
}

impl Which {
    /// Reads an ending, which both have.
    fn read(ending: &str) -> Option<Self> {
        if let Some(boot) = ending.strip_prefix(ENTRY) {
            return Some(Self::Entry(Text::from(boot)));
        }
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
        if (1..=ADDRESS_DIGITS_MAX).contains(&ending.len()) && ending.bytes().all(is_digit) {
            return Some(Self::ByAddress(ending.to_owned()));
        }
        let claim = match ending.strip_prefix("01-") {
            Some(mac) => Claim::Mac(mac.parse().ok()?),
            None => Claim::Uuid(ending.parse().ok().filter(|uuid: &Uuid| uuid.is_unique())?),
        };
        Some(Self::Of(claim))
    }
}

fn piece(name: &str) -> Option<Piece> {
    match name {
        "append" => Some(Piece::Append),
        "serial" => Some(Piece::Serial),
        "menu" => Some(Piece::Menu),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Var;

    const UUID: &str = "44454c4c-3900-104e-804e-b9c04f4d344a";

    fn which(path: &str) -> Which {
        Searched::read(path).unwrap_or_else(|| panic!("{path} is a name")).which
    }

    #[test]
    fn the_names_that_loaders_search_for() {
        let of_mac = Which::Of(Claim::Mac("52:54:00:12:34:56".parse().unwrap()));
        let of_uuid = Which::Of(Claim::Uuid(UUID.parse().unwrap()));
        for stem in ["grub.cfg-", "grub/x/grub.cfg-", "pxelinux.cfg/", "a/b/pxelinux.cfg/"] {
            assert_eq!(which(&format!("{stem}01-52-54-00-12-34-56")), of_mac);
            assert_eq!(which(&format!("{stem}{UUID}")), of_uuid);
            assert_eq!(which(&format!("{stem}0ABC003D")), Which::ByAddress("0ABC003D".into()));
            assert_eq!(which(&format!("{stem}0")), Which::ByAddress("0".into()));
            assert_eq!(which(&format!("{stem}boot-rescue")), Which::Entry("rescue".into()));
        }
        assert_eq!(which("grub.cfg"), Which::Any);
        assert_eq!(which("x/pxelinux.cfg/default"), Which::Any);
        assert_eq!(which("pxelinux.cfg/default-arm-rk3399"), Which::AnyUboot);
        assert_eq!(which("pxelinux.cfg/include/append"), Which::Piece(Piece::Append));
        assert_eq!(which("bios/pxelinux.cfg/include/serial"), Which::Piece(Piece::Serial));
        assert_eq!(which("boot/grub/grub.cfg-include"), Which::Piece(Piece::Append));
    }

    #[test]
    fn what_is_no_such_name() {
        for name in [
            "grub.cfg-01-",
            "grub.cfg-01-52:54",
            "grub.cfg-0A0b",
            "grub.cfg-0A0B0C0D0",
            "grub.cfgx",
            "grub.cfg-",
            "default",
            "0ABC003D",
            "pxelinux.cfg",
            "pxelinux.cfg/",
            "pxelinux.cfg/x",
            "pxelinux.cfg/default.old/x",
            "pxelinux.cfg/include/x",
            "include/append",
            "pxelinux.cfg/00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(Searched::read(name), None, "{name}");
        }
    }

    #[test]
    fn what_a_loader_goes_on_to() {
        let mut known = Facts::new();
        known.set(Var::Mac, "52:54:00:12:34:56");
        let peer = Ipv4Addr::new(10, 188, 0, 61);
        let rest = |path: &str| Searched::read(path).unwrap().still_to_come(path, &known, peer);
        let addresses = ["0ABC003D", "0ABC003", "0ABC00", "0ABC0", "0ABC", "0AB", "0A", "0"];
        let expected: Vec<_> = ["01-52-54-00-12-34-56"]
            .into_iter()
            .chain(addresses)
            .map(|ending| format!("a/pxelinux.cfg/{ending}"))
            .collect();
        assert_eq!(rest(&format!("a/pxelinux.cfg/{UUID}")), expected);
        assert_eq!(rest("a/pxelinux.cfg/01-52-54-00-12-34-56"), expected[1..]);
        assert_eq!(rest("grub.cfg-0ABC"), ["grub.cfg-0AB", "grub.cfg-0A", "grub.cfg-0"]);
        assert!(rest("pxelinux.cfg/0").is_empty() && rest("grub.cfg").is_empty());
        let last = |path: &str| Searched::read(path).unwrap().of_everybody(path);
        assert_eq!(last("g/grub.cfg-0A").as_deref(), Some("g/grub.cfg"));
        assert_eq!(last("pxelinux.cfg/default-arm").as_deref(), Some("pxelinux.cfg/default"));
        assert_eq!(last("pxelinux.cfg/default"), None);
        assert_eq!(last("grub.cfg-boot-x"), None);
    }
}
