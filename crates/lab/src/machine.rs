//! Virtual machines on a LAN.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::disk::Disk;
use crate::firmware::{Firmware, Rom};
use crate::lan::Lan;
use crate::output::Output;

/// A machine before it is switched on. Name the fields that matter and take the rest from [`Machine::new`].
#[derive(Debug, Clone)]
pub struct Machine {
    /// For logs and file names.
    pub name: String,
    /// The address of its NIC, `00:12:34:56:78:90`.
    pub mac: String,
    /// What it starts with.
    pub firmware: Firmware,
    /// The QEMU device of its NIC: `virtio-net-pci`, `e1000e`, ...
    pub nic: String,
    /// The ROM of its NIC.
    pub rom: Rom,
    /// What it says of itself.
    pub smbios: Smbios,
    /// Its disk, which the firmware tries after the network.
    pub disk: Option<Disk>,
    /// What it starts at once, before the network and the disk.
    pub inserted: Option<Inserted>,
    /// Memory in MiB. Kernel and initrd are in it twice while they load.
    pub memory_mib: u32,
}

/// A program in the format of a Linux kernel, with a file that it finds in memory: QEMU hands both over.
#[derive(Debug, Clone)]
pub struct Inserted {
    /// The program.
    pub kernel: PathBuf,
    /// Its initial file system, or what it takes for one.
    pub initrd: PathBuf,
    /// Its command line.
    pub cmdline: String,
}

/// SMBIOS strings; `None` leaves QEMU's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smbios {
    /// System manufacturer.
    pub manufacturer: Option<String>,
    /// System product name.
    pub product: Option<String>,
    /// System serial number.
    pub serial: Option<String>,
    /// System UUID in text form.
    pub uuid: Option<String>,
    /// Chassis asset tag, iPXE's `${asset}`.
    pub asset: Option<String>,
}

impl Machine {
    /// A machine with 512 MiB and a virtio NIC.
    #[must_use]
    pub fn new(name: &str, mac: &str, firmware: Firmware) -> Self {
        Self {
            name: name.to_owned(),
            mac: mac.to_owned(),
            firmware,
            nic: "virtio-net-pci".to_owned(),
            rom: Rom::ByFirmware,
            smbios: Smbios::default(),
            disk: None,
            inserted: None,
            memory_mib: 512,
        }
    }

    /// Switches the machine on. Its serial console goes to `DIR/NAME-serial.log`.
    pub fn start(&self, lan: &Lan, dir: &Path) -> Result<Running> {
        let tap = lan.tap()?;
        let mut command = Command::new(self.firmware.emulator());
        command
            .args(self.args(&tap, dir)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = lan.namespace().spawn(&mut command)?;
        let console = Output::new(&self.name);
        let keyboard = child.stdin.take().context("stdin is a pipe")?;
        let log = dir.join(format!("{}-serial.log", self.name));
        console.follow(child.stdout.take().context("stdout is a pipe")?, &log)?;
        console.follow(child.stderr.take().context("stderr is a pipe")?, &log)?;
        Ok(Running { child, console, keyboard })
    }

    fn args(&self, tap: &str, dir: &Path) -> Result<Vec<OsString>> {
        let mut args = self.firmware.args(&self.name, dir)?;
        // Software emulation: nested hosts often have a /dev/kvm that hangs, and CI has none.
        for arg in ["-accel", "tcg", "-nographic", "-serial", "stdio", "-monitor", "none", "-no-reboot"] {
            args.push(arg.into());
        }
        args.extend(["-nodefaults".into(), "-m".into(), format!("{}M", self.memory_mib).into()]);
        args.extend(["-name".into(), self.name.clone().into()]);
        args.push("-netdev".into());
        args.push(format!("tap,id=net0,ifname={tap},script=no,downscript=no").into());
        let mut nic = OsString::from(format!("{},netdev=net0,mac={},bootindex=1", self.nic, self.mac));
        nic.push(self.rom.device_option(self.firmware));
        args.extend(["-device".into(), nic]);
        if let Some(disk) = &self.disk {
            args.extend(["-drive".into(), disk.drive()]);
            args.extend(["-device".into(), "virtio-blk-pci,drive=disk0,bootindex=2".into()]);
        }
        if let Some(Inserted { kernel, initrd, cmdline }) = &self.inserted {
            args.extend(["-append".into(), cmdline.into()]);
            args.extend(["-kernel".into(), kernel.into(), "-initrd".into(), initrd.into()]);
        }
        for table in self.smbios.tables() {
            args.extend(["-smbios".into(), table.into()]);
        }
        Ok(args)
    }
}

impl Smbios {
    fn tables(&self) -> Vec<String> {
        let system = [
            ("manufacturer", &self.manufacturer),
            ("product", &self.product),
            ("serial", &self.serial),
            ("uuid", &self.uuid),
        ];
        [("type=1", &system[..]), ("type=3", &[("asset", &self.asset)])]
            .into_iter()
            .filter_map(|(table, fields)| {
                let set: String = fields
                    .iter()
                    // QEMU reads a doubled comma as a comma.
                    .filter_map(|(key, value)| Some(format!(",{key}={}", value.as_ref()?.replace(',', ",,"))))
                    .collect();
                (!set.is_empty()).then(|| format!("{table}{set}"))
            })
            .collect()
    }
}

/// A machine that runs. Dropping it pulls its plug.
#[derive(Debug)]
pub struct Running {
    child: Child,
    console: Output,
    keyboard: ChildStdin,
}

impl Running {
    /// Its serial console, to wait on.
    #[must_use]
    pub fn console(&self) -> &Output {
        &self.console
    }

    /// Waits until `text` appears on the console.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<()> {
        self.console.wait_for(text, limit)
    }

    /// Types on the serial console.
    pub fn type_keys(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes()).context("type on the serial console")?;
        self.keyboard.flush().context("type on the serial console")
    }

    /// Waits until the machine has switched itself off, or tried to reboot.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        self.console.wait_closed(limit)?;
        self.child.wait().context("wait for QEMU").map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smbios_strings_reach_their_tables() {
        let smbios = Smbios {
            product: Some("PowerEdge, 2".to_owned()),
            serial: Some("ABC1".to_owned()),
            asset: Some("42".to_owned()),
            ..Smbios::default()
        };
        assert_eq!(smbios.tables(), ["type=1,product=PowerEdge,, 2,serial=ABC1", "type=3,asset=42"]);
        assert!(Smbios::default().tables().is_empty());
    }
}
