//! Golden images: raw and qcow2 files that are opened for reading only and known by their content.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};

use crate::export::sync_folder_of;
use crate::{BLOCK_BYTES, DISK_BYTES_MAX, Error, Result};

/// Bytes that are read at once to find out an image's content.
pub const IMAGE_HASH_CHUNK: usize = 1 << 20;

/// Bytes of a manifest, more than any that this program writes.
const MANIFEST_BYTES_MAX: usize = 512;

/// Seconds that a manifest must be younger than the image: two changes within a tick of the clock that stamps files
/// leave one time stamp.
const SETTLED_SECS: i64 = 2;

/// What an image is: of a raw one SHA-256 of all bytes of its file, of a qcow2 one a digest of that, for the same bytes read as the one
/// are another disk than read as the other. Two files with one content are one image.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageId(pub [u8; 32]);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageId({self})")
    }
}

/// An open image.
#[derive(Debug)]
pub struct Image {
    content: Content,
    id: ImageId,
    /// Bytes of its content; the disk ends at the next whole block, in zeroes.
    len: u64,
}

#[derive(Debug)]
enum Content {
    Raw(fs::File),
    Qcow2(FormatAccess<imago::file::File>),
}

impl Content {
    /// By the ending of the name. What a file says of itself is not asked: a machine may have written the first bytes
    /// of a raw image. For the same reason a qcow2 image may name no other file, neither below it nor for its data.
    fn open(path: &Path, file: fs::File) -> Result<Self> {
        if path.extension().is_none_or(|extension| extension != "qcow2") {
            return Ok(Self::Raw(file));
        }
        let file = imago::file::File::try_from(file)?;
        let image: Qcow2<imago::file::File> = Qcow2::builder(file).open(DenyImplicitOpenGate::default())?;
        Ok(Self::Qcow2(FormatAccess::new(image)))
    }

    fn len(&self) -> Result<u64> {
        match self {
            Self::Raw(file) => Ok(file.metadata()?.len()),
            Self::Qcow2(image) => Ok(image.size()),
        }
    }

    fn id(&self, sum: ImageId) -> ImageId {
        match self {
            Self::Raw(_) => sum,
            Self::Qcow2(_) => {
                ImageId(Sha256::new_with_prefix(b"qcow2 ").chain_update(sum.0).finalize().into())
            }
        }
    }
}

impl Image {
    /// Opens an image: qcow2 where the name ends in `.qcow2`, raw otherwise. Its content is read through; `manifest`, a file of ours, keeps what was found for as long as
    /// size, time stamps and inode of the image stay the same. It is believed when it is at least two seconds
    /// younger than the image, which the first one after an import is not. A manifest that cannot be used or written only
    /// costs the reading.
    pub fn open(path: &Path, manifest: &Path) -> Result<Self> {
        Self::open_by(path, Some(manifest))
    }

    /// The same, read through whatever was found before, which is kept as it is.
    pub fn open_afresh(path: &Path) -> Result<Self> {
        Self::open_by(path, None)
    }

    /// What the manifest tells of an image that has not been touched since.
    pub fn known(path: &Path, manifest: &Path) -> Result<Option<ImageId>> {
        let file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        let sum = Stamp::of(&metadata).find(manifest, metadata.ctime());
        let content = Content::open(path, file)?;
        Ok(sum.map(|sum| content.id(sum)))
    }

