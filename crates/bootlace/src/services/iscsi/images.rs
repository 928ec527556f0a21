//! The images of disks: found by their names, read through once, and then known by what is in them.
//!
//! Reading a new image through takes as long as its size does. Nobody waits for that here: who asks is told to come
//! again, and a thread reads.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bootlace_core::boot::disk::Unnamed;
use bootlace_disk::{Image, ImageId};

/// Files of the folder that are looked at for an image by its content.
pub const IMAGES_MAX: usize = 1000;

/// What the config may leave out of a file's name.
const ENDINGS: [&str; 3] = ["img", "raw", "qcow2"];

/// The file of an image's name.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    let ended = ENDINGS.iter().map(|ending| exact.with_added_extension(ending));
    [exact.clone()].into_iter().chain(ended).find(|path| path.is_file())
}

/// Why an image is not there.
pub fn missing(folder: &Path, name: &str) -> String {
    format!("there is no image {name} in {}", folder.display())
}

/// The images of one folder.
#[derive(Debug)]
pub(super) struct Images {
    folder: PathBuf,
    /// Where is kept what was found in them.
    manifests: PathBuf,
    table: Mutex<Table>,
    /// An image was read.
    news: Condvar,
    /// Images are read one after the other: two at once would take more than twice as long on a disk that turns.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Table {
    files: HashMap<PathBuf, Known>,
    /// How many were read.
    read: u64,
}

#[derive(Debug)]
enum Known {
    /// It is being read.
    Reading,
    /// It was read when it was this file.
    Here(Stamp, Arc<Image>),
    /// It is none, as long as it is this file.
    Bad(Stamp, String),
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([i64; 5]);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let number = |unsigned: u64| unsigned.cast_signed();
        Self([
            number(metadata.dev()),
            number(metadata.ino()),
            number(metadata.len()),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ])
    }
}

impl Images {
    pub(super) fn new(folder: PathBuf, manifests: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            folder,
            manifests,
            table: Mutex::default(),
            news: Condvar::new(),
            turn: Mutex::default(),
        })
    }

    /// The image that has this name now.
    pub(super) fn named(self: &Arc<Self>, name: &str) -> Result<Arc<Image>, Unnamed> {
        let path = find(&self.folder, name);
        let path = path.ok_or_else(|| Unnamed::Never(missing(&self.folder, name)))?;
        self.at(path)
    }

    /// The image with this content, whatever it is called: `name` is where it is looked for first.
    pub(super) fn with(self: &Arc<Self>, id: ImageId, name: &str) -> Result<Arc<Image>, Unnamed> {
        let first = self.named(name);
        if let Ok(image) = &first
            && image.id() == id
        {
            return first;
        }
        let mut unread = matches!(first, Err(Unnamed::Later));
        for path in self.files() {
            match self.at(path) {
                Ok(image) if image.id() == id => return Ok(image),
                Err(Unnamed::Later) => unread = true,
                Ok(_) | Err(Unnamed::Never(_)) => {}
            }
        }
        if unread {
            return Err(Unnamed::Later);
        }
        Err(Unnamed::Never(format!(
            "the version of image {name} that this machine's disk was made over is not in {} any more",
            self.folder.display()
        )))
    }

    /// Does `what` again each time that an image was read, for as long as it says [`Unnamed::Later`]; at most for so long.
    pub(super) fn wait<T>(
        &self,
        time: Duration,
        mut what: impl FnMut() -> Result<T, Unnamed>,
    ) -> Result<T, Unnamed> {
        let until = Instant::now() + time;
        loop {
            let before = self.table().read;
            let outcome = what();
            let left = until.saturating_duration_since(Instant::now());
            if !matches!(outcome, Err(Unnamed::Later)) || left.is_zero() {
                return outcome;
            }
            let waited = self.news.wait_timeout_while(self.table(), left, |table| table.read == before);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file());
        paths.take(IMAGES_MAX).collect()
    }

    fn at(self: &Arc<Self>, path: PathBuf) -> Result<Arc<Image>, Unnamed> {
        let shown = |error: &dyn std::fmt::Display| format!("the image {}: {error}", path.display());
        let metadata = fs::metadata(&path).map_err(|error| Unnamed::Never(shown(&error)))?;
        let stamp = Stamp::of(&metadata);
        let mut table = self.table();
        match table.files.get(&path) {
            Some(Known::Here(of, image)) if *of == stamp => return Ok(Arc::clone(image)),
            Some(Known::Bad(of, why)) if *of == stamp => return Err(Unnamed::Never(why.clone())),
            Some(Known::Reading) => return Err(Unnamed::Later),
            _ => {}
        }
        table.files.retain(|path, known| matches!(known, Known::Reading) || path.exists());
        table.files.insert(path.clone(), Known::Reading);
        drop(table);
        let (images, of) = (Arc::clone(self), path.clone());
        let read = move || {
            let _turn = images.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let known = images.read(&of, stamp);
            let mut table = images.table();
            table.files.insert(of, known);
            table.read += 1;
            images.news.notify_all();
        };
        if let Err(error) = thread::Builder::new().name("image".into()).spawn(read) {
            self.table().files.remove(&path);
            return Err(Unnamed::Never(shown(&error)));
        }
        Err(Unnamed::Later)
    }

    fn read(&self, path: &Path, stamp: Stamp) -> Known {
        let name = path.file_name().unwrap_or_default();
        match Image::open(path, &self.manifests.join(name)) {
            Ok(image) => {
                tracing::info!(image = %path.display(), sha256 = %image.id(), bytes = image.size(), "image");
                Known::Here(stamp, Arc::new(image))
            }
            Err(error) => {
                tracing::warn!("the image {} cannot be used: {error}", path.display());
                Known::Bad(stamp, format!("the image {} cannot be used: {error}", path.display()))
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
