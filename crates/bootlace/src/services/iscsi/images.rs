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
use std::time::{Duration, Instant, SystemTime};

use bootlace_core::boot::disk::Unnamed;
use bootlace_disk::{Image, ImageId};

/// Files of the folder that are looked at for an image by its content.
pub const IMAGES_MAX: usize = 1000;

/// How long a file has to be left alone before it is looked at for an image by its content.
const SETTLED: Duration = Duration::from_secs(10);

/// How long nobody tries again a file that could not be read and has not changed.
const BAD_TIME: Duration = Duration::from_secs(60);

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
pub(super) enum Known {
    /// It is being read.
    Reading,
    /// It was read when it was this file.
    Here(Stamp, Arc<Image>),
    /// It could not be read when it was this file.
    Bad { of: Stamp, why: String, since: Instant },
}

impl Known {
    fn bad(of: Stamp, why: String) -> Self {
        Self::Bad { of, why, since: Instant::now() }
    }
}

/// A file that is to be read. However that ends, it is not being read any more then.
struct Reading {
    images: Arc<Images>,
    path: PathBuf,
    stamp: Stamp,
}

impl Reading {
    fn run(self) {
        let _turn = self.images.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.images.read(&self.path, self.stamp);
        self.images.know(self.path.clone(), known);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if matches!(self.images.table().files.get(&self.path), Some(Known::Reading)) {
            let known = Known::bad(self.stamp, format!("the image {} was not read", self.path.display()));
            self.images.know(self.path.clone(), known);
        }
    }
}

/// Whether a file can be the image of a disk of so many bytes. One that is being written is none.
fn may_be(path: &Path, size: u64) -> bool {
    let settled = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age >= SETTLED));
    settled && Image::size_of(path).is_ok_and(|found| found == size)
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([i64; 5]);

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

    /// The image with this content, whatever it is called: `name` is where it is looked for first. Only files are read
    /// that are disks of `size` bytes and that nobody has written to lately.
    pub(super) fn with(
        self: &Arc<Self>,
        (id, size): (ImageId, u64),
        name: &str,
    ) -> Result<Arc<Image>, Unnamed> {
        let first = self.named(name);
        if let Ok(image) = &first
            && image.id() == id
        {
            return first;
        }
        let mut unread = matches!(first, Err(Unnamed::Later));
        for path in self.files().filter(|path| may_be(path, size)) {
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

    fn files(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).take(IMAGES_MAX)
    }

    fn at(self: &Arc<Self>, path: PathBuf) -> Result<Arc<Image>, Unnamed> {
        let shown = |error: &dyn std::fmt::Display| format!("the image {}: {error}", path.display());
        let metadata = fs::metadata(&path).map_err(|error| Unnamed::Never(shown(&error)))?;
        let stamp = Stamp::of(&metadata);
        let mut table = self.table();
        match table.files.get(&path) {
            Some(Known::Here(of, image)) if *of == stamp => return Ok(Arc::clone(image)),
            Some(Known::Here(_, former)) if Arc::strong_count(former) > 1 => tracing::warn!(
                code = "image-replaced",
                image = %path.display(),
                sha256 = %former.id(),
                "machines have disks over the former version: keep it in the folder until they have booted again"
            ),
            Some(Known::Bad { of, why, since }) if *of == stamp && since.elapsed() < BAD_TIME => {
                return Err(Unnamed::Never(why.clone()));
            }
            Some(Known::Reading) => return Err(Unnamed::Later),
            _ => {}
        }
        if table.files.len() >= IMAGES_MAX {
            table.files.retain(|path, known| matches!(known, Known::Reading) || path.exists());
        }
        table.files.insert(path.clone(), Known::Reading);
        drop(table);
        let reading = Reading { images: Arc::clone(self), path: path.clone(), stamp };
        if let Err(error) = thread::Builder::new().name("image".into()).spawn(move || reading.run()) {
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
                Known::bad(stamp, format!("the image {} cannot be used: {error}", path.display()))
            }
        }
    }

    fn know(&self, path: PathBuf, known: Known) {
        let mut table = self.table();
        table.files.insert(path, known);
        table.read += 1;
        self.news.notify_all();
    }

    /// What is known of each file, by name.
    pub(super) fn list<T>(&self, view: impl Fn(&Path, &Known) -> T) -> Vec<T> {
        let table = self.table();
        let mut files: Vec<_> = table.files.iter().collect();
        files.sort_unstable_by_key(|(path, _)| *path);
        files.into_iter().map(|(path, known)| view(path, known)).collect()
    }

    /// The name of the file with this content.
    pub(super) fn name_of(&self, id: ImageId) -> Option<String> {
        let table = self.table();
        let is_it = |known: &Known| matches!(known, Known::Here(_, image) if image.id() == id);
        let (path, _) = table.files.iter().find(|(_, known)| is_it(known))?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
