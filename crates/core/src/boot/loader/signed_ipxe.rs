//! The signed iPXE of its own project (2.0 and later): its files, and the names that they are asked for by.
//!
//! Microsoft has signed the project's shim, and that starts nothing but what the project has signed. It takes the
//! name of what it starts from its own, `snponly-shim.efi` starting `snponly.efi` of the same folder; firmware that
//! does not tell it its name makes it ask for `ipxe.efi` of the root (iPXE issue 1684). What it starts cannot be built
//! with a script inside, and asks for `autoexec.ipxe` beside itself. So it takes a folder of files for each
//! architecture, as upstream's archive has them, and names that fit together.

use crate::model::Firmware;

/// The folder, below the root that machines see, that holds the folders of the set.
const HOME: &str = "ipxe/";

/// What the shim asks for when firmware has not told it its own name.
pub(crate) const NAMELESS: &str = "ipxe.efi";

/// The processors that upstream signs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit x86.
    X64,
    /// 64-bit ARM.
    Arm64,
}

/// The iPXE that a shim starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// Drives the card through the firmware that has just booted from it: works with every card.
    SnpOnly,
    /// Brings drivers of its own, for firmware whose own are broken.
    Full,
}

/// A pair of shim and iPXE: what one machine is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Which folder it lies in.
    pub architecture: Architecture,
    /// What the shim starts.
    pub build: Build,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X64, Self::Arm64];

    /// What a firmware starts, if upstream signs for it.
    pub fn of(firmware: Firmware) -> Option<Self> {
        match firmware {
            Firmware::UefiX64 | Firmware::HttpX64 => Some(Self::X64),
            Firmware::UefiArm64 | Firmware::HttpArm64 => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Its folder in upstream's archive and in the set.
    pub fn folder(self) -> &'static str {
        match self {
            Self::X64 => "x86_64-sb",
            Self::Arm64 => "arm64-sb",
        }
    }

    /// The files of the set, below its root: the shim, then what it can start.
    pub fn files(self) -> [&'static str; 3] {
        match self {
            Self::X64 => ["x86_64-sb/shimx64.efi", "x86_64-sb/snponly.efi", "x86_64-sb/ipxe.efi"],
            Self::Arm64 => ["arm64-sb/shimaa64.efi", "arm64-sb/snponly.efi", "arm64-sb/ipxe.efi"],
        }
    }

    /// The name of this architecture in names of EFI programs (UEFI specification, 3.5.1.1).
    fn suffix(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "aa64",
        }
    }
}

impl Build {
    /// Both, the better one first.
    pub const ALL: [Self; 2] = [Self::SnpOnly, Self::Full];

    fn stem(self) -> &'static str {
        match self {
            Self::SnpOnly => "snponly",
            Self::Full => "ipxe",
        }
    }
}

impl Pair {
    /// What a firmware gets by `loader = "ipxe-signed"`.
    pub fn of(firmware: Firmware) -> Option<Self> {
        Architecture::of(firmware).map(|architecture| Self { architecture, build: Build::SnpOnly })
    }

    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        Architecture::ALL
            .into_iter()
            .flat_map(|architecture| Build::ALL.map(|build| Self { architecture, build }))
    }

    /// The pair whose shim has this name, if it is one: a config may name it in place of `"ipxe-signed"`.
    pub fn of_shim(name: &str) -> Option<Self> {
        Self::all().find(|pair| {
            let base = name.strip_prefix(HOME).and_then(|name| name.strip_prefix(pair.architecture.folder()));
            base.and_then(|base| base.strip_prefix('/')).is_some_and(|base| pair.has_shim(base))
        })
    }

    /// The name of the shim for DHCP. It is as upstream's archive has it, so that whatever a machine derives from it
    /// is there.
    pub fn shim(self) -> String {
        format!("{HOME}{}/{}-shim.efi", self.architecture.folder(), self.build.stem())
    }

    /// The name of what the shim starts.
    pub fn second(self) -> String {
        format!("{HOME}{}/{}.efi", self.architecture.folder(), self.build.stem())
    }

    /// With and without the architecture in its name, both of which its shim understands; without any iPXE's, it starts
    /// the full build.
    fn has_shim(self, base: &str) -> bool {
        let suffix = self.architecture.suffix();
        let Some(stem) = base.strip_suffix(".efi") else { return false };
        let stem = stem.strip_suffix(suffix).unwrap_or(stem);
        let own = stem.strip_suffix("shim").map(|stem| stem.strip_suffix('-').unwrap_or(stem));
        match own {
            Some("") => self.build == Build::Full,
            own => own == Some(self.build.stem()),
        }
    }
}

/// The file of the set that a cleaned name stands for, below the set's root.
pub fn stored(name: &str) -> Option<&'static str> {
    match Pair::of_shim(name) {
        Some(pair) => Some(pair.architecture.files()[0]),
        None => {
            let below = name.strip_prefix(HOME)?;
            Architecture::ALL.into_iter().flat_map(Architecture::files).find(|file| *file == below)
        }
    }
}

/// Whether a cleaned name lies in one of the set's folders.
pub(crate) fn is_in_a_folder(name: &str) -> bool {
    name.strip_prefix(HOME)
        .and_then(|name| name.split_once('/'))
        .is_some_and(|(folder, _)| Architecture::ALL.iter().any(|own| own.folder() == folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_and_what_it_derives_from_its_name_lie_in_one_folder() {
        for pair in Pair::all() {
            let (shim, second) = (pair.shim(), pair.second());
            // What upstream's shim does: drop `-shim` from its own name.
            assert_eq!(shim.replace("-shim", ""), second);
            assert_eq!(Pair::of_shim(&shim), Some(pair));
            let [shim_file, ..] = pair.architecture.files();
            assert_eq!(stored(&shim), Some(shim_file));
            assert!(stored(&second).is_some_and(|file| file != shim_file), "{second}");
            assert!(is_in_a_folder(&shim) && shim.len() < 128, "`file` of a DHCP packet holds it");
        }
    }

    #[test]
    fn the_names_of_a_shim() {
        let full = |name: String| Pair::of_shim(&name).map(|pair| pair.build);
        for name in ["snponly-shim.efi", "snponly-shimx64.efi"] {
            assert_eq!(full(format!("ipxe/x86_64-sb/{name}")), Some(Build::SnpOnly), "{name}");
        }
        for name in ["ipxe-shim.efi", "ipxe-shimx64.efi", "shimx64.efi"] {
            assert_eq!(full(format!("ipxe/x86_64-sb/{name}")), Some(Build::Full), "{name}");
        }
        for name in [
            "ipxe/x86_64-sb/snponly.efi",
            "ipxe/x86_64-sb/snponly-shimaa64.efi",
            "ipxe/arm64/snponly-shim.efi",
            "snponly-shim.efi",
            "ipxe/x86_64-sb/other-shim.efi",
        ] {
            assert_eq!(Pair::of_shim(name), None, "{name}");
        }
        assert_eq!(stored("ipxe/x86_64-sb/mmx64.efi"), None);
        assert_eq!(stored("x86_64-sb/ipxe.efi"), None);
        assert_eq!(stored("ipxe/arm64-sb/ipxe.efi"), Some("arm64-sb/ipxe.efi"));
    }
}
