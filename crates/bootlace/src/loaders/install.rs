//! Puts a set in the place of the one before: whole or not at all, whenever the power fails.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::SET;
use super::archive::Unpacked;
use super::pins::{LOCK, Pins};

/// Writes a set and its pins into a folder of sets.
///
/// It is made beside the one before, reaches the disk, and then takes its place in one rename. The one before is kept
/// until the next: a running server has it open.
pub fn install(home: &Path, pins: &Pins, files: &Unpacked) -> Result<()> {
    fs::create_dir_all(home).with_context(|| format!("cannot make {}", home.display()))?;
    let folder = File::open(home).with_context(|| format!("cannot open {}", home.display()))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => bail!("another `bootlace loaders fetch` is at work in {}", home.display()),
        locked => locked.context("cannot lock the folder of the loaders")?,
    }
    let (part, current) = (home.join(format!("{SET}.part")), home.join(SET));
    let done = write(&part, pins, files).and_then(|()| {
        match renameat_with(CWD, &part, CWD, &current, RenameFlags::EXCHANGE) {
            // The first one.
            Err(Errno::NOENT) => fs::rename(&part, &current)?,
            exchanged => {
                exchanged?;
                let old = home.join(format!("{SET}.old"));
                remove(&old)?;
                fs::rename(&part, &old)?;
            }
        }
        folder.sync_all()
    });
    done.with_context(|| format!("cannot write the loaders into {}", home.display()))
}

/// A folder with everything in it, on the disk.
fn write(folder: &Path, pins: &Pins, files: &Unpacked) -> io::Result<()> {
    remove(folder)?;
    fs::create_dir(folder)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)?;
        put(&path, bytes)?;
        File::open(parent)?.sync_all()?;
    }
    put(&folder.join(LOCK), pins.to_string().as_bytes())?;
    File::open(folder)?.sync_all()
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What an attempt that was interrupted has left, too.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
