//! What has changed in a map since its host was started.
//!
//! The map on the disk tells what is durable. Between two flushes it lags behind, and a server that is killed would forget what
//! its machines believe to be in the disk's cache, although the bytes are in the kernel's. So each change is also noted in
//! a file that nobody syncs, which counts for as long as the host has not been started again: until then the kernel has all
//! that was written to it, unless it has told of a failure.

use std::path::Path;

use crate::files::File;
use crate::map::{Map, State};
use crate::{Error, Recorder, Result};

/// Where the notes begin, a byte for each granule.
const NOTES_AT: u64 = 4096;
/// Bytes that are looked at at once.
const CHUNK: usize = 64 << 10;

/// One start of a host: another value after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostBoot(pub [u8; 16]);

impl HostBoot {
    /// This one; `None` where the kernel does not tell.
    pub fn current() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let hex: String = text.trim().chars().filter(|c| *c != '-').collect();
        u128::from_str_radix(&hex, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

/// The notes of one overlay.
#[derive(Debug)]
pub(crate) struct Recent(File);

impl Recent {
    /// Opens them, and takes over into the map what they tell. Those of an earlier boot are dropped.
    pub(crate) fn open(path: &Path, boot: HostBoot, map: &Map, recorder: &Recorder) -> Result<Self> {
        let file = File::open_or_create(path.to_owned(), recorder)?;
        let end = file.len()?;
        let mut header = [0; 16];
        if end >= NOTES_AT {
            file.read(0, &mut header)?;
        }
        let recent = Self(file);
        if header == boot.0 {
            recent.take_over(end, map)?;
        } else {
            recent.begin(boot)?;
        }
        Ok(recent)
    }

    /// Drops all notes.
    fn begin(&self, boot: HostBoot) -> Result<()> {
        self.0.truncate()?;
        let mut header = [0; NOTES_AT as usize];
        header[..16].copy_from_slice(&boot.0);
        self.0.write(0, &header)
    }

    /// Drops all notes as far as that can be done, and takes no more: without its header the file counts for nothing.
    pub(crate) fn forget(&self) {
        let _ = self.0.truncate();
    }

    fn take_over(&self, end: u64, map: &Map) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut at = NOTES_AT;
        while at < end {
            let part = &mut chunk[..CHUNK.min((end - at) as usize)];
            self.0.read(at, part)?;
            for (note, granule) in part.iter().zip(at - NOTES_AT..).filter(|(note, _)| **note != 0) {
                let state = match note {
                    1 => State::Data,
                    2 => State::Zero,
                    _ => return Err(Error::Damaged("the notes of recent changes")),
                };
                if granule >= map.granules() {
                    return Err(Error::Damaged("the length of the notes of recent changes"));
                }
                if map.get(granule) != state {
                    map.set(granule, state);
                }
            }
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Notes that granules are in a state, before the map says so and after their bytes are there.
    pub(crate) fn note(&self, granules: std::ops::Range<u64>, state: State) -> Result<()> {
        // Those of one lock: few.
        let notes = vec![state as u8; (granules.end - granules.start) as usize];
        self.0.write(NOTES_AT + granules.start, &notes)
    }
}
