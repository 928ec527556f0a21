//! What one machine wrote over an image.
//!
//! Data lie in a sparse file at the offsets that they have on the disk; the map says of each granule whether they count.
//! A granule is written whole when it first leaves the image, so the data file is never asked about bytes that it does
//! not have. Order of a flush: the map is copied, the data are synced, the copy is written and synced. So no map on the
//! disk points to data that are not there, and what a power loss takes are writes that nobody was told are durable.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::File;
use crate::map::{DISK_BYTES_MAX, Header, Map, SLOT_BYTES, State, slots_at};
use crate::recent::{HostBoot, Recent};
use crate::{
    BLOCK_BYTES, Barrier, Error, Extent, GRANULE_BYTES, Image, ImageId, Provisioning, Recorder, Result,
};

/// Granules that one lock is for at a time: 256 KiB of the disk.
const GRANULES_PER_LOCK: u64 = 64;
/// Locks of one overlay: more than the threads that write to it at once.
const LOCKS: usize = 32;

const DATA: &str = "data";
const MAP: &str = "map";
const RECENT: &str = "recent";
const GRANULE: usize = GRANULE_BYTES as usize;

/// How much an overlay may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// What the file system has.
    Unlimited,
    /// So many bytes of data. The map, 1/16,000 of the disk, is not counted.
    Quota(u64),
}

/// An open overlay.
#[derive(Debug)]
pub struct Overlay {
    image: Arc<Image>,
    size: u64,
    space: Space,
    map: Map,
    /// Granules with data; never fewer than the map tells.
    used: AtomicU64,
    data: File,
    /// None in memory, and on hosts that do not tell when they were started.
    recent: Option<Recent>,
    /// Writers of one granule take turns.
    locks: Vec<Mutex<()>>,
    /// Flushes that were asked for.
    asked: AtomicU64,
    flushing: Mutex<Flushing>,
    /// A sync has failed. The kernel may have dropped the pages that it could not write, so nothing that was not
    /// durable before can be promised any more, and to go on would hide that.
    broken: AtomicBool,
    /// Nobody needs what it holds.
    retired: AtomicBool,
}

/// What only one flush at a time touches.
#[derive(Debug)]
struct Flushing {
    /// Flushes that are done, in the order of asking.
    done: u64,
    /// None for an overlay that lives in memory.
    map: Option<MapFile>,
}

#[derive(Debug)]
struct MapFile {
    file: File,
    /// Of each page, the sequence that is durable.
    sequences: Vec<u64>,
}

impl Overlay {
    /// Makes the files of an empty overlay in an empty folder. They are durable, their names are not.
    pub(crate) fn create(folder: &Path, header: &Header, recorder: &Recorder) -> Result<()> {
        File::create(folder.join(DATA), recorder)?;
        let map = File::create(folder.join(MAP), recorder)?;
        map.write(0, &header.encode())?;
        Ok(map.sync(Barrier::CreateMap)?)
    }

    /// What the overlay in a folder was made for.
    pub(crate) fn header(folder: &Path) -> Result<Header> {
        read_header(&File::open(folder.join(MAP), &Recorder::default())?)
    }

    /// Whether changes of it were noted, in this start of the host or in another.
    pub(crate) fn has_notes(folder: &Path) -> bool {
        folder.join(RECENT).exists()
    }

