//! Which program a firmware is sent first, by the file names of the distributions' packages.
//!
//! Three kinds: the distribution's iPXE, which no key in firmware has signed, and for machines with Secure Boot the
//! distribution's signed shim with its GRUB, or the signed iPXE of its own project. Which of them a machine gets is the
//! config's word. What is signed is never replaced by what is not: a machine with `loader = "secure"` or
//! `loader = "ipxe-signed"` gets the signed files or none.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::Firmware;

mod pe;
mod signed;
pub mod signed_ipxe;

pub use pe::{PE_HEADER_BYTES_MAX, carries_signature};
pub use signed::{SignedBoot, SignedFile, signed_boot, signed_files};

/// The value of `loader`: what firmware is sent instead of iPXE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loader {
    /// A file of this served name.
    File(String),
    /// `"secure"`: the distribution's signed shim and GRUB.
    Secure,
    /// `"ipxe-signed"`: the signed iPXE of its own project, see [`signed_ipxe`].
    SignedIpxe,
}

impl Loader {
    /// [`Loader::Secure`] in the config.
    pub const SECURE: &str = "secure";
    /// [`Loader::SignedIpxe`] in the config.
    pub const SIGNED_IPXE: &str = "ipxe-signed";

    /// What the config says.
    pub fn name(&self) -> &str {
        match self {
            Self::File(name) => name,
            Self::Secure => Self::SECURE,
            Self::SignedIpxe => Self::SIGNED_IPXE,
        }
    }

    /// The file that it names.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File(name) => Some(name),
            Self::Secure | Self::SignedIpxe => None,
        }
    }
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a loader file carries a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// It does; whose it is, the firmware sees.
    Present,
    /// It does not, or has a format that knows none.
    Absent,
}

/// The loader files that exist: in `boot_dir` or in one of the distribution's folders. The binary looks, the
/// decision only reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoaderInventory(BTreeMap<String, Signature>);

impl LoaderInventory {
    /// Adds a file.
    pub fn insert(&mut self, name: impl Into<String>, signature: Signature) {
        self.0.insert(name.into(), signature);
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there is an iPXE for any firmware.
    pub fn has_ipxe(&self) -> bool {
        all_candidates().any(|name| self.has(name))
    }

    /// The file that is served for a file of the signed boot: one of the name that machines ask for, else one as
    /// its package calls it; signed, or it counts as missing. Debian keeps an unsigned `shimx64.efi` beside the
    /// signed one.
    pub fn signed(&self, file: &SignedFile) -> Option<&str> {
        let names = [file.name].into_iter().chain(file.packaged.iter().copied());
        let mut entries = names.filter_map(|name| self.0.get_key_value(name));
        entries.find(|(_, signature)| **signature == Signature::Present).map(|(name, _)| name.as_str())
    }

    /// The file behind a served name: that of the signed boot has another name in its package.
    pub fn behind<'a>(&'a self, name: &'a str) -> &'a str {
        let signed = signed_files().find(|file| file.name == name);
        signed.and_then(|file| self.signed(file)).unwrap_or(name)
    }

    /// The first of [`candidates`] that exists and brings drivers of its own.
    pub fn native(&self, firmware: Firmware) -> Option<String> {
        let by_firmware = |name: &str| name.contains("snponly") || name.contains("undionly");
        let mut native = candidates(firmware).iter().filter(|name| !by_firmware(name));
        native.find(|name| self.has(name)).map(|&name| name.to_owned())
    }

    /// The loader for a firmware: what machine or rule ask for, else the first of [`candidates`] that exists.
    /// A file that the config names is not looked up: it may lie deeper than the inventory goes.
    pub fn pick(&self, firmware: Firmware, wanted: Option<&Loader>) -> Result<String, NoLoader> {
        match wanted {
            Some(Loader::File(name)) => Ok(name.clone()),
            Some(Loader::Secure) => self.pick_signed(firmware),
            Some(Loader::SignedIpxe) => self.pick_signed_ipxe(firmware),
            None => candidates(firmware)
                .iter()
                .find(|name| self.has(name))
                .map(|&name| name.to_owned())
                .ok_or(NoLoader::Ipxe(firmware)),
        }
    }

    /// The loader for an iPXE that lacks something: as [`LoaderInventory::pick`], but another iPXE.
    pub fn pick_ipxe(&self, firmware: Firmware, wanted: Option<&Loader>) -> Result<String, NoLoader> {
        match wanted {
            Some(Loader::Secure) => Err(NoLoader::NoIpxe),
            Some(Loader::File(_) | Loader::SignedIpxe) | None => self.pick(firmware, wanted),
        }
    }

    /// What is missing of the signed boot, when there is none for any firmware. That of `uefi-x64` is named:
    /// it is what nearly every network has.
    pub fn without_signed_boot(&self) -> Option<NoLoader> {
        let mut all = Firmware::all().map(|firmware| self.pick_signed(firmware));
        if all.any(|picked| picked.is_ok()) { None } else { self.pick_signed(Firmware::UefiX64).err() }
    }

    /// The same of the signed iPXE.
    pub fn without_signed_ipxe(&self) -> Option<NoLoader> {
        let some = signed_ipxe::Pair::all().any(|pair| self.has(&pair.shim()));
        (!some).then_some(NoLoader::SignedIpxe(Firmware::UefiX64))
    }

    fn pick_signed_ipxe(&self, firmware: Firmware) -> Result<String, NoLoader> {
        let pair = signed_ipxe::Pair::of(firmware);
        let shim = pair.ok_or(NoLoader::Unsigned(firmware, Loader::SIGNED_IPXE))?.shim();
        if self.has(&shim) { Ok(shim) } else { Err(NoLoader::SignedIpxe(firmware)) }
    }

    fn pick_signed(&self, firmware: Firmware) -> Result<String, NoLoader> {
        let boot = signed_boot(firmware).ok_or(NoLoader::Unsigned(firmware, Loader::SECURE))?;
        match boot.needed().into_iter().find(|file| self.signed(file).is_none()) {
            Some(file) => Err(NoLoader::Signed(file)),
            None => Ok(boot.shim.name.to_owned()),
        }
    }
}

/// Files without a signature.
impl<S: Into<String>> FromIterator<S> for LoaderInventory {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(|name| (name.into(), Signature::Absent)).collect())
    }
}

