//! A set as it lies in its folder, held against its pins.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result};
use bootlace_core::boot::loader::signed_ipxe::Architecture;
use rustix::fs::{Mode, OFlags, open};

use super::pins::{LOCK, Pins, Sum};
use super::{LOADER_BYTES_MAX, SET, home};

/// Largest file of pins that is read.
const LOCK_BYTES_MAX: u64 = 64 << 10;
/// Files and folders of a set that are looked at.
const FOUND_MAX: usize = 1000;

/// What a set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What it should be.
    pub pins: Pins,
    /// What every file is, also those that should not be there.
    pub files: Vec<(String, State)>,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// What was pinned.
    Fine,
    /// Something else.
    Differs {
        /// Its sum.
        is: Sum,
        /// What it should be.
        pinned: Sum,
    },
    /// Too large for a loader, a link, or not to be read.
    Unreadable(String),
    /// Not there.
    Missing,
    /// There, and not of the set.
    Extra,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine => f.write_str("fine"),
            Self::Differs { is, pinned } => write!(f, "differs: SHA-256 {is}, pinned {pinned}"),
            Self::Unreadable(why) => f.write_str(why),
            Self::Missing => f.write_str("missing"),
            Self::Extra => f.write_str("is not of the set"),
        }
    }
}

impl Health {
    /// Whether all is as it was pinned.
    pub fn is_fine(&self) -> bool {
        self.files.iter().all(|(_, state)| *state == State::Fine)
    }

    /// The files that can be served: of architectures that are whole.
    pub fn served(&self) -> BTreeSet<&'static str> {
        let fine = |name: &str| self.files.iter().any(|(file, state)| file == name && *state == State::Fine);
        let whole = |architecture: &Architecture| architecture.files().into_iter().all(fine);
        Architecture::ALL.into_iter().filter(whole).flat_map(Architecture::files).collect()
    }
}

/// Looks at the set of a folder of sets; `None` when there is none.
pub fn verify(home: &Path) -> Result<Option<Health>> {
    let dir = home.join(SET);
    let lock = dir.join(LOCK);
    let text = match read(&lock, LOCK_BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound && !dir.exists() => return Ok(None),
        read => read.with_context(|| format!("cannot read the pins {}", lock.display()))?,
    };
    let text = String::from_utf8(text).ok();
    let pins = text.context("it is no text").and_then(|text| Pins::parse(&text));
    let pins = pins.with_context(|| format!("cannot use the pins {}", lock.display()))?;
    let pinned = pins.files.iter().map(|(name, sum)| (name.clone(), state(&dir.join(name), *sum)));
    let mut files: Vec<_> = pinned.collect();
    let mut found = Vec::new();
    walk(&dir, "", &mut found).with_context(|| format!("cannot look into {}", dir.display()))?;
    let extra = found.into_iter().filter(|name| name != LOCK && !pins.files.contains_key(name));
    files.extend(extra.map(|name| (name, State::Extra)));
    Ok(Some(Health { pins, files }))
}

/// The files that a server has of the set. What is wrong with it keeps nobody from booting something else.
pub(crate) fn of_server(state_dir: &Path) -> BTreeSet<&'static str> {
    let home = home(state_dir);
    let health = match verify(&home) {
        Ok(Some(health)) => health,
        Ok(None) => return BTreeSet::new(),
        Err(error) => {
            tracing::warn!("the signed loaders in {} are not served: {error:#}", home.display());
            return BTreeSet::new();
        }
    };
    for (name, state) in health.files.iter().filter(|(_, state)| *state != State::Fine) {
        tracing::warn!(file = name, "a signed loader is not what was pinned: {state}");
    }
    health.served()
}

fn state(path: &Path, pinned: Sum) -> State {
    match read(path, LOADER_BYTES_MAX) {
        Ok(bytes) => match Sum::of(&bytes) {
            is if is == pinned => State::Fine,
            is => State::Differs { is, pinned },
        },
        Err(error) if error.kind() == ErrorKind::NotFound => State::Missing,
        Err(error) => State::Unreadable(format!("cannot be read: {error}")),
    }
}

/// A regular file that is no link, up to a limit.
fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Names of everything but folders below a folder.
fn walk(dir: &Path, below: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if found.len() >= FOUND_MAX {
            return Ok(());
        }
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(())
}
