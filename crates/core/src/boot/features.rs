//! What a boot needs of the iPXE that boots it, and what that iPXE says it has (option 175).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use bootlace_wire::dhcp::Feature;

use super::template::Template;
use crate::config::{Boot, BootKind, DiskBoot, Location, San};
use crate::model::Firmware;

/// What an iPXE said of itself in option 175 of its DHCP packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpxeFeatures {
    features: BTreeSet<Feature>,
    /// Major, minor and patch number; every build before 2.0 says 1.x.
    pub version: Option<[u8; 3]>,
}

impl IpxeFeatures {
    /// From what was reported.
    pub fn new(features: impl IntoIterator<Item = Feature>, version: Option<[u8; 3]>) -> Self {
        Self { features: features.into_iter().collect(), version }
    }

    /// Whether it has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}

impl fmt::Display for IpxeFeatures {
    /// Version and features, as the journal keeps them: `1.0.0 http iscsi`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some([major, minor, patch]) => write!(f, "{major}.{minor}.{patch}")?,
            None => f.write_str("?")?,
        }
        self.features.iter().try_for_each(|feature| write!(f, " {}", feature.name()))
    }
}

impl FromStr for IpxeFeatures {
    type Err = Infallible;

    /// Reads what [`fmt::Display`] wrote; names of other releases are skipped.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut words = text.split(' ');
        let mut numbers = words.next().unwrap_or_default().split('.').map(str::parse);
        let version = match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some([major, minor, patch]),
            _ => None,
        };
        let features =
            words.filter_map(|name| Feature::ALL.into_iter().find(|feature| feature.name() == name));
        Ok(Self::new(features, version))
    }
}

/// What a plan needs and an iPXE lacks; empty when it can do it.
pub fn missing(needed: &BTreeSet<Feature>, has: &IpxeFeatures) -> Missing {
    Missing(needed.iter().copied().filter(|&feature| !has.has(feature)).collect())
}

/// Features that are needed and not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing(pub Vec<Feature>);

impl Missing {
    /// Nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, feature) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", feature.name())?;
        }
        Ok(())
    }
}

/// What a boot needs on a firmware, before anything of it is rendered: DHCP asks this when the machine has told
/// little yet.
///
/// The names are iPXE's: on BIOS a Linux kernel is a `bzimage`, a loader such as lpxelinux.0 a `pxe` image; on
/// UEFI everything that runs is an `efi` image. Scripts of the user's need what they need: nothing is assumed.
/// What hides behind a menu is not counted: its own script asks again. What the config says that a boot `needs`
/// comes on top.
pub fn needs(boot: &Boot, firmware: Firmware) -> BTreeSet<Feature> {
    let mut needed = needs_of_kind(&boot.kind, firmware);
    needed.extend(&boot.needs);
    needed
}

fn needs_of_kind(kind: &BootKind, firmware: Firmware) -> BTreeSet<Feature> {
    let (kernel, loader) =
        if firmware.is_uefi() { (Feature::Efi, Feature::Efi) } else { (Feature::Bzimage, Feature::Pxe) };
    match kind {
        BootKind::Local(_) | BootKind::Ipxe { .. } | BootKind::Wait => BTreeSet::new(),
        // A shim is fetched only where it is needed, by an iPXE that can.
        BootKind::Linux { kernel: file, initrd, .. }
        | BootKind::Install(crate::config::Install { kernel: file, initrd, .. }) => {
            [file].into_iter().chain(initrd).filter_map(transport).chain([kernel]).collect()
        }
        BootKind::Chain { url } => scheme_feature(url).into_iter().collect(),
        BootKind::Pxelinux(_) => [loader, Feature::Http].into(),
        BootKind::Efi { file } => transport(file).into_iter().chain([Feature::Efi]).collect(),
        BootKind::Menu(_) => [Feature::Menu, Feature::Http].into(),
        BootKind::San(San { kernel: None, .. }) | BootKind::Disk(DiskBoot { kernel: None, .. }) => {
            [Feature::Iscsi].into()
        }
        BootKind::San(San { kernel: Some(of), .. }) | BootKind::Disk(DiskBoot { kernel: Some(of), .. }) => {
            of.files().filter_map(transport).chain([Feature::Iscsi, kernel]).collect()
        }
    }
}

fn transport(location: &Location) -> Option<Feature> {
    match location {
        Location::File(_) => Some(Feature::Http),
        Location::Url(url) => scheme_feature(url),
    }
}

/// The protocol that a URL asks for, when its template begins with one as it should.
fn scheme_feature(url: &Template) -> Option<Feature> {
    let (scheme, _) = url.text().split_once(':')?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(Feature::Http),
        "https" => Some(Feature::Https),
        "tftp" => Some(Feature::Tftp),
        "ftp" => Some(Feature::Ftp),
        "nfs" => Some(Feature::Nfs),
        _ => None,
    }
}
