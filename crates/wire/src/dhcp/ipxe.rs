//! iPXE's own option (175) and how to tell that iPXE speaks.

use super::decode::tlvs;
use super::{Code, Message};

/// A capability that an iPXE build reports, by its tag in option 175 (iPXE's `features.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Feature {
    /// PXE API extensions.
    PxeExt = 16,
    /// iSCSI disks.
    Iscsi = 17,
    /// ATA over Ethernet disks.
    Aoe = 18,
    /// HTTP.
    Http = 19,
    /// HTTP over TLS.
    Https = 20,
    /// TFTP.
    Tftp = 21,
    /// FTP.
    Ftp = 22,
    /// Host names.
    Dns = 23,
    /// Linux kernels (BIOS).
    Bzimage = 24,
    /// Multiboot kernels.
    Multiboot = 25,
    /// SLAM multicast.
    Slam = 26,
    /// SCSI RDMA disks.
    Srp = 27,
    /// Etherboot images.
    Nbi = 32,
    /// PXE boot programs.
    Pxe = 33,
    /// ELF images.
    Elf = 34,
    /// COMBOOT programs.
    Comboot = 35,
    /// EFI programs.
    Efi = 36,
    /// Fibre Channel over Ethernet disks.
    Fcoe = 37,
    /// VLAN devices.
    Vlan = 38,
    /// The menu commands.
    Menu = 39,
    /// SDI images.
    Sdi = 40,
    /// NFS.
    Nfs = 41,
}

impl Feature {
    /// All of them, by tag.
    #[rustfmt::skip]
    pub const ALL: [Self; 22] = [
        Self::PxeExt, Self::Iscsi, Self::Aoe, Self::Http, Self::Https, Self::Tftp, Self::Ftp, Self::Dns,
        Self::Bzimage, Self::Multiboot, Self::Slam, Self::Srp, Self::Nbi, Self::Pxe, Self::Elf,
        Self::Comboot, Self::Efi, Self::Fcoe, Self::Vlan, Self::Menu, Self::Sdi, Self::Nfs,
    ];

    /// The tag in option 175.
    pub fn tag(self) -> u8 {
        self as u8
    }

    /// The name that iPXE prints in its list of features, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::PxeExt => "pxeext",
            Self::Iscsi => "iscsi",
            Self::Aoe => "aoe",
            Self::Http => "http",
            Self::Https => "https",
            Self::Tftp => "tftp",
            Self::Ftp => "ftp",
            Self::Dns => "dns",
            Self::Bzimage => "bzimage",
            Self::Multiboot => "multiboot",
            Self::Slam => "slam",
            Self::Srp => "srp",
            Self::Nbi => "nbi",
            Self::Pxe => "pxe",
            Self::Elf => "elf",
            Self::Comboot => "comboot",
            Self::Efi => "efi",
            Self::Fcoe => "fcoe",
            Self::Vlan => "vlan",
            Self::Menu => "menu",
            Self::Sdi => "sdi",
            Self::Nfs => "nfs",
        }
    }

    fn by_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.tag() == tag)
    }
}

/// The network card that iPXE drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bus {
    /// 1 is PCI.
    pub kind: u8,
    /// Vendor number on that bus.
    pub vendor: u16,
    /// Device number of the vendor.
    pub device: u16,
}

/// What an iPXE client says of itself in option 175.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipxe {
    features: Vec<(Feature, u8)>,
    /// Major, minor and patch number. Every build before 2.0 says 1.x.
    pub version: Option<[u8; 3]>,
    /// The network card.
    pub bus: Option<Bus>,
}

impl Ipxe {
    const BUS_ID: u8 = 177;
    const VERSION: u8 = 235;
    /// Markers hold a byte, the version three; a block with longer ones is another vendor's use of 175.
    const MARKER_LEN_MAX: usize = 3;

