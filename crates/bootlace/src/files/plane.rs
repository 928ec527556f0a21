//! From a cleaned name to content.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootlace_core::boot::loader::signed_ipxe;
use bootlace_core::boot::loader::{LoaderInventory, PE_HEADER_BYTES_MAX, Signature, carries_signature};
use bootlace_core::config::Config;
use bootlace_iso::{self as iso, Entry};

use super::root::{LEADS_OUT, Lookup, NOT_REGULAR, Patience, Root};
use super::{Body, Content, OpenError, OpenFile, mime_of};
use crate::loaders;

const FOLDER: &str = "a folder, and folders are not listed";

/// All files that machines may read.
#[derive(Debug)]
pub struct FilePlane {
    /// None where only loaders are looked for.
    boot_dir: Option<Root>,
    follow: Vec<Follow>,
    signed: Option<Signed>,
}

/// The set of signed loaders.
#[derive(Debug)]
struct Signed {
    root: Root,
    /// Those that are what was pinned.
    files: BTreeSet<&'static str>,
}

/// An entry of `follow`: symbolic links may lead into it, and loaders are looked for there.
#[derive(Debug)]
enum Follow {
    /// Everything beneath it.
    Folder(Root),
    /// One file (Debian keeps `ipxe.efi` in /boot, among files that are nobody's business).
    File {
        /// What a machine calls it.
        name: String,
        /// Where it is, without links.
        path: PathBuf,
        /// The folder that it is in.
        parent: Root,
    },
}

impl FilePlane {
    /// All files of a config: [`FilePlane::new`] and the signed loaders that were fetched for it.
    pub fn of(config: &Config) -> io::Result<Self> {
        Ok(Self { signed: Signed::open(&config.state_dir), ..Self::new(&config.boot_dir, &config.follow)? })
    }

    /// The same without a `boot_dir`: what a machine would get before there is one.
    pub fn loaders(config: &Config) -> io::Result<Self> {
        Ok(Self { signed: Signed::open(&config.state_dir), ..Self::followed(&config.follow)? })
    }

    /// Opens `boot_dir` and those entries of `follow` that exist: the defaults name the loader folders of
    /// several distributions.
    pub fn new(boot_dir: &Path, follow: &[PathBuf]) -> io::Result<Self> {
        Ok(Self { boot_dir: Some(Root::open(boot_dir)?), ..Self::followed(follow)? })
    }

    fn followed(follow: &[PathBuf]) -> io::Result<Self> {
        let entries = follow.iter().map(|path| Follow::open(path));
        let follow = entries.filter_map(Result::transpose).collect::<io::Result<_>>()?;
        Ok(Self { boot_dir: None, follow, signed: None })
    }

    /// Opens a cleaned name: a signed loader, a file in `boot_dir`; for a bare name also a loader of the `follow` entries.
    /// May wait for a disk; [`FilePlane::open_async`] is for tasks.
    pub fn open(&self, name: &str) -> Result<Content, OpenError> {
        let found = self.find(name, Patience::Wait)?;
        // Only a lookup that must not wait ends without an answer.
        found.ok_or(OpenError::Absent)
    }

    /// Opens a cleaned name as [`FilePlane::open`] does, inline when the kernel knows the whole path already,
    /// else on the runtime's blocking pool.
    pub async fn open_async(self: &Arc<Self>, name: &str) -> Result<Content, OpenError> {
        if let Some(content) = self.find(name, Patience::CachedOnly)? {
            return Ok(content);
        }
        let (plane, name) = (Arc::clone(self), name.to_owned());
        let opened = tokio::task::spawn_blocking(move || plane.open(&name)).await;
        opened.unwrap_or_else(|stopped| Err(OpenError::Io(io::Error::other(stopped))))
    }

    /// Those of `names` that can be served: what DHCP may name as a boot file.
    pub fn inventory<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> LoaderInventory {
        let mut inventory = LoaderInventory::default();
        for name in names {
            if let Ok(content) = self.open(name) {
                inventory.insert(name, signature_of(&content));
            }
        }
        inventory
    }

    /// `Ok(None)`: the kernel would have to wait for a disk to tell.
    fn find(&self, name: &str, patience: Patience) -> Result<Option<Content>, OpenError> {
        if let Some((root, stored)) = self.signed.as_ref().and_then(|signed| signed.find(name)) {
            return self.find_beneath(root, stored, patience);
        }
        let in_boot_dir = self.boot_dir.as_ref().map(|root| self.find_beneath(root, name, patience));
        match in_boot_dir {
            None | Some(Err(OpenError::Absent)) => {}
            Some(other) => return other,
        }
        if name.contains('/') {
            return Err(OpenError::Absent);
        }
        for follow in &self.follow {
            let found = match follow {
                Follow::Folder(root) => self.find_beneath(root, name, patience),
                Follow::File { name: own, path, parent } if own == name => {
                    open_at(parent, path, name).map(Some)
                }
                Follow::File { .. } => continue,
            };
            match found {
                Err(OpenError::Absent) => {}
                other => return other,
            }
        }
        Err(OpenError::Absent)
    }