    /// Removes an image that nobody has open, for good when this returns. [`Error::Busy`] if somebody does.
    pub fn remove(path: &Path, manifest: &Path) -> Result<()> {
        let file = fs::File::open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy),
            other => other?,
        }
        fs::remove_file(path)?;
        // Without its image it is never believed.
        let _ = fs::remove_file(manifest);
        sync_folder_of(path)
    }

    fn open_by(path: &Path, manifest: Option<&Path>) -> Result<Self> {
        let file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::Damaged("an image must be a regular file"));
        }
        // Who writes into a file that others have machines on has another lock on it: see `RawFile`.
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy),
            other => other?,
        }
        let stamp = Stamp::of(&metadata);
        let sum = match manifest.and_then(|manifest| stamp.find(manifest, metadata.ctime())) {
            Some(sum) => sum,
            None => {
                let sum = hash(&file, metadata.len())?;
                // Changed while it was read: what was found is of neither state.
                if Stamp::of(&file.metadata()?) != stamp {
                    return Err(Error::WrongImage);
                }
                if let Some(manifest) = manifest {
                    stamp.keep(manifest, sum);
                }
                sum
            }
        };
        let content = Content::open(path, file)?;
        let len = content.len()?;
        if len > DISK_BYTES_MAX {
            return Err(Error::Damaged("the image is larger than a disk may be"));
        }
        let id = content.id(sum);
        Ok(Self { content, id, len })
    }

    /// Bytes of the disk that a file would be, as [`Self::size`] tells. Only what a file says of itself is read.
    pub fn size_of(path: &Path) -> Result<u64> {
        let content = Content::open(path, fs::File::open(path)?)?;
        Ok(content.len()?.next_multiple_of(BLOCK_BYTES))
    }

    /// What it is.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// Bytes of the disk that it is, a multiple of [`BLOCK_BYTES`].
    pub fn size(&self) -> u64 {
        self.len.next_multiple_of(BLOCK_BYTES)
    }

    /// Fills `into`; behind the end of the image are zeroes.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let there = self.len.saturating_sub(offset).min(into.len() as u64) as usize;
        let (from_file, behind) = into.split_at_mut(there);
        match &self.content {
            Content::Raw(file) => file.read_exact_at(from_file, offset)?,
            Content::Qcow2(image) => image.read(from_file, offset)?,
        }
        behind.fill(0);
        Ok(())
    }
}

/// What tells that a file was not touched. The change time cannot be set back by programs.
#[derive(PartialEq, Eq)]
struct Stamp(String);

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let (m, c) = (metadata.mtime_nsec(), metadata.ctime_nsec());
        Self(format!(
            "bootlace-image 1\nsize {}\ninode {}:{}\nmodified {}.{m:09}\nchanged {}.{c:09}\n",
            metadata.len(),
            metadata.dev(),
            metadata.ino(),
            metadata.mtime(),
            metadata.ctime(),
        ))
    }

    fn find(&self, manifest: &Path, changed: i64) -> Option<ImageId> {
        if fs::metadata(manifest).ok()?.mtime() < changed + SETTLED_SECS {
            return None;
        }
        let text = fs::read(manifest).ok().filter(|text| text.len() <= MANIFEST_BYTES_MAX)?;
        let text = str::from_utf8(&text).ok()?.strip_prefix(&self.0)?;
        let (hex, sum) = text.strip_prefix("sha256 ")?.strip_suffix('\n')?.split_once("\ncrc32c ")?;
        if hex.len() != 64 || !hex.is_ascii() || *sum != checksum(&self.0, hex) {
            return None;
        }
        let mut id = [0; 32];
        for (byte, at) in id.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
        }
        Some(ImageId(id))
    }

    fn keep(&self, manifest: &Path, id: ImageId) {
        let hex = id.to_string();
        let text = format!("{}sha256 {hex}\ncrc32c {}\n", self.0, checksum(&self.0, &hex));
        // Neither written over, as it may be of another user, who keeps the folder with this one, nor through a link: commands
        // run as root.
        let new = manifest.with_added_extension("new");
        let _ = fs::remove_file(&new);
        let made = fs::File::options().write(true).create_new(true).open(&new);
        let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
        let _ = written.and_then(|()| fs::rename(&new, manifest));
    }
}

/// Tells a manifest that a power loss tore from a whole one.
fn checksum(stamp: &str, hex: &str) -> String {
    format!("{:08x}", crc32c::crc32c_append(crc32c::crc32c(stamp.as_bytes()), hex.as_bytes()))
}

fn hash(file: &fs::File, len: u64) -> Result<ImageId> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; IMAGE_HASH_CHUNK];
    let mut offset = 0;
    while offset < len {
        let part = (len - offset).min(buffer.len() as u64) as usize;
        file.read_exact_at(&mut buffer[..part], offset)?;
        hash.update(&buffer[..part]);
        offset += part as u64;
    }
    Ok(ImageId(hash.finalize().into()))
}
