//! Virtual machines of this host. EDK2 since 2024-05 needs random numbers for its network (its answer to PixieFail,
//! CVE-2023-45237); without a source, network boot is not even offered, and nothing is seen on the wire.

use std::fs;

use bootlace_core::finding::Finding;

use super::{Code, warning};

/// Parts of the file names of EDK2 builds.
const FIRMWARE: [&str; 4] = ["ovmf", "aavmf", "edk2", "qemu_efi"];
/// What the names of QEMU's x86 models without RDRAND begin with, in small letters; Intel has it since Ivy Bridge.
const CPUS_WITHOUT_RDRAND: [&str; 14] = [
    "qemu",
    "kvm",
    "486",
    "pentium",
    "athlon",
    "phenom",
    "opteron_g",
    "core2duo",
    "coreduo",
    "conroe",
    "penryn",
    "nehalem",
    "westmere",
    "sandybridge",
];

pub(super) fn without_randomness() -> Vec<Finding> {
    let mut found: Vec<(u32, Finding)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let bytes = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let arguments: Vec<&str> = text.split('\0').collect();
        found.extend(judge(pid, &arguments).map(|finding| (pid, finding)));
    }
    found.sort_by_key(|(pid, _)| *pid);
    found.into_iter().map(|(_, finding)| finding).collect()
}

fn judge(pid: u32, arguments: &[&str]) -> Option<Finding> {
    let program = arguments.first()?.rsplit('/').next()?;
    if !program.starts_with("qemu-system-") && program != "kvm" {
        return None;
    }
    let rest = || arguments.iter().skip(1);
    let is_uefi = rest().any(|argument| {
        let argument = argument.to_ascii_lowercase();
        FIRMWARE.iter().any(|name| argument.contains(name))
    });
    let has_source = rest().any(|argument| argument.contains("virtio-rng"))
        || has_rdrand(program, value(arguments, "-cpu"));
    (is_uefi && !has_source).then(|| {
        let name = value(arguments, "-name").map_or_else(
            || format!("process {pid}"),
            |name| name.split(',').next().unwrap_or(name).trim_start_matches("guest=").to_owned(),
        );
        warning(
            Code::NoRandomness,
            format!("the UEFI of the virtual machine {name} may not boot from the network"),
        )
        .evidence(format!("{program}, process {pid}, has no random number device"))
        .fix(
            "give it one: -device virtio-rng-pci, or in libvirt <rng model='virtio'><backend \
                 model='random'>/dev/urandom</backend></rng>",
        )
    })
}

/// Whether the CPU draws random numbers by itself, in a way that EDK2 uses.
fn has_rdrand(program: &str, cpu: Option<&str>) -> bool {
    let Some(cpu) = cpu.map(str::to_ascii_lowercase) else { return false };
    let (model, features) = cpu.split_once(',').unwrap_or((&cpu, ""));
    let says = |words: [&str; 2]| features.split(',').any(|feature| words.contains(&feature));
    if !program.ends_with("x86_64") && program != "kvm" {
        return model == "max";
    }
    let of_model = !CPUS_WITHOUT_RDRAND.iter().any(|without| model.starts_with(without));
    (of_model || says(["+rdrand", "rdrand=on"])) && !says(["-rdrand", "rdrand=off"])
}

fn value<'a>(arguments: &[&'a str], option: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| *argument == option)?;
    arguments.get(at + 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVMF: &str = "-drive if=pflash,format=raw,file=/usr/share/OVMF/OVMF_CODE_4M.fd";

    fn judged(line: &str) -> Option<String> {
        judge(9, &line.split(' ').collect::<Vec<_>>()).map(|finding| finding.message)
    }

    #[test]
    fn a_uefi_machine_without_random_numbers_is_found_by_name() {
        let said =
            judged(&format!("/usr/bin/qemu-system-x86_64 -name guest=web1,debug-threads=on {OVMF}")).unwrap();
        assert!(said.contains("machine web1"), "{said}");
        assert!(judged(&format!("kvm {OVMF} -cpu qemu64")).unwrap().contains("process 9"));
        assert!(judged(&format!("kvm {OVMF} -cpu host,rdrand=off")).is_some());
        assert!(
            judged("qemu-system-aarch64 -bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd -cpu cortex-a72")
                .is_some()
        );
    }

    #[test]
    fn others_are_left_alone() {
        for fine in [
            format!("qemu-system-x86_64 {OVMF} -device virtio-rng-pci"),
            format!("qemu-system-x86_64 {OVMF} -device {{\"driver\":\"virtio-rng-pci\"}}"),
            format!("qemu-system-x86_64 {OVMF} -cpu host,migratable=on"),
            format!("qemu-system-x86_64 {OVMF} -cpu Skylake-Client-IBRS,ss=on"),
            format!("qemu-system-x86_64 {OVMF} -cpu qemu64,+rdrand"),
            "qemu-system-x86_64 -m 512".to_owned(),
            format!("vim {OVMF}"),
            String::new(),
        ] {
            assert_eq!(judged(&fine), None, "{fine}");
        }
    }
}