    fn find_beneath(
        &self,
        root: &Root,
        name: &str,
        patience: Patience,
    ) -> Result<Option<Content>, OpenError> {
        match root.lookup(name, patience)? {
            Lookup::Found(file) => content(file, name).map(Some),
            Lookup::NotCached => Ok(None),
            // Walking link by link, or through an image, takes many system calls, each of which may wait.
            Lookup::LeadsOut | Lookup::ThroughFile if patience == Patience::CachedOnly => Ok(None),
            Lookup::ThroughFile => self.open_member(root, name).map(Some),
            Lookup::LeadsOut => {
                let target = root.final_target(name).and_then(|target| self.open_allowed(&target, name));
                match target {
                    Err(OpenError::Absent) => self.open_member(root, name).map(Some),
                    target => target.map(Some),
                }
            }
        }
    }

    /// Opens a file inside the image that a part of `name` names, as `debian.iso/install.amd/vmlinuz` does.
    fn open_member(&self, root: &Root, name: &str) -> Result<Content, OpenError> {
        for (end, _) in name.match_indices('/') {
            let (image, path) = (&name[..end], &name[end + 1..]);
            match self.find_beneath(root, image, Patience::Wait) {
                Ok(Some(Content { body: Body::File(file), .. })) => return member(file, path, name),
                // A folder on the way to it.
                Ok(_) | Err(OpenError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(OpenError::Absent)
    }

    /// Opens the final target of a link in whichever allowed place holds it.
    fn open_allowed(&self, path: &Path, name: &str) -> Result<Content, OpenError> {
        let folders = self.follow.iter().filter_map(|follow| match follow {
            Follow::Folder(root) => Some(root),
            Follow::File { path: own, parent, .. } => (own == path).then_some(parent),
        });
        let opened = self.boot_dir.iter().chain(folders).find_map(|root| root.open_resolved(path));
        content(opened.unwrap_or(Err(OpenError::Refused(LEADS_OUT)))?, name)
    }
}

impl Signed {
    fn open(state_dir: &Path) -> Option<Self> {
        let files = loaders::of_server(state_dir);
        let root = (!files.is_empty()).then(|| Root::open(&loaders::home(state_dir).join(loaders::SET)));
        Some(Self { root: root?.ok()?, files })
    }

    fn find(&self, name: &str) -> Option<(&Root, &'static str)> {
        signed_ipxe::stored(name)
            .filter(|stored| self.files.contains(stored))
            .map(|stored| (&self.root, stored))
    }
}

impl Follow {
    /// `None` when there is nothing at `path`.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if real.is_dir() {
            return Root::open(&real).map(|root| Some(Self::Folder(root)));
        }
        let (Some(parent), Some(name)) = (real.parent(), path.file_name().and_then(OsStr::to_str)) else {
            return Ok(None);
        };
        let parent = Root::open(parent)?;
        Ok(Some(Self::File { name: name.to_owned(), path: real, parent }))
    }
}

fn open_at(parent: &Root, path: &Path, name: &str) -> Result<Content, OpenError> {
    content(parent.open_resolved(path).unwrap_or(Err(OpenError::Absent))?, name)
}

/// Only regular files are served, and no folder is listed.
fn content(file: File, name: &str) -> Result<Content, OpenError> {
    let metadata = file.metadata().map_err(OpenError::Io)?;
    if metadata.is_dir() {
        return Err(OpenError::Refused(FOLDER));
    }
    if !metadata.is_file() {
        return Err(OpenError::Refused(NOT_REGULAR));
    }
    Ok(of_file(OpenFile::new(file, &metadata), name))
}

/// A file inside an image.
fn member(image: Arc<OpenFile>, path: &str, name: &str) -> Result<Content, OpenError> {
    let pieces = match iso::find(&*image, path) {
        Ok(Entry::File(pieces)) => pieces,
        Ok(Entry::Folder) => return Err(OpenError::Refused(FOLDER)),
        Err(iso::Error::NotAnImage | iso::Error::Absent) => return Err(OpenError::Absent),
        Err(iso::Error::Io(error)) => return Err(OpenError::Io(error)),
        Err(error @ (iso::Error::Damaged(_) | iso::Error::Unsupported(_))) => {
            return Err(OpenError::Image(error));
        }
    };
    // Nobody else has it: it was opened for this lookup.
    let image = Arc::into_inner(image).ok_or(OpenError::Absent)?;
    Ok(of_file(image.member(&pieces), name))
}

fn of_file(file: OpenFile, name: &str) -> Content {
    let (len, version) = (file.len(), Some(file.version().clone()));
    Content { len, mime: mime_of(name), version, body: Body::File(Arc::new(file)) }
}

/// One that cannot be read is not signed.
fn signature_of(content: &Content) -> Signature {
    let Body::File(file) = &content.body else { return Signature::Absent };
    let mut beginning = vec![0; PE_HEADER_BYTES_MAX];
    let len = file.read_waiting(0, &mut beginning).unwrap_or(0);
    if carries_signature(&beginning[..len]) { Signature::Present } else { Signature::Absent }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