    /// Reads the bytes of option 175; `None` when nothing in it is iPXE's, since VoIP phones use 175 too.
    pub fn parse(block: &[u8]) -> Option<Self> {
        let mut ipxe = Self::default();
        for (tag, value) in tlvs(block) {
            match (tag, value) {
                (Self::VERSION, &[major, minor, patch]) => ipxe.version = Some([major, minor, patch]),
                (Self::BUS_ID, &[kind, v1, v0, d1, d0]) => {
                    let (vendor, device) = (u16::from_be_bytes([v1, v0]), u16::from_be_bytes([d1, d0]));
                    ipxe.bus = Some(Bus { kind, vendor, device });
                }
                (_, [.., low]) if value.len() <= Self::MARKER_LEN_MAX => {
                    let known = Feature::by_tag(tag).filter(|f| ipxe.value(*f).is_none());
                    ipxe.features.extend(known.map(|feature| (feature, *low)));
                }
                _ => {}
            }
        }
        (ipxe != Self::default()).then_some(ipxe)
    }

    /// The build can do this.
    pub fn has(&self, feature: Feature) -> bool {
        self.value(feature).is_some_and(|value| value != 0)
    }

    /// The number that the build gives to a feature: 1, or a version of it.
    pub fn value(&self, feature: Feature) -> Option<u8> {
        self.features().find(|(f, _)| *f == feature).map(|(_, value)| value)
    }

    /// All reported features with their numbers, in the order of the packet.
    pub fn features(&self) -> impl Iterator<Item = (Feature, u8)> {
        self.features.iter().copied()
    }
}

impl Message {
    /// What iPXE says of its build.
    pub fn ipxe(&self) -> Option<Ipxe> {
        self.options.get(Code::IPXE).and_then(Ipxe::parse)
    }

    /// iPXE or its ancestor gPXE speaks.
    ///
    /// It also sends `PXEClient` in option 60 and an architecture in 93, so those tell nothing. Its user class
    /// can be replaced by a setting, hence the look at option 175.
    pub fn is_ipxe(&self) -> bool {
        let by_class = self.user_classes().is_some_and(|class| class.has(b"iPXE") || class.has(b"gPXE"));
        by_class || self.ipxe().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mac;
    use crate::dhcp::Op;

    #[test]
    fn another_vendors_block_is_not_ipxe() {
        for block in [&b""[..], b"\x01\x01\x01", b"\x13\x04abcd", b"\x05http:", b"\xb1\x01\x01", b"\x13"] {
            assert_eq!(Ipxe::parse(block), None, "{block:?}");
        }
    }

    #[test]
    fn features_have_values() {
        let ipxe =
            Ipxe::parse(b"\x10\x01\x02\x13\x01\x01\x14\x01\x00\xeb\x03\x01\x15\x01\xff\x27\x01\x01").unwrap();
        assert_eq!(ipxe.value(Feature::PxeExt), Some(2));
        assert!(ipxe.has(Feature::Http));
        assert!(!ipxe.has(Feature::Https), "a zero marker");
        assert!(!ipxe.has(Feature::Menu), "behind the end mark");
        assert_eq!(ipxe.version, Some([1, 0x15, 1]));
    }

    #[test]
    fn ipxe_is_known_by_class_or_by_block() {
        let with = |code: Code, bytes: &[u8]| {
            let mut message = Message::new(Op::Request, Mac([2, 0, 0, 0, 0, 1]).into(), 1);
            message.options.set(code, bytes);
            message.is_ipxe()
        };
        assert!(with(Code::USER_CLASS, b"iPXE"));
        assert!(with(Code::USER_CLASS, b"gPXE"));
        assert!(with(Code::USER_CLASS, b"\x03lab\x04iPXE"));
        assert!(with(Code::IPXE, b"\x13\x01\x01"));
        assert!(!with(Code::USER_CLASS, b"my iPXE"));
        assert!(!with(Code::VENDOR_CLASS, b"PXEClient:Arch:00000:UNDI:002001"));
        assert!(!with(Code::IPXE, b"\x06\x01\x08"));
    }
}
