//! The file of machines that were named while the server ran.
//!
//! It is a piece of config, so that it is read, checked, watched and explained as that is, and can be pasted into it. In
//! the database it would be none of these.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use bootlace_core::config::adopted_file;

/// Readable by its owner and group only, as the state folder is.
const FOLDER_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// Makes sure that it is there: what is not there is not watched.
pub fn ensure(state_dir: &Path) -> Result<()> {
    let path = adopted_file(state_dir);
    let make = || {
        let folder = path.parent().unwrap_or(state_dir);
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.map(drop),
        }
    };
    make().with_context(|| format!("cannot make {}", path.display()))
}

/// What the file holds.
pub fn read(state_dir: &Path) -> io::Result<String> {
    fs::read_to_string(adopted_file(state_dir))
}

/// What the file holds with a section more.
pub fn with(text: &str, section: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{section}")
}

/// Replaces what the file holds. When it returns that is on stable storage.
pub fn write(state_dir: &Path, text: &str) -> io::Result<()> {
    let path = adopted_file(state_dir);
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(path.parent().unwrap_or(state_dir))?.sync_all()
}
