//! An initrd that says how it was booted, does what a scenario asks, and switches the machine off.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::guest::Guest;

/// Before everything that the initrd prints for a scenario to find.
pub const MARK: &str = "BOOTLACE-LAB";

const MODE_DIR: u32 = 0o040_755;
const MODE_PROGRAM: u32 = 0o100_755;
const MODE_FILE: u32 = 0o100_644;
const MODE_CHAR_DEVICE: u32 = 0o020_600;
/// `/dev/console` is character device 5:1; without it `/init` would start with its output closed.
const CONSOLE: (u32, u32) = (5, 1);

/// What a QEMU machine needs to have a network.
pub const NETWORK_MODULES: &[&str] = &["virtio_pci", "virtio_net"];

/// The script that udhcpc runs when something changes: it takes the address and prints the lease.
const UDHCPC_SCRIPT: &str = "#!/bin/busybox sh
if [ \"$1\" = bound ] || [ \"$1\" = renew ]; then
    busybox ip addr add \"$ip/$mask\" dev \"$interface\"
    [ -z \"$router\" ] || busybox ip route add default via \"${router%% *}\"
    echo \"BOOTLACE-LAB lease: $1 ip=$ip/$mask router=$router dns=$dns domain=$domain hostname=$hostname\"
fi
";

/// What goes into an initrd besides busybox.
#[derive(Debug, Clone, Default)]
pub struct Initrd<'a> {
    /// Kernel modules to load, with their dependencies.
    pub modules: &'a [&'a str],
    /// Shell commands to run after the command line has been printed. Every busybox command is there.
    pub commands: &'a str,
    /// Further files as path (without a leading slash) and contents.
    pub files: &'a [(&'a str, &'a [u8])],
}

impl Initrd<'_> {
    /// The initrd as an uncompressed cpio archive: a few megabytes, and every kernel reads it.
    pub fn build(&self, guest: &Guest) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for dir in ["bin", "dev", "proc", "sys", "tmp", "run", "etc", "etc/udhcpc", "modules"] {
            archive.add(dir, MODE_DIR, (0, 0), &[]);
        }
        archive.add("dev/console", MODE_CHAR_DEVICE, CONSOLE, &[]);
        let busybox = fs::read(guest.busybox()).context("read busybox")?;
        archive.add("bin/busybox", MODE_PROGRAM, (0, 0), &busybox);
        archive.add("etc/udhcpc/default.script", MODE_PROGRAM, (0, 0), UDHCPC_SCRIPT.as_bytes());
        let mut load = String::new();
        for (place, module) in guest.modules(self.modules)?.iter().enumerate() {
            let name = format!("modules/{place}.ko");
            archive.add(&name, MODE_FILE, (0, 0), &fs::read(module)?);
            load.push_str(&format!("insmod /{name}\n"));
        }
        for (path, contents) in self.files {
            archive.add(path, MODE_FILE, (0, 0), contents);
        }
        archive.add("init", MODE_PROGRAM, (0, 0), init_script(&load, self.commands).as_bytes());
        Ok(archive.finish())
    }

    /// Builds the initrd into a file.
    pub fn write(&self, guest: &Guest, path: &Path) -> Result<()> {
        fs::write(path, self.build(guest)?).with_context(|| format!("write {}", path.display()))
    }
}

fn init_script(load_modules: &str, commands: &str) -> String {
    // Output goes to the serial port whatever `console=` says, since the command line is what is tested. The
    // kernel is told to be quiet so that its messages do not break our lines. stty waits until the port has
    // sent everything, which poweroff would not.
    format!(
        "#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
dmesg -n 1
{load_modules}echo
echo \"{MARK} cmdline: $(cat /proc/cmdline)\"
{commands}
echo \"{MARK} done\"
stty -F /dev/ttyS0 -echo
poweroff -f
"
    )
}

/// A cpio archive in the "newc" format, the one that the kernel unpacks.
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(contents.len()).expect("no file of an initrd comes near 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("paths are short");
        let links = if mode == MODE_DIR { 2 } else { 1 };
        // inode, mode, uid, gid, links, mtime, size, device major and minor, special device major and minor,
        // length of the name, checksum (unused).
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(contents);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back by the description in the kernel's `initramfs-buffer-format`.
    fn list(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut offset = 0;
        let mut take = |len: usize| {
            let (taken, rest) = archive.split_at(len);
            archive = rest;
            offset += len;
            (taken.to_vec(), offset.next_multiple_of(4) - offset)
        };
        loop {
            let header = String::from_utf8(take(110).0).unwrap();
            assert!(header.starts_with("070701"));
            let field = |at: usize| u32::from_str_radix(&header[6 + 8 * at..14 + 8 * at], 16).unwrap();
            let (name, padding) = take(field(11) as usize);
            take(padding);
            let (contents, padding) = take(field(6) as usize);
            take(padding);
            let name = String::from_utf8(name).unwrap();
            if name == "TRAILER!!!\0" {
                return entries;
            }
            entries.push((name, field(1), contents));
        }
    }

    #[test]
    fn the_archive_reads_back() {
        let mut archive = Archive::default();
        archive.add("etc", MODE_DIR, (0, 0), &[]);
        archive.add("etc/odd", MODE_FILE, (0, 0), b"12345");
        archive.add("init", MODE_PROGRAM, (0, 0), b"#!/bin/sh\n");
        let expected = [
            ("etc\0".to_owned(), MODE_DIR, vec![]),
            ("etc/odd\0".to_owned(), MODE_FILE, b"12345".to_vec()),
            ("init\0".to_owned(), MODE_PROGRAM, b"#!/bin/sh\n".to_vec()),
        ];
        assert_eq!(list(&archive.finish()), expected);
    }
}
