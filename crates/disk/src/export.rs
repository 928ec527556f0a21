//! A disk as a raw file: what promotes an overlay to a new version of its image, and flattens it.

use std::fs;
use std::os::unix::fs::FileExt;
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
    /// Of a disk that is written meanwhile, the file is a mixture.
    pub fn export(&self, to: &Path) -> Result<()> {
        let unfinished = to.with_added_extension("new");
        let file = fs::File::create(&unfinished)?;
        if let Err(error) = self.copy_to(&file) {
            // The space may be what lacks.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        renameat_with(CWD, &unfinished, CWD, to, RenameFlags::NOREPLACE).inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?)
    }

    fn copy_to(&self, file: &fs::File) -> Result<()> {
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
        }
        Ok(file.sync_all()?)
    }
}
