//! Which iPXE binary a firmware can run, by the file names of the distributions' packages.

use std::collections::BTreeSet;
use std::fmt;

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

    /// The first of [`candidates`] that exists and brings drivers of its own.
    pub fn native(&self, firmware: Firmware) -> Option<String> {
        let by_firmware = |name: &str| name.contains("snponly") || name.contains("undionly");
        let mut native = candidates(firmware).iter().filter(|name| !by_firmware(name));
        native.find(|name| self.has(name)).map(|&name| name.to_owned())
    }

    /// The loader for a firmware: what machine or rule ask for, else the first of [`candidates`] that exists.
    /// A name that the config gives is not looked up: it may lie deeper than the inventory goes.
    pub fn pick(&self, firmware: Firmware, wanted: Option<&str>) -> Result<String, NoLoader> {
        if let Some(wanted) = wanted {
            return Ok(wanted.to_owned());
        }
        candidates(firmware)
            .iter()
            .find(|name| self.has(name))
            .map(|&name| name.to_owned())
            .ok_or(NoLoader { firmware })
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
}

impl fmt::Display for NoLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    fn every_named_firmware_has_candidates() {
        assert!(Firmware::all().all(|firmware| !candidates(firmware).is_empty()));
        let all: Vec<_> = all_candidates().collect();
        assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "no name twice");
    }
}
