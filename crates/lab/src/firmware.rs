//! What a machine starts with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const OVMF_DIR: &str = "/usr/share/OVMF";
const AAVMF_DIR: &str = "/usr/share/AAVMF";

/// The firmware of a QEMU machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, whose network boot is the iPXE ROM of the NIC.
    SeaBios,
    /// OVMF with its own PXE, which is that of most real UEFI machines.
    Ovmf,
    /// OVMF with UEFI HTTP Boot alone.
    OvmfHttpBoot,
    /// OVMF that runs only what Microsoft's keys have signed.
    OvmfSecureBoot,
    /// OVMF for 32 bits with its own PXE.
    Ovmf32,
    /// EDK2 for 64-bit ARM with its own PXE.
    Aavmf,
    /// The same with UEFI HTTP Boot alone.
    AavmfHttpBoot,
}

/// The ROM of a machine's NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rom {
    /// QEMU's iPXE under SeaBIOS; none under OVMF, so that EDK2's own PXE runs.
    ByFirmware,
    /// None: SeaBIOS cannot boot from the network then.
    Empty,
    /// A ROM file.
    File(PathBuf),
}

impl Firmware {
    /// The emulator of its processor.
    pub(crate) fn emulator(self) -> &'static str {
        match self {
            Self::SeaBios | Self::Ovmf | Self::OvmfHttpBoot | Self::OvmfSecureBoot => "qemu-system-x86_64",
            Self::Ovmf32 => "qemu-system-i386",
            Self::Aavmf | Self::AavmfHttpBoot => "qemu-system-aarch64",
        }
    }

    /// QEMU arguments for this firmware. Its variables go to a fresh file in `dir`.
    pub(crate) fn args(self, name: &str, dir: &Path) -> Result<Vec<OsString>> {
        // Only code in system management mode may write keys; Debian's for 32 bits is built so, and has none.
        let (folder, code, vars, machine) = match self {
            Self::SeaBios => return Ok(vec!["-machine".into(), "q35".into()]),
            Self::Ovmf | Self::OvmfHttpBoot => (OVMF_DIR, "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd", "q35"),
            Self::OvmfSecureBoot => (OVMF_DIR, "OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd", "q35,smm=on"),
            Self::Ovmf32 => (OVMF_DIR, "OVMF32_CODE_4M.secboot.fd", "OVMF32_VARS_4M.fd", "q35,smm=on"),
            Self::Aavmf | Self::AavmfHttpBoot => (AAVMF_DIR, "AAVMF_CODE.fd", "AAVMF_VARS.fd", "virt"),
        };
        let own_vars = dir.join(format!("{name}-vars.fd"));
        let pristine = Path::new(folder).join(vars);
        std::fs::copy(&pristine, &own_vars).with_context(|| format!("copy {}", pristine.display()))?;
        let mut args: Vec<OsString> = vec!["-machine".into(), machine.into()];
        if matches!(self, Self::Aavmf | Self::AavmfHttpBoot) {
            args.extend(["-cpu".into(), "cortex-a57".into()]);
        }
        if matches!(self, Self::OvmfSecureBoot | Self::Ovmf32) {
            args.extend(["-global".into(), "driver=cfi.pflash01,property=secure,value=on".into()]);
        }
        args.push("-drive".into());
        args.push(format!("if=pflash,unit=0,format=raw,readonly=on,file={folder}/{code}").into());
        let mut vars_drive = OsString::from("if=pflash,unit=1,format=raw,file=");
        vars_drive.push(&own_vars);
        args.extend(["-drive".into(), vars_drive]);
        // PXE over IPv6, which nothing on a lab network answers, would cost a minute before the next entry.
        args.extend(["-fw_cfg".into(), "name=opt/org.tianocore/IPv6PXESupport,string=n".into()]);
        if matches!(self, Self::OvmfHttpBoot | Self::AavmfHttpBoot) {
            args.extend(["-fw_cfg".into(), "name=opt/org.tianocore/IPv4PXESupport,string=n".into()]);
        }
        // EDK2's network stack has asked for a source of random numbers since CVE-2023-45237.
        args.extend(["-device".into(), "virtio-rng-pci".into()]);
        Ok(args)
    }
}

impl Rom {
    /// The `romfile` part of a NIC's `-device`, comma included.
    pub(crate) fn device_option(&self, firmware: Firmware) -> OsString {
        match (self, firmware) {
            (Self::ByFirmware, Firmware::SeaBios) => OsString::new(),
            (Self::ByFirmware | Self::Empty, _) => ",romfile=".into(),
            (Self::File(path), _) => {
                let mut option = OsString::from(",romfile=");
                option.push(path);
                option
            }
        }
    }
}
