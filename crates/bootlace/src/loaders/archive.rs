//! Upstream's release archive: only the files of the set are taken out of it, and only as files.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Component;

use anyhow::{Context, Result, bail};
use bootlace_core::boot::loader::carries_signature;
use bootlace_core::boot::loader::signed_ipxe::Architecture;
use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

/// Largest archive that is read: upstream's have 12 MB.
pub const ARCHIVE_BYTES_MAX: u64 = 64 << 20;
/// What an archive may unpack to, whatever of it is used.
pub const UNPACKED_BYTES_MAX: u64 = 512 << 20;
/// Largest loader of the set: upstream's have about 1 MB.
pub const LOADER_BYTES_MAX: u64 = 8 << 20;
/// Entries of an archive: upstream's have about 60.
pub const ENTRIES_MAX: usize = 1000;

/// What gzip and tar complain of comes behind it.
const BROKEN: &str = "it cannot be unpacked";

/// The files of the set by their names in it.
pub type Unpacked = BTreeMap<&'static str, Vec<u8>>;

/// Takes the set out of an archive. An archive in which anything is not as upstream makes it is not used at all.
pub fn unpack(archive: &[u8]) -> Result<Unpacked> {
    let unpacked = Bounded { inner: GzDecoder::new(archive), left: UNPACKED_BYTES_MAX };
    let mut archive = Archive::new(unpacked);
    let mut files = Unpacked::new();
    for (at, entry) in archive.entries().context(BROKEN)?.enumerate() {
        if at >= ENTRIES_MAX {
            bail!("it has more than {ENTRIES_MAX} entries");
        }
        let mut entry = entry.context(BROKEN)?;
        let Some(name) = name_in_set(&entry)? else { continue };
        if files.insert(name, read(&mut entry, name)?).is_some() {
            bail!("it has {name} twice");
        }
    }
    // To its end, where gzip has a checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink()).context(BROKEN)?;
    complete(files)
}

/// Upstream's names begin with a folder of the release.
fn name_in_set(entry: &Entry<'_, impl Read>) -> Result<Option<&'static str>> {
    let path = entry.path().context("an entry has a name that is none")?;
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                bail!("the entry {} leads out of its folder", path.display())
            }
        }
    }
    let [_, folder, file] = parts.as_slice() else { return Ok(None) };
    let name = format!("{folder}/{file}");
    Ok(Architecture::ALL.into_iter().flat_map(Architecture::files).find(|known| *known == name))
}

fn read(entry: &mut Entry<'_, impl Read>, name: &str) -> Result<Vec<u8>> {
    if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
        bail!("{name} is a link or something else, and no file");
    }
    if entry.size() > LOADER_BYTES_MAX {
        bail!("{name} has {} bytes, more than a loader of {LOADER_BYTES_MAX}", entry.size());
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).context(BROKEN)?;
    if !carries_signature(&bytes) {
        bail!("{name} is no EFI program that carries a signature");
    }
    Ok(bytes)
}

/// A shim without what it starts is of no use, and x86 is what nearly everybody needs.
fn complete(files: Unpacked) -> Result<Unpacked> {
    for architecture in Architecture::ALL {
        let missing: Vec<_> =
            architecture.files().into_iter().filter(|name| !files.contains_key(name)).collect();
        let none = missing.len() == architecture.files().len() && architecture != Architecture::X64;
        if !missing.is_empty() && !none {
            bail!("it lacks {}: take ipxeboot.tar.gz of iPXE 2.0 or later", missing.join(", "));
        }
    }
    Ok(files)
}

/// Gives up what unpacks to far more than it should.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            return Err(io::Error::other(format!("it unpacks to more than {UNPACKED_BYTES_MAX} bytes")));
        };
        self.left = left;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unpacks_to_more_than_it_should_is_given_up() {
        let mut fits = Bounded { inner: io::repeat(0).take(10), left: 10 };
        assert_eq!(io::copy(&mut fits, &mut io::sink()).unwrap(), 10);
        let mut bomb = Bounded { inner: io::repeat(0), left: 10 };
        assert!(io::copy(&mut bomb, &mut io::sink()).is_err());
    }
}
