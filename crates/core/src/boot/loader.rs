//! Which loader a firmware is sent: an iPXE by the file names of the distributions' packages, or a signed one.

use std::collections::BTreeSet;
use std::fmt;

use super::signed;
use crate::model::Firmware;

/// The loader files that exist: in `boot_dir` or in one of the distribution's folders. The binary looks, the
/// decision only reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoaderInventory(BTreeSet<String>);

impl LoaderInventory {
    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The loader for a firmware: what machine or rule ask for, else the first of [`candidates`] that exists.
    /// A name that the config gives is not looked up: it may lie deeper than the inventory goes.
    pub fn pick(&self, firmware: Firmware, wanted: Option<&str>) -> Result<String, NoLoader> {
        match wanted {
            Some(signed::LOADER) => self.signed(firmware),
            Some(wanted) => Ok(wanted.to_owned()),
            None => self.unsigned(firmware),
        }
    }

    fn unsigned(&self, firmware: Firmware) -> Result<String, NoLoader> {
        let found = candidates(firmware).iter().find(|name| self.has(name));
        found.map(|&name| name.to_owned()).ok_or(NoLoader { firmware, kind: Kind::Ipxe })
    }

    /// UEFI gets nothing unsigned in its place: with Secure Boot it would not start, and who asked for a signed one
    /// wants no other. A BIOS has no Secure Boot.
    fn signed(&self, firmware: Firmware) -> Result<String, NoLoader> {
        match signed::Pair::of(firmware).map(signed::Pair::shim) {
            Some(shim) if self.has(&shim) => Ok(shim),
            None if !firmware.is_uefi() => self.unsigned(firmware),
            _ => Err(NoLoader { firmware, kind: Kind::SignedIpxe }),
        }
    }
}

impl<S: Into<String>> FromIterator<S> for LoaderInventory {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

/// There is no loader for a firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLoader {
    /// The firmware.
    pub firmware: Firmware,
    /// What there is none of.
    pub kind: Kind,
}

/// What a firmware was to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any iPXE.
    Ipxe,
    /// The iPXE of [`signed`].
    SignedIpxe,
}

impl fmt::Display for NoLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::SignedIpxe {
            return match signed::Architecture::of(self.firmware) {
                None => write!(f, "no signed iPXE is released for {}", self.firmware),
                Some(_) => write!(
                    f,
                    "the signed iPXE for {} is not there: fetch it with `bootlace loaders fetch`",
                    self.firmware
                ),
            };
        }
        match candidates(self.firmware) {
            [] => write!(f, "no iPXE is known for {}: name a `loader` for it", self.firmware),
            names => write!(
                f,
                "no iPXE for {} was found: install the package ipxe or put {} into boot_dir",
                self.firmware,
                names.join(" or ")
            ),
        }
    }
}

impl std::error::Error for NoLoader {}

/// File names of iPXE for a firmware, best first.
///
/// `undionly` and `snponly` drive the card through the firmware that has just booted from it, so they work
/// with every card; the full builds bring drivers of their own and are second choice. The plain names are
/// Debian's, those with a platform Fedora's and iPXE's own.
pub fn candidates(firmware: Firmware) -> &'static [&'static str] {
    match firmware {
        Firmware::Bios => &["undionly.kpxe", "ipxe.pxe"],
        Firmware::UefiX64 | Firmware::HttpX64 => {
            &["snponly.efi", "ipxe-snponly-x86_64.efi", "ipxe.efi", "ipxe-x86_64.efi"]
        }
        Firmware::UefiIa32 | Firmware::HttpIa32 => &["snponly-i386.efi", "ipxe-i386.efi"],
        Firmware::UefiArm32 | Firmware::HttpArm32 => &["snponly-arm32.efi", "ipxe-arm32.efi"],
        Firmware::UefiArm64 | Firmware::HttpArm64 => &["snponly-arm64.efi", "ipxe-arm64.efi"],
        Firmware::UefiRiscv64 | Firmware::HttpRiscv64 => &["snponly-riscv64.efi", "ipxe-riscv64.efi"],
        Firmware::UefiLoong64 | Firmware::HttpLoong64 => &["snponly-loong64.efi", "ipxe-loong64.efi"],
        Firmware::Other(_) => &[],
    }
}

/// Every name that some firmware may be given: what an inventory has to look for.
pub fn all_candidates() -> impl Iterator<Item = &'static str> {
    Firmware::all().filter(|firmware| !firmware.is_http()).flat_map(candidates).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_exists_unless_the_config_names_one() {
        let debian: LoaderInventory =
            ["ipxe.efi", "snponly.efi", "undionly.kpxe", "ipxe.pxe"].into_iter().collect();
        assert_eq!(debian.pick(Firmware::Bios, None).unwrap(), "undionly.kpxe");
        assert_eq!(debian.pick(Firmware::UefiX64, None).unwrap(), "snponly.efi");
        assert_eq!(debian.pick(Firmware::UefiX64, Some("mine.efi")).unwrap(), "mine.efi");
        let only_full: LoaderInventory = ["ipxe.efi"].into_iter().collect();
        assert_eq!(only_full.pick(Firmware::HttpX64, None).unwrap(), "ipxe.efi");
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let none = LoaderInventory::default();
        let said = none.pick(Firmware::UefiArm64, None).unwrap_err().to_string();
        assert!(said.contains("uefi-arm64") && said.contains("snponly-arm64.efi"), "{said}");
        let said = none.pick(Firmware::Other(12), None).unwrap_err().to_string();
        assert!(said.contains("arch-12") && said.contains("loader"), "{said}");
    }

    #[test]
    fn who_asks_for_a_signed_one_gets_no_other() {
        let debian: LoaderInventory = ["ipxe.efi", "snponly.efi", "undionly.kpxe"].into_iter().collect();
        let wanted = Some(signed::LOADER);
        let said = debian.pick(Firmware::UefiX64, wanted).unwrap_err().to_string();
        assert!(said.contains("bootlace loaders fetch") && said.contains("uefi-x64"), "{said}");
        let said = debian.pick(Firmware::UefiIa32, wanted).unwrap_err().to_string();
        assert!(said.contains("no signed iPXE is released for uefi-ia32"), "{said}");
        assert_eq!(debian.pick(Firmware::Bios, wanted).unwrap(), "undionly.kpxe");
        let with_set: LoaderInventory =
            signed::Pair::all().map(signed::Pair::shim).chain(["snponly.efi".to_owned()]).collect();
        for (firmware, shim) in [
            (Firmware::UefiX64, "ipxe/x86_64-sb/snponly-shim.efi"),
            (Firmware::HttpX64, "ipxe/x86_64-sb/snponly-shim.efi"),
            (Firmware::UefiArm64, "ipxe/arm64-sb/snponly-shim.efi"),
        ] {
            assert_eq!(with_set.pick(firmware, wanted).unwrap(), shim);
        }
        assert_eq!(with_set.pick(Firmware::UefiX64, None).unwrap(), "snponly.efi", "only who asks for it");
    }

    #[test]
    fn every_named_firmware_has_candidates() {
        assert!(Firmware::all().all(|firmware| !candidates(firmware).is_empty()));
        let all: Vec<_> = all_candidates().collect();
        assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "no name twice");
    }
}
