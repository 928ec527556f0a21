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

    /// A disk from which a BIOS boots a program that counts how often it was started: it writes the number, of one digit, into its own
    /// sector, prints `text` and the number, and halts.
    pub fn that_counts(text: &str, path: &Path) -> Result<Self> {
        let sector = counting_sector(text)?;
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

/// Prints the text at `si`, up to its NUL, and halts.
#[rustfmt::skip]
const PRINT: [u8; 19] = [
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

fn boot_sector(text: &str) -> Result<Vec<u8>> {
    #[rustfmt::skip]
    let mut code = vec![
        0x31, 0xc0,       //       xor ax, ax
        0x8e, 0xd8,       //       mov ds, ax
        0xbe, 0x00, 0x00, //       mov si, text (filled in below)
    ];
    code.extend(PRINT);
    let text_at = u16::try_from(ORIGIN + code.len())?;
    code[5..7].copy_from_slice(&text_at.to_le_bytes());
    code.extend(text.bytes());
    // The final line feed makes a line of it, the NUL ends the loop.
    code.extend(b"\r\n\0");
    signed(code, text)
}

fn counting_sector(text: &str) -> Result<Vec<u8>> {
    #[rustfmt::skip]
    let mut code = vec![
        0x31, 0xc0,             //       xor ax, ax
        0x8e, 0xd8,             //       mov ds, ax
        0xfe, 0x06, 0x00, 0x00, //       inc byte [number] (filled in below)
        0xbe, 0x00, 0x00,       //       mov si, packet (filled in below)
        0xb8, 0x00, 0x43,       //       mov ax, 0x4300: extended write, without verifying
        0xcd, 0x13,             //       int 0x13: to the drive in dl, which it was started from
        0x72, 0x12,             //       jc halt
        0xbe, 0x00, 0x00,       //       mov si, text (filled in below)
    ];
    code.extend(PRINT);
    let place = |code: &[u8]| u16::try_from(ORIGIN + code.len()).map(u16::to_le_bytes);
    let packet_at = place(&code)?;
    // A block, from where the sector is, to the first block of the disk.
    code.extend([0x10, 0, 1, 0]);
    code.extend((ORIGIN as u32).to_le_bytes());
    code.extend(0_u64.to_le_bytes());
    let text_at = place(&code)?;
    code.extend(text.bytes());
    let number_at = place(&code)?;
    code.extend(b"0\r\n\0");
    code[6..8].copy_from_slice(&number_at);
    code[9..11].copy_from_slice(&packet_at);
    code[19..21].copy_from_slice(&text_at);
    signed(code, text)
}

/// Makes a boot sector of code with its text, if that is short enough.
fn signed(mut code: Vec<u8>, text: &str) -> Result<Vec<u8>> {
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

    #[test]
    fn a_counting_sector_points_into_itself() {
        let disk = counting_sector("starts: ").unwrap();
        let at = |place: usize| usize::from(u16::from_le_bytes([disk[place], disk[place + 1]])) - ORIGIN;
        assert_eq!(disk[at(9)..at(9) + 8], [0x10, 0, 1, 0, 0, 0x7c, 0, 0]);
        assert_eq!(disk[at(19)..at(6)], *b"starts: ");
        assert_eq!(disk[at(6)..at(6) + 4], *b"0\r\n\0");
        // Where the jumps lead.
        assert_eq!((disk[18 + 0x12], disk[27 + 9], disk[36 - 14]), (0xfb, 0xfb, 0xac));
    }
}
