//! The files of overlays, and the recorder that tests look at them with.
//!
//! All that an overlay does to the file system passes here, so that a test can take down in which order it was done
//! and between which syncs, and build what a power loss could have left.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};

use crate::{Error, Result};

/// What a sync is for. A test leaves each out and must find something broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// Data before the map that points to it.
    FlushData,
    /// The map before the flush is acknowledged.
    FlushMap,
    /// A map that a killed process has written, before the other copy of one of its pages is written over.
    OpenMap,
    /// The header of a new map before its folder gets its name.
    CreateMap,
    /// The names of a new generation's files before its folder gets its name.
    CreateFolder,
    /// The name of a new generation before the old one goes and before its disk is used.
    CreateName,
    /// The name of a machine's folder before its first generation counts.
    CreateMachine,
}

impl Barrier {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::FlushData,
        Self::FlushMap,
        Self::OpenMap,
        Self::CreateMap,
        Self::CreateFolder,
        Self::CreateName,
        Self::CreateMachine,
    ];
}

/// One thing that was done to the file system, in the order of doing.
#[derive(Clone, Debug)]
pub enum Operation {
    /// An empty folder came to be.
    MakeFolder(PathBuf),
    /// An empty file came to be.
    MakeFile(PathBuf),
    /// Bytes were written, or zeroed by a hole.
    Write {
        /// Into which file.
        file: PathBuf,
        /// Where.
        offset: u64,
        /// What it has there from now on.
        bytes: Vec<u8>,
    },
    /// A file lost all its bytes.
    Truncate(PathBuf),
    /// A folder got another name in the same place.
    Rename {
        /// Its name before.
        from: PathBuf,
        /// Its name from now on.
        to: PathBuf,
    },
    /// A folder went with all that was in it.
    RemoveFolder(PathBuf),
    /// A file's content, or a folder's names, became durable.
    Sync {
        /// The file or folder.
        path: PathBuf,
        /// What for.
        barrier: Barrier,
    },
}

/// Takes down what is done to files. Without one that is attached, nothing is.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Option<Arc<Mutex<Vec<Operation>>>>);

impl Recorder {
    /// One that records.
    pub fn attached() -> Self {
        Self(Some(Arc::default()))
    }

    /// What was recorded so far.
    pub fn operations(&self) -> Vec<Operation> {
        let Some(tape) = &self.0 else { return Vec::new() };
        tape.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The operation is only put together where somebody records.
    fn note(&self, operation: impl FnOnce() -> Operation) {
        if let Some(tape) = &self.0 {
            tape.lock().unwrap_or_else(PoisonError::into_inner).push(operation());
        }
    }

    pub(crate) fn make_folder(&self, path: &Path) -> Result<()> {
        fs::create_dir(path)?;
        self.note(|| Operation::MakeFolder(path.to_owned()));
        Ok(())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)?;
        self.note(|| Operation::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    pub(crate) fn remove_folder(&self, path: &Path) -> Result<()> {
        fs::remove_dir_all(path)?;
        self.note(|| Operation::RemoveFolder(path.to_owned()));
        Ok(())
    }

    pub(crate) fn sync_folder(&self, path: &Path, barrier: Barrier) -> Result<()> {
        fs::File::open(path)?.sync_all()?;
        self.note(|| Operation::Sync { path: path.to_owned(), barrier });
        Ok(())
    }
}

/// Bytes that a file takes, less than it is long where it has holes.
pub fn space_of(path: &Path) -> Result<u64> {
    // In this unit, whatever its file system's block is (stat(2)).
    Ok(fs::metadata(path)?.blocks() * 512)
}

/// An open file of an overlay.
#[derive(Debug)]
pub(crate) struct File {
    file: fs::File,
    path: PathBuf,
    recorder: Recorder,
}

impl File {
    /// Makes an empty one; there must be none yet.
    pub(crate) fn create(path: PathBuf, recorder: &Recorder) -> Result<Self> {
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path)?;
        recorder.note(|| Operation::MakeFile(path.clone()));
        Ok(Self { file, path, recorder: recorder.clone() })
    }

    /// Opens one that is there. A link is not followed: commands run as root, in folders of the server's user.
    pub(crate) fn open(path: PathBuf, recorder: &Recorder) -> Result<Self> {
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        let file = fs::File::options().read(true).write(true).custom_flags(no_link).open(&path)?;
        Ok(Self { file, path, recorder: recorder.clone() })
    }

    /// Opens one, which is empty if it was not there.
    pub(crate) fn open_or_create(path: PathBuf, recorder: &Recorder) -> Result<Self> {
        match Self::create(path.clone(), recorder) {
            Err(Error::Medium(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::open(path, recorder)
            }
            made => made,
        }
    }

    /// A file without a name that is gone when it is closed.
    pub(crate) fn in_memory() -> Result<Self> {
        let file = rustix::fs::memfd_create("bootlace-overlay", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(Self { file: file.into(), path: PathBuf::new(), recorder: Recorder::default() })
    }

    /// Keeps others from opening it for as long as it is open.
    pub(crate) fn lock(&self) -> Result<()> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy),
            other => Ok(other?),
        }
    }

    /// Bytes that the file has.
    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Takes all bytes away.
    pub(crate) fn truncate(&self) -> Result<()> {
        self.recorder.note(|| Operation::Truncate(self.path.clone()));
        Ok(self.file.set_len(0)?)
    }

    /// Fills `into`; where the file ends before, that is an error.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(into, offset)?)
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        // Noted first: one that fails may have been done in part.
        self.recorder.note(|| Operation::Write { file: self.path.clone(), offset, bytes: bytes.to_vec() });
        Ok(self.file.write_all_at(bytes, offset)?)
    }

    /// Gives the space of a range back, where the file system can.
    pub(crate) fn punch(&self, offset: u64, len: u64) -> Result<()> {
        let bytes = || vec![0; usize::try_from(len).expect("what is punched was in memory")];
        self.recorder.note(|| Operation::Write { file: self.path.clone(), offset, bytes: bytes() });
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, hole, offset, len) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Makes what was written durable, and the length if reading it back needs that.
    pub(crate) fn sync(&self, barrier: Barrier) -> io::Result<()> {
        self.file.sync_data()?;
        self.recorder.note(|| Operation::Sync { path: self.path.clone(), barrier });
        Ok(())
    }
}