/// There is no loader for a firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLoader {
    /// No iPXE for it was found.
    Ipxe(Firmware),
    /// The signed boot has none.
    NoIpxe,
    /// This value of `loader` has none for it: nobody signs one.
    Unsigned(Firmware, &'static str),
    /// The signed iPXE for it was not fetched, or is not what was fetched any more.
    SignedIpxe(Firmware),
    /// This file of the signed boot was not found, or only one without a signature.
    Signed(&'static SignedFile),
}

impl fmt::Display for NoLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipxe(firmware) => match candidates(*firmware) {
                [] => write!(f, "no iPXE is known for {firmware}: name a `loader` for it"),
                names => write!(
                    f,
                    "no iPXE for {firmware} was found: install the package ipxe or put {} into boot_dir",
                    names.join(" or ")
                ),
            },
            Self::NoIpxe => write!(f, "loader = \"{}\" is no iPXE", Loader::SECURE),
            Self::Unsigned(firmware, loader) => write!(
                f,
                "loader = \"{loader}\" has nothing for {firmware}, and an unsigned loader is not sent instead"
            ),
            Self::SignedIpxe(firmware) => write!(
                f,
                "the signed iPXE for {firmware} is not there: fetch it with `bootlace loaders fetch`; an unsigned \
                 loader is not sent instead"
            ),
            Self::Signed(SignedFile { name, package, .. }) => write!(
                f,
                "no signed {name} was found: install the package {package} or put {name} into boot_dir; an unsigned \
                 loader is not sent instead"
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

/// Every file name of iPXE that some firmware may be given.
pub fn all_candidates() -> impl Iterator<Item = &'static str> {
    Firmware::all().filter(|firmware| !firmware.is_http()).flat_map(candidates).copied()
}

/// Every name that an inventory has to look for, whatever the config says.
pub fn known_files() -> impl Iterator<Item = &'static str> {
    let signed = signed_files().flat_map(|file| [file.name].into_iter().chain(file.packaged.iter().copied()));
    all_candidates().chain(signed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn unsigned(names: &[&str]) -> LoaderInventory {
        names.iter().copied().collect()
    }

    fn signed(names: &[&str]) -> LoaderInventory {
        let mut inventory = LoaderInventory::default();
        names.iter().for_each(|&name| inventory.insert(name, Signature::Present));
        inventory
    }

    #[test]
    fn the_first_that_exists_unless_the_config_names_one() {
        let debian = unsigned(&["ipxe.efi", "snponly.efi", "undionly.kpxe", "ipxe.pxe"]);
        assert_eq!(debian.pick(Firmware::Bios, None).unwrap(), "undionly.kpxe");
        assert_eq!(debian.pick(Firmware::UefiX64, None).unwrap(), "snponly.efi");
        let mine = Loader::File("mine.efi".to_owned());
        assert_eq!(debian.pick(Firmware::UefiX64, Some(&mine)).unwrap(), "mine.efi");
        let only_full = unsigned(&["ipxe.efi"]);
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
    fn the_signed_boot_is_whole_or_not_at_all() {
        let secure = |inventory: &LoaderInventory, firmware| inventory.pick(firmware, Some(&Loader::Secure));
        let debian = signed(&["shimx64.efi.signed", "grubnetx64.efi.signed"]);
        assert_eq!(secure(&debian, Firmware::UefiX64).unwrap(), "shimx64.efi");
        assert_eq!(secure(&debian, Firmware::HttpX64).unwrap(), "shimx64.efi");
        assert_eq!(debian.behind("grubx64.efi"), "grubnetx64.efi.signed");
        assert_eq!(debian.behind("mmx64.efi"), "mmx64.efi", "not there, by its own name");
        let arm = signed(&["shimaa64.efi", "grubaa64.efi"]);
        assert_eq!(secure(&arm, Firmware::UefiArm64).unwrap(), "shimaa64.efi");
        let half = signed(&["shimx64.efi.signed", "grubx64.efi.signed", "snponly.efi"]);
        let said = secure(&half, Firmware::UefiX64).unwrap_err().to_string();
        assert!(said.contains("grubx64.efi") && said.contains("grub-efi-amd64-signed"), "{said}");
        for firmware in [Firmware::Bios, Firmware::UefiRiscv64, Firmware::Other(12)] {
            assert_eq!(secure(&half, firmware), Err(NoLoader::Unsigned(firmware, Loader::SECURE)));
        }
    }

    #[test]
    fn an_unsigned_file_never_stands_for_a_signed_one() {
        let unsigned = unsigned(&["shimx64.efi", "grubx64.efi", "grubnetx64.efi.signed"]);
        assert!(unsigned.pick(Firmware::UefiX64, Some(&Loader::Secure)).is_err());
        let mut beside = signed(&["shimx64.efi.signed", "grubx64.efi"]);
        beside.insert("shimx64.efi", Signature::Absent);
        assert_eq!(beside.pick(Firmware::UefiX64, Some(&Loader::Secure)).unwrap(), "shimx64.efi");
        assert_eq!(beside.behind("shimx64.efi"), "shimx64.efi.signed");
        assert_eq!(beside.behind("grubx64.efi"), "grubx64.efi");
    }

    #[test]
    fn who_asks_for_the_signed_ipxe_gets_no_other() {
        let wanted = Some(&Loader::SignedIpxe);
        let debian = unsigned(&["ipxe.efi", "snponly.efi", "undionly.kpxe"]);
        let said = debian.pick(Firmware::UefiX64, wanted).unwrap_err().to_string();
        assert!(said.contains("bootlace loaders fetch") && said.contains("uefi-x64"), "{said}");
        assert_eq!(debian.without_signed_ipxe(), Some(NoLoader::SignedIpxe(Firmware::UefiX64)));
        for firmware in [Firmware::Bios, Firmware::UefiIa32, Firmware::Other(12)] {
            assert_eq!(debian.pick(firmware, wanted), Err(NoLoader::Unsigned(firmware, Loader::SIGNED_IPXE)));
        }
        let shims = signed_ipxe::Pair::all().map(signed_ipxe::Pair::shim);
        let with_set: LoaderInventory = shims.chain(["snponly.efi".to_owned()]).collect();
        for (firmware, shim) in [
            (Firmware::UefiX64, "ipxe/x86_64-sb/snponly-shim.efi"),
            (Firmware::HttpX64, "ipxe/x86_64-sb/snponly-shim.efi"),
            (Firmware::UefiArm64, "ipxe/arm64-sb/snponly-shim.efi"),
        ] {
            assert_eq!(with_set.pick(firmware, wanted).unwrap(), shim);
            assert_eq!(with_set.pick_ipxe(firmware, wanted).unwrap(), shim, "an iPXE that lacks something");
        }
        assert_eq!(with_set.without_signed_ipxe(), None);
        assert_eq!(with_set.pick(Firmware::UefiX64, None).unwrap(), "snponly.efi", "only who asks for it");
    }

    #[test]
    fn every_named_firmware_has_candidates() {
        assert!(Firmware::all().all(|firmware| !candidates(firmware).is_empty()));
        let all: Vec<_> = known_files().collect();
        assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "no name twice");
    }
}
