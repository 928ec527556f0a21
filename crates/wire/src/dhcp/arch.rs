//! Client system architecture (option 93, RFC 4578 section 2.1).

use std::fmt;

/// A number of the IANA registry "Processor Architecture Types".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arch(pub u16);

impl Arch {
    /// x86 BIOS; Raspberry Pi and many virtual machines send it too.
    pub const BIOS: Self = Self(0);
    /// 32-bit x86 UEFI.
    pub const UEFI_IA32: Self = Self(6);
    /// x64 UEFI.
    pub const UEFI_X64: Self = Self(7);
    /// EFI byte code by the registry, x64 UEFI in practice: RFC 4578 was printed with 7 and 9 exchanged.
    pub const UEFI_BC: Self = Self(9);
    /// 32-bit Arm UEFI.
    pub const UEFI_ARM32: Self = Self(10);
    /// 64-bit Arm UEFI.
    pub const UEFI_ARM64: Self = Self(11);
    /// 32-bit x86 UEFI, HTTP boot.
    pub const HTTP_IA32: Self = Self(15);
    /// x64 UEFI, HTTP boot.
    pub const HTTP_X64: Self = Self(16);
    /// EFI byte code over HTTP, x64 in practice, as [`Self::UEFI_BC`].
    pub const HTTP_BC: Self = Self(17);
    /// 32-bit Arm UEFI, HTTP boot.
    pub const HTTP_ARM32: Self = Self(18);
    /// 64-bit Arm UEFI, HTTP boot.
    pub const HTTP_ARM64: Self = Self(19);
    /// 32-bit Arm U-Boot.
    pub const UBOOT_ARM32: Self = Self(21);
    /// 64-bit Arm U-Boot.
    pub const UBOOT_ARM64: Self = Self(22);
    /// 64-bit RISC-V UEFI.
    pub const UEFI_RISCV64: Self = Self(27);
    /// 64-bit RISC-V UEFI, HTTP boot.
    pub const HTTP_RISCV64: Self = Self(28);
    /// 64-bit LoongArch UEFI.
    pub const UEFI_LOONG64: Self = Self(39);
    /// 64-bit LoongArch UEFI, HTTP boot.
    pub const HTTP_LOONG64: Self = Self(40);
    /// Raspberry Pi boot ROM and EEPROM.
    pub const RPI: Self = Self(41);

    /// A short name for people; `None` for a number that the registry does not have.
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }

    /// The number after `Arch:` in a vendor class such as `PXEClient:Arch:00007:UNDI:003016`.
    pub(super) fn from_vendor_class(class: &[u8]) -> Option<Self> {
        const MARK: &[u8] = b":Arch:";
        let at = class.windows(MARK.len()).position(|part| part == MARK)?;
        let digits = class.get(at + MARK.len()..)?.split(|&b| b == b':' || b == 0).next()?;
        std::str::from_utf8(digits).ok()?.parse().ok().map(Self)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// By number.
#[rustfmt::skip]
static NAMES: [&str; 42] = [
    "bios", "pc98", "itanium", "alpha", "arc-x86", "intel-lean", "uefi-ia32", "uefi-x64",
    "uefi-xscale", "uefi-bc", "uefi-arm32", "uefi-arm64", "ppc-open-firmware", "ppc-epapr", "ppc-opal",
    "http-ia32", "http-x64", "http-bc", "http-arm32", "http-arm64", "http-bios",
    "uboot-arm32", "uboot-arm64", "uboot-http-arm32", "uboot-http-arm64",
    "uefi-riscv32", "http-riscv32", "uefi-riscv64", "http-riscv64", "uefi-riscv128", "http-riscv128",
    "s390", "s390x", "uefi-mips32", "uefi-mips64", "uefi-sunway32", "uefi-sunway64",
    "uefi-loong32", "http-loong32", "uefi-loong64", "http-loong64", "rpi",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        let pairs = [
            (Arch::UEFI_X64, "uefi-x64"),
            (Arch::UEFI_ARM64, "uefi-arm64"),
            (Arch::HTTP_X64, "http-x64"),
            (Arch::UBOOT_ARM64, "uboot-arm64"),
            (Arch::HTTP_RISCV64, "http-riscv64"),
            (Arch::HTTP_LOONG64, "http-loong64"),
            (Arch::RPI, "rpi"),
        ];
        for (arch, name) in pairs {
            assert_eq!(arch.name(), Some(name));
        }
        assert_eq!(Arch(42).to_string(), "42");
    }

    #[test]
    fn vendor_class_text_names_an_architecture() {
        let read = |text: &str| Arch::from_vendor_class(text.as_bytes());
        assert_eq!(read("PXEClient:Arch:00007:UNDI:003016"), Some(Arch::UEFI_X64));
        assert_eq!(read("HTTPClient:Arch:00016\0"), Some(Arch::HTTP_X64));
        for text in ["", "PXEClient", "PXEClient:Arch:", "PXEClient:Arch:abcde:", "PXEClient:Arch:99999"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
