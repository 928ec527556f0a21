//! Loaders that firmware with Secure Boot starts: the distribution's shim, which Microsoft has signed, and the GRUB
//! that this shim starts, by the file names of Debian's and Ubuntu's packages.
//!
//! shim asks for its second stage beside itself by a name that is built into it (rhboot/shim, netboot.c), so each file
//! is served under that name whatever its package calls it.

use crate::model::Firmware;

/// One file of the distribution's signed boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedFile {
    /// What machines ask for.
    pub name: &'static str,
    /// What the packages call it, best first.
    pub packaged: &'static [&'static str],
    /// The Debian package that has it.
    pub package: &'static str,
}

/// shim and what it asks for on one kind of firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedBoot {
    /// The first program.
    pub shim: SignedFile,
    /// What shim starts.
    pub grub: SignedFile,
    /// What shim starts when it refuses the second stage, to enrol a key. A boot needs none.
    pub mok_manager: SignedFile,
}

impl SignedBoot {
    /// Its files in the order in which a machine asks for them.
    pub fn files(&self) -> [&SignedFile; 3] {
        [&self.shim, &self.grub, &self.mok_manager]
    }

    /// Those without which it does not boot.
    pub fn needed(&self) -> [&SignedFile; 2] {
        [&self.shim, &self.grub]
    }
}

const X64: SignedBoot = SignedBoot {
    shim: SignedFile {
        name: "shimx64.efi",
        // Ubuntu's second name is the target of an alternative.
        packaged: &["shimx64.efi.signed", "shimx64.efi.signed.latest"],
        package: "shim-signed",
    },
    grub: SignedFile {
        name: "grubx64.efi",
        packaged: &["grubnetx64.efi.signed"],
        package: "grub-efi-amd64-signed",
    },
    mok_manager: SignedFile {
        name: "mmx64.efi",
        packaged: &["mmx64.efi.signed"],
        package: "shim-helpers-amd64-signed",
    },
};

const IA32: SignedBoot = SignedBoot {
    shim: SignedFile {
        name: "shimia32.efi",
        packaged: &["shimia32.efi.signed"],
        package: "shim-signed:i386",
    },
    grub: SignedFile {
        name: "grubia32.efi",
        packaged: &["grubnetia32.efi.signed"],
        package: "grub-efi-ia32-signed",
    },
    mok_manager: SignedFile {
        name: "mmia32.efi",
        packaged: &["mmia32.efi.signed"],
        package: "shim-helpers-i386-signed",
    },
};

const ARM64: SignedBoot = SignedBoot {
    shim: SignedFile {
        name: "shimaa64.efi",
        packaged: &["shimaa64.efi.signed", "shimaa64.efi.signed.latest"],
        package: "shim-signed:arm64",
    },
    grub: SignedFile {
        name: "grubaa64.efi",
        packaged: &["grubnetaa64.efi.signed"],
        package: "grub-efi-arm64-signed",
    },
    mok_manager: SignedFile {
        name: "mmaa64.efi",
        packaged: &["mmaa64.efi.signed"],
        package: "shim-helpers-arm64-signed",
    },
};

/// The distribution's signed boot for a firmware; `None` where nobody signs one.
pub fn signed_boot(firmware: Firmware) -> Option<&'static SignedBoot> {
    match firmware {
        Firmware::UefiX64 | Firmware::HttpX64 => Some(&X64),
        Firmware::UefiIa32 | Firmware::HttpIa32 => Some(&IA32),
        Firmware::UefiArm64 | Firmware::HttpArm64 => Some(&ARM64),
        Firmware::Bios
        | Firmware::UefiArm32
        | Firmware::HttpArm32
        | Firmware::UefiRiscv64
        | Firmware::HttpRiscv64
        | Firmware::UefiLoong64
        | Firmware::HttpLoong64
        | Firmware::Other(_) => None,
    }
}

/// All files of all firmware.
pub fn signed_files() -> impl Iterator<Item = &'static SignedFile> {
    [&X64, &IA32, &ARM64].into_iter().flat_map(SignedBoot::files)
}
