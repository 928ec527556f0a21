//! Local disks of test machines.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A machine's local disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disk {
    /// A raw image.
    Image(PathBuf),
    /// A directory, which the machine sees as a FAT file system on a partitioned disk.
    Directory(PathBuf),
}

impl Disk {
    /// The value of QEMU's `-drive`.
    pub(crate) fn drive(&self) -> OsString {
        let mut drive = OsString::from("if=none,id=disk0,format=raw,file=");
        match self {
            Self::Image(path) => drive.push(path),
            Self::Directory(path) => {
                drive.push("fat:rw:");
                drive.push(path);
            }
        }
        drive
    }

    /// A disk from which a BIOS boots a program that prints `text` and halts.
    pub fn that_says(text: &str, path: &Path) -> Result<Self> {
        let sector = boot_sector(text)?;
        File::create(path)
            .and_then(|mut file| file.write_all(&sector).and_then(|()| file.set_len(DISK_LEN)))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(Self::Image(path.to_owned()))
    }

    /// A disk from which the shell of a UEFI firmware prints `text`, after everything else failed to boot.
    pub fn whose_shell_says(text: &str, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        fs::write(dir.join("startup.nsh"), format!("echo {text}\r\n"))
            .with_context(|| format!("fill {}", dir.display()))?;
        Ok(Self::Directory(dir.to_owned()))
    }
}

const SECTOR_LEN: usize = 512;
/// SeaBIOS takes a disk of one sector for an empty drive, and iPXE finds no cylinder in a SAN disk below 255
/// heads of 63 sectors, about 8 MB. The rest is a hole in the file.
const DISK_LEN: u64 = 16 << 20;
/// Where a BIOS puts the sector.
const ORIGIN: usize = 0x7c00;
/// The last two bytes before the signature are as far as text can go.
const SIGNATURE_AT: usize = SECTOR_LEN - 2;

fn boot_sector(text: &str) -> Result<Vec<u8>> {
    #[rustfmt::skip]
    let mut code = vec![
        0x31, 0xc0,       //       xor ax, ax
        0x8e, 0xd8,       //       mov ds, ax
        0xbe, 0x00, 0x00, //       mov si, text (filled in below)
        0xfc,             //       cld
        0xac,             // next: lodsb
        0x84, 0xc0,       //       test al, al
        0x74, 0x09,       //       jz halt
        0xb4, 0x0e,       //       mov ah, 0x0e: teletype output
        0xbb, 0x07, 0x00, //       mov bx, 7: page 0, grey
        0xcd, 0x10,       //       int 0x10
        0xeb, 0xf2,       //       jmp next
        0xfb,             // halt: sti, since SeaBIOS sends its last characters with the clock's tick
        0xf4,             //       hlt
        0xeb, 0xfd,       //       jmp halt + 1
    ];
    let text_at = u16::try_from(ORIGIN + code.len())?;
    code[5..7].copy_from_slice(&text_at.to_le_bytes());
    code.extend(text.bytes());
    // The final line feed makes a line of it, the NUL ends the loop.
    code.extend(b"\r\n\0");
    ensure!(code.len() <= SIGNATURE_AT, "{text:?} does not fit into a boot sector");
    code.resize(SECTOR_LEN, 0);
    code[SIGNATURE_AT..SECTOR_LEN].copy_from_slice(&[0x55, 0xaa]);
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_sector_has_its_signature_and_its_limit() {
        let disk = boot_sector("hello").unwrap();
        assert_eq!(disk[510..512], [0x55, 0xaa]);
        let text_at = usize::from(u16::from_le_bytes([disk[5], disk[6]])) - ORIGIN;
        assert_eq!(disk[text_at..text_at + 8], *b"hello\r\n\0");
        assert!(boot_sector(&"x".repeat(512)).is_err());
    }
}
