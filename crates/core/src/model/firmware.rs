//! What a machine boots with.

use std::fmt;
use std::str::FromStr;

/// The firmware families of option 93 that Bootlace tells apart (IANA "Processor Architecture Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Firmware {
    /// x86 BIOS; also Raspberry Pi EEPROMs and whatever sends no option 93.
    Bios,
    /// 32-bit x86 UEFI.
    UefiIa32,
    /// x64 UEFI (7, and 9 of firmware that read RFC 4578 before its erratum).
    UefiX64,
    /// 32-bit ARM UEFI.
    UefiArm32,
    /// 64-bit ARM UEFI.
    UefiArm64,
    /// 64-bit RISC-V UEFI.
    UefiRiscv64,
    /// 64-bit LoongArch UEFI.
    UefiLoong64,
    /// 32-bit x86 UEFI HTTP Boot.
    HttpIa32,
    /// x64 UEFI HTTP Boot (16, and 17 by the same confusion).
    HttpX64,
    /// 32-bit ARM UEFI HTTP Boot.
    HttpArm32,
    /// 64-bit ARM UEFI HTTP Boot.
    HttpArm64,
    /// 64-bit RISC-V UEFI HTTP Boot.
    HttpRiscv64,
    /// 64-bit LoongArch UEFI HTTP Boot.
    HttpLoong64,
    /// A number that nothing is served for.
    Other(u16),
}

/// Every named family with its config name and the option-93 numbers that mean it.
const NAMED: [(Firmware, &str, &[u16]); 13] = [
    (Firmware::Bios, "bios", &[0]),
    (Firmware::UefiIa32, "uefi-ia32", &[6]),
    (Firmware::UefiX64, "uefi-x64", &[7, 9]),
    (Firmware::UefiArm32, "uefi-arm32", &[10]),
    (Firmware::UefiArm64, "uefi-arm64", &[11]),
    (Firmware::UefiRiscv64, "uefi-riscv64", &[27]),
    (Firmware::UefiLoong64, "uefi-loong64", &[39]),
    (Firmware::HttpIa32, "http-ia32", &[15]),
    (Firmware::HttpX64, "http-x64", &[16, 17]),
    (Firmware::HttpArm32, "http-arm32", &[18]),
    (Firmware::HttpArm64, "http-arm64", &[19]),
    (Firmware::HttpRiscv64, "http-riscv64", &[28]),
    (Firmware::HttpLoong64, "http-loong64", &[40]),
];

impl Firmware {
    /// The family of an option-93 number.
    pub fn from_arch(number: u16) -> Self {
        NAMED
            .iter()
            .find(|(_, _, numbers)| numbers.contains(&number))
            .map_or(Self::Other(number), |&(firmware, _, _)| firmware)
    }

    /// The option-93 number that this family usually sends.
    pub fn arch(self) -> u16 {
        match self {
            Self::Other(number) => number,
            named => NAMED.iter().find(|(f, _, _)| *f == named).map_or(0, |(_, _, numbers)| numbers[0]),
        }
    }

    /// UEFI, by TFTP or HTTP.
    pub fn is_uefi(self) -> bool {
        !matches!(self, Self::Bios | Self::Other(_))
    }

    /// UEFI HTTP Boot: asks for URLs instead of TFTP names.
    pub fn is_http(self) -> bool {
        matches!(
            self,
            Self::HttpIa32
                | Self::HttpX64
                | Self::HttpArm32
                | Self::HttpArm64
                | Self::HttpRiscv64
                | Self::HttpLoong64
        )
    }

    /// The family that the same UEFI firmware says to be in its HTTP Boot.
    pub fn http_boot(self) -> Option<Self> {
        match self {
            Self::UefiIa32 => Some(Self::HttpIa32),
            Self::UefiX64 => Some(Self::HttpX64),
            Self::UefiArm32 => Some(Self::HttpArm32),
            Self::UefiArm64 => Some(Self::HttpArm64),
            Self::UefiRiscv64 => Some(Self::HttpRiscv64),
            Self::UefiLoong64 => Some(Self::HttpLoong64),
            _ => None,
        }
    }

    /// The family that the same firmware says to be when it loads by TFTP, and so does an iPXE that it has loaded.
    pub fn over_tftp(self) -> Self {
        match self {
            Self::HttpIa32 => Self::UefiIa32,
            Self::HttpX64 => Self::UefiX64,
            Self::HttpArm32 => Self::UefiArm32,
            Self::HttpArm64 => Self::UefiArm64,
            Self::HttpRiscv64 => Self::UefiRiscv64,
            Self::HttpLoong64 => Self::UefiLoong64,
            other => other,
        }
    }

    /// The family by what an iPXE build says of itself: its `platform` and `buildarch` settings.
    pub fn from_ipxe(platform: &str, buildarch: &str) -> Option<Self> {
        match (platform, buildarch) {
            ("pcbios", _) => Some(Self::Bios),
            ("efi", "i386") => Some(Self::UefiIa32),
            ("efi", "x86_64") => Some(Self::UefiX64),
            ("efi", "arm32") => Some(Self::UefiArm32),
            ("efi", "arm64") => Some(Self::UefiArm64),
            ("efi", "riscv64") => Some(Self::UefiRiscv64),
            ("efi", "loong64") => Some(Self::UefiLoong64),
            _ => None,
        }
    }

    /// Every named family, in the order of the docs.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMED.iter().map(|&(firmware, _, _)| firmware)
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED.iter().find(|(firmware, _, _)| firmware == self) {
            Some((_, name, _)) => f.write_str(name),
            None => write!(f, "arch-{}", self.arch()),
        }
    }
}

impl FromStr for Firmware {
    type Err = ();

    /// A config name, or `arch-NUMBER` for the rest.
    fn from_str(name: &str) -> Result<Self, ()> {
        if let Some(number) = name.strip_prefix("arch-") {
            return number.parse().map(Self::from_arch).map_err(|_| ());
        }
        NAMED
            .iter()
            .find(|(_, n, _)| n.eq_ignore_ascii_case(name))
            .map(|&(firmware, _, _)| firmware)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for firmware in Firmware::all() {
            assert_eq!(firmware.to_string().parse(), Ok(firmware));
            assert_eq!(Firmware::from_arch(firmware.arch()), firmware);
            let pxe = firmware.is_uefi() && !firmware.is_http();
            assert_eq!(firmware.http_boot().is_some_and(Firmware::is_http), pxe, "{firmware}");
            assert_eq!(
                firmware.http_boot().map_or(firmware.over_tftp(), Firmware::over_tftp),
                firmware.over_tftp()
            );
        }
        assert_eq!(Firmware::from_arch(9), Firmware::UefiX64);
        assert_eq!(Firmware::from_arch(12), Firmware::Other(12));
        assert_eq!(Firmware::Other(12).to_string(), "arch-12");
        assert_eq!("arch-12".parse(), Ok(Firmware::Other(12)));
        assert_eq!("arch-x".parse::<Firmware>(), Err(()));
    }
}
