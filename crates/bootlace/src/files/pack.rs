//! Archives that are made for a machine.

use std::io::{self, Write};

use bootlace_core::boot::install::{Packed, PackedKind};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// The type of an archive.
pub(crate) const MIME: &str = "application/gzip";

/// A gzipped tar archive. The same entries are always the same bytes.
pub(crate) fn pack(entries: &[Packed]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(GzBuilder::new().write(Vec::new(), Compression::default()));
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let (text, mode): (&str, u32) = match &entry.kind {
            PackedKind::File(text) => (text, 0o644),
            PackedKind::Program(text) => (text, 0o755),
            PackedKind::Link(to) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                header.set_mode(0o777);
                tar.append_link(&mut header, &entry.path, to)?;
                continue;
            }
        };
        header.set_mode(mode);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, &entry.path, text.as_bytes())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn entry(path: &str, kind: PackedKind) -> Packed {
        Packed { path: path.to_owned(), kind }
    }

    #[test]
    fn tar_unpacks_what_was_packed() {
        let entries = [
            entry("etc/empty", PackedKind::File(String::new())),
            entry("etc/local.d/a.start", PackedKind::Program("#!/bin/sh\n".to_owned())),
            entry("etc/runlevels/default/local", PackedKind::Link("/etc/init.d/local")),
            entry("etc/long", PackedKind::File("x".repeat(100_000))),
        ];
        let bytes = pack(&entries).unwrap();
        assert_eq!(bytes, pack(&entries).unwrap());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.tar.gz"), bytes).unwrap();
        let done = Command::new("tar").args(["-xzf", "a.tar.gz"]).current_dir(dir.path()).status().unwrap();
        assert!(done.success());
        let at = |name: &str| dir.path().join(name);
        assert_eq!(fs::read(at("etc/empty")).unwrap(), b"");
        assert_eq!(fs::read(at("etc/long")).unwrap().len(), 100_000);
        let start = at("etc/local.d/a.start");
        assert_eq!(fs::metadata(&start).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(at("etc/runlevels/default/local")).unwrap(), Path::new("/etc/init.d/local"));
    }
}