    /// Opens the overlay in a folder.
    pub(crate) fn open(
        folder: &Path,
        image: Arc<Image>,
        space: Space,
        boot: Option<HostBoot>,
        recorder: &Recorder,
    ) -> Result<Self> {
        let file = File::open(folder.join(MAP), recorder)?;
        file.lock()?;
        let header = read_header(&file)?;
        if header.image != image.id() {
            return Err(Error::WrongImage);
        }
        let mut map = Map::new(header.size);
        // What a process that was killed wrote is readable, and not yet durable.
        file.sync(Barrier::OpenMap)?;
        let end = file.len()?;
        let mut sequences = vec![0; map.pages()];
        for (page, sequence) in sequences.iter_mut().enumerate() {
            let at = slots_at(page);
            let mut slots = [0; 2 * SLOT_BYTES];
            // What was never written is not in the file.
            let there = end.saturating_sub(at).min(slots.len() as u64) as usize;
            file.read(at, &mut slots[..there])?;
            let (even, odd) = slots.split_at(SLOT_BYTES);
            *sequence = map.load(page, [even, odd])?;
        }
        let recent = |boot| Recent::open(&folder.join(RECENT), boot, &map, recorder);
        let recent = boot.map(recent).transpose()?;
        let data = File::open(folder.join(DATA), recorder)?;
        let file = Some(MapFile { file, sequences });
        let mut overlay = Self::new(image, header.size, space, map, data, file);
        overlay.recent = recent;
        Ok(overlay)
    }

    /// An empty overlay in memory, which is gone when it is closed.
    pub fn in_memory(image: Arc<Image>, size: u64, space: Space) -> Result<Self> {
        check_size(size)?;
        Ok(Self::new(image, size, space, Map::new(size), File::in_memory()?, None))
    }

