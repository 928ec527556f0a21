//! A disk as a raw file: what promotes an overlay to a new version of its image, and flattens it.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, chown};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::{Disk, Result};

/// Bytes that are copied at once. Where so many are zeroes the file gets a hole.
const PART_BYTES: u64 = 64 << 10;

impl Disk {
    /// Writes all of the disk to a new raw file. The file has its name once it is whole and durable, and never replaces
    /// another, since a machine may boot from that. While it is made it is beside its place with the ending `.new`; one
    /// that was interrupted is begun anew.
    ///
    /// Of a disk that is written meanwhile, the file is a mixture. `progress` is told how many bytes are there, again and
    /// again.
    pub fn export(&self, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let unfinished = to.with_added_extension("new");
        let file = fs::File::create(&unfinished)?;
        if let Err(error) = self.copy_to(&file, progress) {
            // The space may be what lacks.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        renameat_with(CWD, &unfinished, CWD, to, RenameFlags::NOREPLACE).inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })?;
        sync_folder_of(to)
    }

    fn copy_to(&self, file: &fs::File, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let size = self.size();
        file.set_len(size)?;
        let mut part = vec![0; PART_BYTES as usize];
        let mut offset = 0;
        while offset < size {
            let part = &mut part[..PART_BYTES.min(size - offset) as usize];
            self.read(offset, part)?;
            if part.iter().any(|byte| *byte != 0) {
                file.write_all_at(part, offset)?;
            }
            offset += part.len() as u64;
            progress(offset);
        }
        Ok(file.sync_all()?)
    }
}

/// Puts a new version of an image into the place of the current one, which has the name of the new one from then on.
/// Both have a name at each moment, also if there is a power loss; who may read the one may read the other.
pub fn exchange_images(new: &Path, current: &Path) -> Result<()> {
    let (made, known) = (fs::metadata(new)?, fs::metadata(current)?);
    if (made.uid(), made.gid()) != (known.uid(), known.gid()) {
        chown(new, Some(known.uid()), Some(known.gid()))?;
    }
    fs::set_permissions(new, known.permissions())?;
    renameat_with(CWD, new, CWD, current, RenameFlags::EXCHANGE)?;
    sync_folder_of(current)
}

/// Makes the names of a file's folder durable.
pub(crate) fn sync_folder_of(file: &Path) -> Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?)
}
