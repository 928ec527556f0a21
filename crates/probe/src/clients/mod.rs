//! The clients that can be played: one file a kind, each a profile over what all share.

mod bios;
mod edk2;
mod grub;
mod http_boot;
pub(crate) mod ipxe;
mod kernel;
mod loader;
mod os;
mod pxelinux;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bootlace_wire::dhcp::Arch;

pub(crate) use loader::load;

use crate::dhcp::{Lease, Profile};
use crate::fetch::{FetchError, Fetched, Habits};
use crate::finding::Finding;
use crate::report::{Outcome, Report};
use crate::script::Ipxe;
use crate::url::Url;

macro_rules! kinds {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// What a machine boots with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $doc] $variant,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    Bios "bios" "A PXE 2.1 ROM of a BIOS machine.",
    UefiX64 "uefi-x64" "EDK2's PXE on x64.",
    UefiArm64 "uefi-arm64" "EDK2's PXE on 64-bit Arm.",
    HttpX64 "http-x64" "EDK2's HTTP Boot on x64.",
    HttpArm64 "http-arm64" "EDK2's HTTP Boot on 64-bit Arm.",
    Ipxe "ipxe" "An iPXE ROM of a BIOS machine.",
    IpxeX64 "ipxe-x64" "An iPXE of a UEFI machine on x64.",
    Grub "grub" "GRUB that asks DHCP itself (`net_dhcp`).",
    Kernel "kernel" "A Linux kernel with `ip=dhcp`.",
    Dhclient "dhclient" "ISC dhclient as Debian has it.",
    Networkd "networkd" "systemd-networkd.",
    Udhcpc "udhcpc" "BusyBox udhcpc, as in installers and initial file systems.",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no client of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        write!(f, "no such firmware; there are {}", names.join(", "))
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.iter().copied().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

/// What a machine's programs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Bios,
    Efi(Arch),
}

/// What a program of a machine wants next.
#[derive(Debug)]
pub(crate) enum Want {
    /// A lease.
    Dhcp(Profile),
    /// A file. A form makes it a POST.
    Fetch { url: Url, habits: Habits, form: Option<String> },
    /// Time to pass.
    Sleep(Duration),
    /// To hand over to another program.
    Load(Box<Program>),
    /// Nothing more.
    End(Outcome),
}

/// What it gets.
#[derive(Debug)]
pub(crate) enum Got {
    /// It begins.
    Control,
    /// A lease, which is in the view.
    Lease,
    NoLease(Finding),
    File(Fetched),
    NoFile(Url, FetchError),
    /// The time has passed.
    Woke,
}

/// What a program sees of its machine, and where it writes what it does.
pub(crate) struct View<'a> {
    pub(crate) who: &'a crate::Identity,
    pub(crate) lease: Option<&'a Lease>,
    pub(crate) report: &'a mut Report,
    /// Since the machine was switched on.
    pub(crate) at: Duration,
}

/// A program that a machine runs: its firmware or a loader.
#[derive(Debug)]
pub(crate) enum Program {
    /// Firmware that gets one boot file by PXE.
    Pxe(Kind),
    Http(http_boot::HttpBoot),
    Ipxe(Box<Ipxe>),
    Pxelinux(Box<pxelinux::Pxelinux>),
    Grub(Box<grub::Grub>),
    /// What only wants an address.
    Os(Kind),
}

impl Program {
    pub(crate) fn firmware(kind: Kind) -> Self {
        match kind {
            Kind::Bios | Kind::UefiX64 | Kind::UefiArm64 => Self::Pxe(kind),
            Kind::HttpX64 | Kind::HttpArm64 => Self::Http(http_boot::HttpBoot::new(kind)),
            Kind::Ipxe => Self::Ipxe(Box::new(Ipxe::new(Platform::Bios, None))),
            Kind::IpxeX64 => Self::Ipxe(Box::new(Ipxe::new(Platform::Efi(Arch::UEFI_X64), None))),
            Kind::Grub => Self::Grub(Box::new(grub::Grub::on_its_own())),
            Kind::Kernel | Kind::Dhclient | Kind::Networkd | Kind::Udhcpc => Self::Os(kind),
        }
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Pxe(kind) | Self::Os(kind) => kind.to_string(),
            Self::Http(http) => http.kind.to_string(),
            Self::Ipxe(_) => "iPXE".to_owned(),
            Self::Pxelinux(_) => "pxelinux".to_owned(),
            Self::Grub(_) => "GRUB".to_owned(),
        }
    }

    pub(crate) fn go(&mut self, got: Got, view: &mut View<'_>) -> Want {
        match self {
            Self::Pxe(kind) => pxe(*kind, got, view),
            Self::Http(http) => http.go(got, view),
            Self::Ipxe(ipxe) => ipxe.go(got, view),
            Self::Pxelinux(pxelinux) => pxelinux.go(got, view),
            Self::Grub(grub) => grub.go(got, view),
            Self::Os(kind) => match got {
                Got::Control => Want::Dhcp(os_profile(*kind)),
                Got::NoLease(finding) => stop(finding),
                _ => Want::End(Outcome::Lease),
            },
        }
    }
}

fn os_profile(kind: Kind) -> Profile {
    match kind {
        Kind::Dhclient => os::DHCLIENT,
        Kind::Networkd => os::NETWORKD,
        Kind::Udhcpc => os::UDHCPC,
        _ => kernel::PROFILE,
    }
}

pub(crate) fn stop(finding: Finding) -> Want {
    Want::End(Outcome::Stopped(finding))
}

/// Firmware: a lease, then the one file that it names, then that has the machine.
fn pxe(kind: Kind, got: Got, view: &View<'_>) -> Want {
    let (profile, habits, platform) = match kind {
        Kind::UefiX64 => (edk2::X64, edk2::HABITS, Platform::Efi(Arch::UEFI_X64)),
        Kind::UefiArm64 => (edk2::ARM64, edk2::HABITS, Platform::Efi(Arch::UEFI_ARM64)),
        _ => (bios::PROFILE, bios::HABITS, Platform::Bios),
    };
    match got {
        Got::NoLease(finding) => stop(finding),
        Got::NoFile(url, error) => stop(error.finding(&url)),
        Got::File(fetched) => load(&fetched, platform, None),
        Got::Lease => {
            let Some(lease) = view.lease else { return Want::Dhcp(profile) };
            match (profile.boot)(lease) {
                Err(finding) => stop(finding),
                Ok(None) => Want::End(Outcome::Lease),
                Ok(Some(boot)) => match boot.server {
                    Some(server) => Want::Fetch { url: Url::tftp(server, &boot.file), habits, form: None },
                    None => stop(Finding::new(
                        crate::FindingCode::NoBootServer,
                        "no server for the boot file",
                        format!("file {}", boot.file),
                    )),
                },
            }
        }
        Got::Control | Got::Woke => Want::Dhcp(profile),
    }
}