    fn new(image: Arc<Image>, size: u64, space: Space, map: Map, data: File, file: Option<MapFile>) -> Self {
        Self {
            image,
            size,
            space,
            used: AtomicU64::new(map.data_granules()),
            map,
            data,
            recent: None,
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            asked: AtomicU64::new(0),
            flushing: Mutex::new(Flushing { done: 0, map: file }),
            broken: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    /// Bytes of the disk, a multiple of [`BLOCK_BYTES`].
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it lies over.
    pub fn image_id(&self) -> ImageId {
        self.image.id()
    }

    /// Bytes of data that it holds.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed) * GRANULE_BYTES
    }

    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let mut at = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let (state, end) = self.run(at, at + rest.len() as u64);
            let (part, behind) = rest.split_at_mut((end - at) as usize);
            match state {
                State::Base => self.image.read(at, part)?,
                State::Data => self.data.read(at, part)?,
                State::Zero => part.fill(0),
            }
            at = end;
            rest = behind;
        }
        Ok(())
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check_whole()?;
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = lock_end(at).min(at + rest.len() as u64);
            let (part, behind) = rest.split_at((end - at) as usize);
            let _turn = self.lock(at);
            self.write_locked(at, part)?;
            at = end;
            rest = behind;
        }
        Ok(())
    }

    pub(crate) fn unmap(&self, offset: u64, len: u64) -> Result<()> {
        self.check_whole()?;
        let granules = self.whole_granules(offset, len);
        let mut at = granules.start;
        while at < granules.end {
            let end = (lock_end(at * GRANULE_BYTES) / GRANULE_BYTES).min(granules.end);
            let _turn = self.lock(at * GRANULE_BYTES);
            self.discard_locked(at..end)?;
            at = end;
        }
        Ok(())
    }

    pub(crate) fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        const ZEROES: [u8; GRANULE] = [0; GRANULE];
        let end = offset + len;
        let granules = self.whole_granules(offset, len);
        if granules.is_empty() {
            // Parts of at most two granules.
            let middle = offset.next_multiple_of(GRANULE_BYTES).min(end);
            self.write(offset, &ZEROES[..(middle - offset) as usize])?;
            return self.write(middle, &ZEROES[..(end - middle) as usize]);
        }
        let (start, tail) = (granules.start * GRANULE_BYTES, (granules.end * GRANULE_BYTES).min(end));
        self.write(offset, &ZEROES[..(start - offset) as usize])?;
        self.unmap(start, tail - start)?;
        self.write(tail, &ZEROES[..(end - tail) as usize])
    }

    pub(crate) fn flush(&self) -> Result<()> {
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut flushing = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        if flushing.done >= ticket {
            // One that began after this was asked for has done it.
            return Ok(());
        }
        self.check_whole()?;
        let covers = self.asked.load(Ordering::Acquire);
        if let Some(file) = &mut flushing.map {
            self.flush_files(file)?;
        }
        flushing.done = covers;
        Ok(())
    }

    fn flush_files(&self, file: &mut MapFile) -> Result<()> {
        // Copied before the sync: a granule that is written during it has data that it does not cover.
        let mut pages = self.map.take_dirty();
        self.data.sync(Barrier::FlushData).map_err(|error| self.fail(error))?;
        if pages.is_empty() {
            return Ok(());
        }
        for page in &mut pages {
            let sequence = file.sequences[page.page] + 1;
            let (at, bytes) = page.seal(sequence);
            if let Err(error) = file.file.write(at, bytes) {
                // The other copy of each page counts as before, so it can be tried again when there is room.
                pages.iter().for_each(|page| self.map.mark_dirty(page.page));
                return Err(error);
            }
        }
        file.file.sync(Barrier::FlushMap).map_err(|error| self.fail(error))?;
        for page in &pages {
            file.sequences[page.page] += 1;
        }
        Ok(())
    }

    /// A sync has failed: nothing is written any more, and what was noted of recent changes is not to be believed, for
    /// the kernel may have dropped their bytes.
    fn fail(&self, error: std::io::Error) -> Error {
        self.broken.store(true, Ordering::Release);
        if let Some(recent) = &self.recent {
            recent.forget();
        }
        error.into()
    }

    /// Has nothing more written by its end: a newer generation has taken its place, and its files are gone.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn lba_status(&self, offset: u64) -> Extent {
        let kind =
            |state| if state == State::Zero { Provisioning::Deallocated } else { Provisioning::Mapped };
        let (state, mut end) = self.run(offset, self.size);
        let provisioning = kind(state);
        while end < self.size {
            let (next, next_end) = self.run(end, self.size);
            if kind(next) != provisioning {
                break;
            }
            end = next_end;
        }
        Extent { len: end - offset, provisioning }
    }

    /// Writes within the granules of one lock, which the caller has.
    fn write_locked(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        let granules = offset / GRANULE_BYTES..end.div_ceil(GRANULE_BYTES);
        let new = granules.clone().filter(|granule| self.map.get(*granule) != State::Data).count() as u64;
        self.reserve(new)?;
        let written = self.write_filled(offset, bytes, granules.clone());
        if written.is_err() {
            self.used.fetch_sub(new, Ordering::Relaxed);
            return written;
        }
        if new > 0
            && let Some(recent) = &self.recent
            && let Err(error) = recent.note(granules.clone(), State::Data)
        {
            self.used.fetch_sub(new, Ordering::Relaxed);
            return Err(error);
        }
        for granule in granules {
            if self.map.get(granule) != State::Data {
                self.map.set(granule, State::Data);
            }
        }
        Ok(())
    }

    /// Writes the bytes, and with them the rest of granules at both ends that have no data yet.
    fn write_filled(&self, offset: u64, bytes: &[u8], granules: Range<u64>) -> Result<()> {
        let end = offset + bytes.len() as u64;
        let (first, last) = (granules.start, granules.end - 1);
        let lacks = |granule: u64| self.map.get(granule) != State::Data;
        let before = if lacks(first) { offset - first * GRANULE_BYTES } else { 0 };
        let after = if lacks(last) { (last + 1) * GRANULE_BYTES - end } else { 0 };
        if before == 0 && after == 0 {
            return self.data.write(offset, bytes);
        }
        let mut whole = vec![0; before as usize + bytes.len() + after as usize];
        let (head, rest) = whole.split_at_mut(before as usize);
        let (middle, tail) = rest.split_at_mut(bytes.len());
        self.read(offset - before, head)?;
        middle.copy_from_slice(bytes);
        // The last granule may reach behind the disk, where nothing is read.
        let readable = self.size.saturating_sub(end).min(after) as usize;
        self.read(end, &mut tail[..readable])?;
        self.data.write(offset - before, &whole)
    }

    /// Makes granules of one lock, which the caller has, zeroes without data.
    fn discard_locked(&self, granules: Range<u64>) -> Result<()> {
        if let Some(recent) = &self.recent {
            recent.note(granules.clone(), State::Zero)?;
        }
        let mut freed = 0;
        for granule in granules.clone() {
            let state = self.map.get(granule);
            if state != State::Zero {
                self.map.set(granule, State::Zero);
            }
            freed += u64::from(state == State::Data);
        }
        if freed == 0 {
            return Ok(());
        }
        // Before the map is durable: a power loss in between leaves zeroes or the old bytes, and both are what a
        // discard that was not flushed may leave.
        self.used.fetch_sub(freed, Ordering::Relaxed);
        let len = (granules.end - granules.start) * GRANULE_BYTES;
        self.data.punch(granules.start * GRANULE_BYTES, len)
    }

    fn reserve(&self, granules: u64) -> Result<()> {
        let limit = match self.space {
            Space::Unlimited => u64::MAX,
            Space::Quota(bytes) => bytes / GRANULE_BYTES,
        };
        let grow = |used: u64| used.checked_add(granules).filter(|sum| granules == 0 || *sum <= limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Quota),
        }
    }

    /// Where the bytes at `from` are, and up to where before `until` that holds.
    fn run(&self, from: u64, until: u64) -> (State, u64) {
        let first = from / GRANULE_BYTES;
        let state = self.map.get(first);
        let last = until.div_ceil(GRANULE_BYTES);
        let end = (first + 1..last).find(|granule| self.map.get(*granule) != state).unwrap_or(last);
        (state, (end * GRANULE_BYTES).min(until))
    }

    /// The granules that a range has all of; the end of the disk ends its last one.
    fn whole_granules(&self, offset: u64, len: u64) -> Range<u64> {
        let end = offset + len;
        let last = if end == self.size { end.div_ceil(GRANULE_BYTES) } else { end / GRANULE_BYTES };
        let first = offset.div_ceil(GRANULE_BYTES);
        first..last.max(first)
    }

    fn check_whole(&self) -> Result<()> {
        if self.broken.load(Ordering::Acquire) {
            return Err(Error::Damaged("an earlier sync failed"));
        }
        Ok(())
    }

    fn lock(&self, offset: u64) -> MutexGuard<'_, ()> {
        let index = (offset / GRANULE_BYTES / GRANULES_PER_LOCK) as usize % LOCKS;
        self.locks[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Overlay {
    /// Writes the map: to a machine that logs in again its disk was never gone, so what it wrote must be there, flushed
    /// or not. What cannot be written is lost as in a power loss.
    fn drop(&mut self) {
        if self.map.is_dirty() && !self.retired.load(Ordering::Acquire) {
            let _ = self.flush();
        }
    }
}

/// Whether a disk may have so many bytes.
pub(crate) fn check_size(size: u64) -> Result<()> {
    if size == 0 || size > DISK_BYTES_MAX || !size.is_multiple_of(BLOCK_BYTES) {
        return Err(Error::OutOfRange);
    }
    Ok(())
}

/// Where the granules of the lock at `offset` end.
fn lock_end(offset: u64) -> u64 {
    const BYTES: u64 = GRANULES_PER_LOCK * GRANULE_BYTES;
    (offset / BYTES + 1) * BYTES
}

fn read_header(file: &File) -> Result<Header> {
    let mut bytes = [0; SLOT_BYTES];
    if file.len()? < bytes.len() as u64 {
        return Err(Error::Damaged("the header of the map"));
    }
    file.read(0, &mut bytes)?;
    Header::decode(&bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const BYTES: u64 = 64 * BLOCK_BYTES;
    const BOOT: HostBoot = HostBoot([1; 16]);

    struct Lab {
        place: tempfile::TempDir,
        overlay: Overlay,
    }

    impl Lab {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let image = place.path().join("image");
            fs::write(&image, vec![1; BYTES as usize]).unwrap();
            let image = Arc::new(Image::open(&image, Path::new("/nonexistent")).unwrap());
            let header = Header { size: BYTES, image: image.id(), created_secs: 0 };
            assert_ne!(image.id(), ImageId([0; 32]));
            let recorder = Recorder::default();
            Overlay::create(place.path(), &header, &recorder).unwrap();
            let overlay =
                Overlay::open(place.path(), image, Space::Unlimited, Some(BOOT), &recorder).unwrap();
            Self { place, overlay }
        }

        /// Where every write fails for want of space, and every sync.
        fn full() -> File {
            File::open("/dev/full".into(), &Recorder::default()).unwrap()
        }

        fn first(&self) -> u8 {
            let mut bytes = [0; BLOCK_BYTES as usize];
            self.overlay.read(0, &mut bytes).unwrap();
            bytes[0]
        }
    }

    #[test]
    fn a_map_that_has_no_room_is_written_when_it_has() {
        let lab = Lab::new();
        lab.overlay.write(0, &[7; 512]).unwrap();
        let swap = |file: File| {
            let mut flushing = lab.overlay.flushing.lock().unwrap();
            std::mem::replace(&mut flushing.map.as_mut().unwrap().file, file)
        };
        let map = swap(Lab::full());
        assert!(matches!(lab.overlay.flush(), Err(Error::NoSpace)));
        lab.overlay.write(8 * 512, &[8; 512]).unwrap();
        assert!(matches!(lab.overlay.flush(), Err(Error::NoSpace)), "it is not durable yet");
        swap(map);
        lab.overlay.flush().unwrap();
        assert!(!lab.overlay.map.is_dirty());
        let image = Arc::clone(&lab.overlay.image);
        let Lab { place, overlay } = lab;
        drop(overlay);
        let next = Some(HostBoot([2; 16]));
        let overlay = Overlay::open(place.path(), image, Space::Unlimited, next, &Recorder::default());
        assert_eq!(Lab { place, overlay: overlay.unwrap() }.first(), 7);
    }

    #[test]
    fn a_full_file_system_is_told_apart_and_harms_nothing() {
        let mut lab = Lab::new();
        lab.overlay.data = Lab::full();
        assert!(matches!(lab.overlay.write(0, &[7; 512]), Err(Error::NoSpace)));
        assert_eq!(lab.first(), 1);
    }

    #[test]
    fn after_a_failed_sync_nothing_is_written_and_no_note_is_believed() {
        let mut lab = Lab::new();
        lab.overlay.write(0, &[7; 512]).unwrap();
        lab.overlay.data = Lab::full();
        assert!(lab.overlay.flush().is_err());
        assert!(matches!(lab.overlay.write(0, &[8; 512]), Err(Error::Damaged(_))));
        let image = Arc::clone(&lab.overlay.image);
        let Lab { place, overlay } = lab;
        drop(overlay);
        let overlay = Overlay::open(place.path(), image, Space::Unlimited, Some(BOOT), &Recorder::default());
        assert_eq!(Lab { place, overlay: overlay.unwrap() }.first(), 1, "what was flushed last");
    }

    #[test]
    fn one_that_is_retired_is_not_written_by_its_end() {
        let lab = Lab::new();
        lab.overlay.write(0, &[7; 512]).unwrap();
        lab.overlay.retire();
        let map = lab.place.path().join("map");
        let before = fs::read(&map).unwrap();
        let Lab { place, overlay } = lab;
        drop(overlay);
        assert_eq!(fs::read(&map).unwrap(), before);
        drop(place);
    }
}
