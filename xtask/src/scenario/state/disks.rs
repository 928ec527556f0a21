//! File systems of a scenario's own, in its mount namespace.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Room for both databases and their logs, and little more.
const TMPFS: &str = "size=1m";
/// As small as ext4 with a journal gets.
const IMAGE_BYTES: u64 = 8 << 20;

/// A file system on a folder. It goes with the scenario's mount namespace.
#[derive(Debug)]
pub(super) struct Disk {
    at: PathBuf,
    /// What is on it, unless it lives in memory.
    image: Option<PathBuf>,
}

impl Disk {
    /// A small one in memory.
    pub(super) fn small(at: &Path) -> Result<Self> {
        fs::create_dir(at)?;
        mount(&["-t", "tmpfs", "-o", TMPFS, "tmpfs"], at)?;
        Ok(Self { at: at.to_owned(), image: None })
    }

    /// An ext4 in a file; none where there are no loop devices for this user.
    pub(super) fn ext4(at: &Path, image: &Path) -> Result<Option<Self>> {
        fs::create_dir(at)?;
        File::create(image)?.set_len(IMAGE_BYTES)?;
        let made =
            Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image).status().context("run mkfs.ext4")?;
        ensure!(made.success(), "mkfs.ext4 failed");
        let disk = Self { at: at.to_owned(), image: Some(image.to_owned()) };
        Ok(disk.mount().is_ok().then_some(disk))
    }

    /// Mounts the image, again after [`Disk::unmount`].
    pub(super) fn mount(&self) -> Result<()> {
        let image = self.image.as_ref().context("there is no image")?;
        mount(&["-o", "loop", &image.to_string_lossy()], &self.at)
    }

    pub(super) fn unmount(&self) -> Result<()> {
        let done = Command::new("umount").arg(&self.at).output()?;
        ensure!(done.status.success(), "umount: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Takes the last byte. What is removed again is the room.
    pub(super) fn fill(&self) -> Result<PathBuf> {
        let filler = self.at.join("filler");
        let mut file = File::create(&filler)?;
        for chunk in [4096, 1] {
            while file.write_all(&vec![7; chunk]).is_ok() {}
        }
        Ok(filler)
    }

    /// Does what the kernel does after an error of the disk: ext4 stops writing for good.
    pub(super) fn abort(&self) -> Result<()> {
        mount(&["-o", "remount,abort"], &self.at)
    }

    /// Makes the folder read-only for everybody in this mount namespace, while nobody writes there.
    pub(super) fn make_read_only(&self) -> Result<()> {
        mount(&["-o", "remount,ro"], &self.at)
    }
}

fn mount(options: &[&str], at: &Path) -> Result<()> {
    let done = Command::new("mount").args(options).arg(at).output().context("run mount")?;
    ensure!(done.status.success(), "mount {options:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
