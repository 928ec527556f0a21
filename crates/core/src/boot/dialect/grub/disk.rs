//! What starts an installed system from its disk under UEFI: a program in the EFI system partition.

use crate::model::Firmware;

/// Folders in `/EFI` whose shim starts the system that put it there.
const VENDORS: [&str; 12] = [
    "debian",
    "ubuntu",
    "fedora",
    "redhat",
    "centos",
    "rocky",
    "almalinux",
    "opensuse",
    "sles",
    "oracle",
    "amzn",
    "kali",
];

/// The programs to look for, best first: those of systems, Windows', and the one for a disk that is moved between
/// machines, which some systems use to make a boot entry and start the machine again.
pub(super) fn programs(firmware: Firmware) -> Vec<String> {
    let Some(arch) = suffix(firmware) else { return Vec::new() };
    let vendors = VENDORS.into_iter().map(|vendor| format!("/EFI/{vendor}/shim{arch}.efi"));
    let others =
        ["/EFI/Microsoft/Boot/bootmgfw.efi".to_owned(), format!("/EFI/BOOT/BOOT{}.EFI", arch.to_uppercase())];
    vendors.chain(others).collect()
}

/// How UEFI names a processor (UEFI 2.10, section 3.5.1.1).
fn suffix(firmware: Firmware) -> Option<&'static str> {
    match firmware {
        Firmware::UefiX64 | Firmware::HttpX64 => Some("x64"),
        Firmware::UefiIa32 | Firmware::HttpIa32 => Some("ia32"),
        Firmware::UefiArm32 | Firmware::HttpArm32 => Some("arm"),
        Firmware::UefiArm64 | Firmware::HttpArm64 => Some("aa64"),
        Firmware::UefiRiscv64 | Firmware::HttpRiscv64 => Some("riscv64"),
        Firmware::UefiLoong64 | Firmware::HttpLoong64 => Some("loongarch64"),
        Firmware::Bios | Firmware::Other(_) => None,
    }
}
