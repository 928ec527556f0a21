//! One folder that files may come from, held open, and lookups that cannot leave it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2, readlinkat};
use rustix::io::Errno;

use super::OpenError;

/// Symbolic links that one name may go through, as many as the kernel allows.
pub const LINKS_MAX: usize = 40;

/// Why a link is not followed.
pub(super) const LEADS_OUT: &str = "a symbolic link leads out of boot_dir and of every `follow` folder";

/// Why something that exists is not served.
pub(super) const NOT_REGULAR: &str = "not a regular file";

/// How often a lookup that ran into a rename is begun again: `openat2` then says EAGAIN.
const RENAME_RETRIES: usize = 8;

/// NONBLOCK: a FIFO must not hold the thread until somebody writes to it; regular files ignore it.
const READ_ONLY: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A folder, opened once. What the name of its path means later does not matter any more.
#[derive(Debug)]
pub(super) struct Root {
    dir: OwnedFd,
    /// Its path without any link, to recognise the targets of links that were resolved by hand.
    path: PathBuf,
}

/// What a lookup beneath one folder came to.
pub(super) enum Lookup {
    /// It is open.
    Found(File),
    /// A symbolic link leads out of the folder, perhaps into another one that is allowed.
    LeadsOut,
    /// What should be a folder on the way is a file, perhaps the image of a disc.
    ThroughFile,
    /// The kernel would have to wait for a disk to tell.
    NotCached,
}

/// Whether a lookup may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It may.
    Wait,
    /// Only what the kernel has in memory counts (RESOLVE_CACHED, Linux 5.12).
    CachedOnly,
}

impl Root {
    /// Opens the folder.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let dir = open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { dir, path })
    }

    /// Opens `name` beneath the folder, through links that stay beneath it.
    pub(super) fn lookup(&self, name: &str, patience: Patience) -> Result<Lookup, OpenError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let resolve = match patience {
            Patience::Wait => resolve,
            Patience::CachedOnly => resolve | ResolveFlags::CACHED,
        };
        match self.openat2(OsStr::new(name), resolve) {
            Ok(file) => Ok(Lookup::Found(File::from(file))),
            Err(Errno::XDEV) => Ok(Lookup::LeadsOut),
            Err(Errno::NOTDIR) => Ok(Lookup::ThroughFile),
            Err(Errno::AGAIN) if patience == Patience::CachedOnly => Ok(Lookup::NotCached),
            Err(errno) => Err(explain(errno)),
        }
    }

    /// Opens `path` when it lies beneath the folder, without following any link: `path` must have none left.
    pub(super) fn open_resolved(&self, path: &Path) -> Option<Result<File, OpenError>> {
        let rest = path.strip_prefix(&self.path).ok().filter(|rest| !rest.as_os_str().is_empty())?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Some(self.openat2(rest.as_os_str(), resolve).map(File::from).map_err(explain))
    }

    /// Where `name` in this folder finally leads, link by link.
    ///
    /// The answer is only a hint: whoever changes links meanwhile changes it. That does no harm, since
    /// [`Root::open_resolved`] then opens it beneath a held folder and follows no link at all.
    pub(super) fn final_target(&self, name: &str) -> Result<PathBuf, OpenError> {
        let mut here = self.path.clone();
        let mut pending = reversed_components(Path::new(name));
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part == ".." {
                here.pop();
                continue;
            }
            here.push(&part);
            let target = match readlinkat(CWD, &here, Vec::new()) {
                Ok(target) => target,
                Err(Errno::INVAL) => continue,
                Err(errno) => return Err(explain(errno)),
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(explain(Errno::LOOP));
            }
            let target = Path::new(OsStr::from_bytes(target.to_bytes()));
            here.pop();
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            pending.extend(reversed_components(target));
        }
        Ok(here)
    }

    fn openat2(&self, name: &OsStr, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let mut result = Err(Errno::AGAIN);
        for _ in 0..RENAME_RETRIES {
            result = openat2(&self.dir, name, READ_ONLY, Mode::empty(), resolve);
            // Without the disk, EAGAIN is an answer and not a race.
            if result.as_ref().err() != Some(&Errno::AGAIN) || resolve.contains(ResolveFlags::CACHED) {
                break;
            }
        }
        result
    }
}

/// The components of a path, the last one first: a stack to walk along.
fn reversed_components(path: &Path) -> Vec<OsString> {
    let plain =
        path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    plain.map(|part| part.as_os_str().to_owned()).collect()
}

/// What an errno of a lookup means for whoever asked.
fn explain(errno: Errno) -> OpenError {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => OpenError::Absent,
        Errno::LOOP => OpenError::Refused("too many symbolic links, or one that changed just now"),
        Errno::ACCESS | Errno::PERM => OpenError::Refused("the server has no permission to read it"),
        Errno::XDEV => OpenError::Refused(LEADS_OUT),
        // A socket, or a device without a driver.
        Errno::NXIO | Errno::NODEV => OpenError::Refused(NOT_REGULAR),
        errno => OpenError::Io(errno.into()),
    }
}
