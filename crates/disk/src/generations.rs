//! The overlays of machines: one folder for each disk of a machine, in it one for each generation.
//!
//! A script that names a disk only *names* a generation, any number of times. The first login to it makes it, and that
//! alone retires what was before. The highest number counts, so a power loss between the two leaves the new one.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::files::space_of;
use crate::map::Header;
use crate::overlay::check_size;
use crate::{Barrier, Error, HostBoot, Image, ImageId, Overlay, Recorder, Result, Space};

/// Generations of one machine that a folder is read for: far more than a power loss can leave.
pub const GENERATIONS_MAX: usize = 1000;

/// Bytes of a disk's name in the file system: a machine's name and a boot's, of 64 each, have room.
const MACHINE_BYTES_MAX: usize = 200;

/// Machines that log in at once do so beside each other, but for those that share one of these.
const TURNS: usize = 64;

/// The ending of a folder that is not complete yet.
const UNFINISHED: &str = "new";

/// What becomes of what a machine wrote when it boots again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is kept.
    Persistent,
    /// It is dropped.
    Reset,
    /// It is dropped once it is older than this.
    ResetAfter(Duration),
    /// It is dropped, and was never on a disk: see [`Overlay::in_memory`].
    Ram,
}

/// The name of a generation. Numbers order those of a machine; tokens tell boots apart that were to get the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    /// Counts up.
    pub number: u64,
    /// Drawn by who names it.
    pub token: u64,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.number, self.token)
    }
}

impl Generation {
    /// One that was written by `Display`, and written so in no other way.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, token) = text.split_once('-')?;
        let generation = Self { number: number.parse().ok()?, token: u64::from_str_radix(token, 16).ok()? };
        (generation.to_string() == text).then_some(generation)
    }
}

/// What is kept of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The image that it was made over.
    pub image: ImageId,
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes that its data take.
    pub space: u64,
    /// When it was made, in seconds since 1970.
    pub created_secs: u64,
}

/// The overlays under one folder.
#[derive(Debug)]
pub struct Generations {
    folder: PathBuf,
    boot: Option<HostBoot>,
    recorder: Recorder,
    /// Logins of a machine take turns: of two to a new generation, one makes it.
    turns: Vec<Mutex<()>>,
}

impl Generations {
    /// Those in `folder`, which is there. What was written and not flushed survives the process until `boot` is over.
    pub fn new(folder: PathBuf, boot: Option<HostBoot>) -> Self {
        Self::recorded(folder, boot, Recorder::default())
    }

    /// The same, and what is done to files is taken down.
    pub fn recorded(folder: PathBuf, boot: Option<HostBoot>, recorder: Recorder) -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Self { folder, boot, recorder, turns }
    }

    /// The generation that a boot is to use. It changes nothing. `token` is one of the session's, so that every
    /// request of a session gets the same name, also after the first login; `now_secs` is in seconds since 1970.
    pub fn name(&self, machine: &str, mode: Mode, token: u64, now_secs: u64) -> Result<Generation> {
        let Some(current) = self.current(machine)? else { return Ok(Generation { number: 1, token }) };
        let keep = match mode {
            _ if current.token == token => true,
            Mode::Persistent => true,
            Mode::Reset | Mode::Ram => false,
            Mode::ResetAfter(age) => {
                now_secs.saturating_sub(self.header(machine, current)?.created_secs) < age.as_secs()
            }
        };
        Ok(if keep { current } else { Generation { number: current.number + 1, token } })
    }

    /// The machines that have one.
    pub fn machines(&self) -> Result<Vec<String>> {
        let mut machines = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            if self.machine(&name).is_ok() {
                machines.push(name);
            }
        }
        machines.sort_unstable();
        Ok(machines)
    }

    /// What is kept of a machine's generation.
    pub fn kept(&self, machine: &str, generation: Generation) -> Result<Kept> {
        let folder = self.machine(machine)?.join(generation.to_string());
        let header = Overlay::header(&folder)?;
        let space = space_of(&folder.join("data"))?;
        Ok(Kept { image: header.image, size: header.size, space, created_secs: header.created_secs })
    }

    /// Removes all that is kept of a machine, whose disk nobody has open; whether there was something.
    pub fn remove(&self, machine: &str) -> Result<bool> {
        let home = self.machine(machine)?;
        if !home.try_exists()? {
            return Ok(false);
        }
        self.recorder.remove_folder(&home)?;
        self.recorder.sync_folder(&self.folder, Barrier::CreateMachine)?;
        Ok(true)
    }

    /// The generation that a machine has.
    pub fn current(&self, machine: &str) -> Result<Option<Generation>> {
        Ok(self.list(machine)?.into_iter().max())
    }

    /// The image that a generation was made over, and the bytes of its disk: a persistent one stays on it when there is a newer version.
    pub fn image_of(&self, machine: &str, generation: Generation) -> Result<(ImageId, u64)> {
        let header = self.header(machine, generation)?;
        Ok((header.image, header.size))
    }

    /// Opens a generation for a login that has proved to be of the boot that it was named for. A generation that is
    /// newer than all is made, durable when this returns, and those before it go.
    pub fn login(
        &self,
        machine: &str,
        generation: Generation,
        image: Arc<Image>,
        size: u64,
        space: Space,
        now_secs: u64,
    ) -> Result<Overlay> {
        check_size(size)?;
        let turn = machine.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let _turn = self.turns[turn % TURNS].lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.machine(machine)?.join(generation.to_string());
        match self.current(machine)? {
            Some(current) if current == generation => {}
            Some(current) if current.number >= generation.number => return Err(Error::Superseded),
            _ => self.make(machine, &folder, &Header { size, image: image.id(), created_secs: now_secs })?,
        }
        // Also when it was found: the process that made it may have been killed before this.
        self.recorder.sync_folder(&self.folder, Barrier::CreateMachine)?;
        self.recorder.sync_folder(&self.machine(machine)?, Barrier::CreateName)?;
        let overlay = Overlay::open(&folder, image, space, self.boot, &self.recorder)?;
        self.retire_before(machine, generation)?;
        Ok(overlay)
    }

    /// Opens the generation that a machine has, which makes no file: who only looks at it may be another user.
    /// [`Error::Busy`] if somebody has it; nobody else gets it for as long as it is open.
    pub fn open_current(&self, machine: &str, image: Arc<Image>) -> Result<Option<Overlay>> {
        let Some(current) = self.current(machine)? else { return Ok(None) };
        let folder = self.machine(machine)?.join(current.to_string());
        let boot = self.boot.filter(|_| Overlay::has_notes(&folder));
        Overlay::open(&folder, image, Space::Unlimited, boot, &self.recorder).map(Some)
    }

    fn make(&self, machine: &str, folder: &Path, header: &Header) -> Result<()> {
        let home = self.machine(machine)?;
        if !home.try_exists()? {
            self.recorder.make_folder(&home)?;
        }
        self.clear_unfinished(&home)?;
        let unfinished = folder.with_added_extension(UNFINISHED);
        self.recorder.make_folder(&unfinished)?;
        Overlay::create(&unfinished, header, &self.recorder)?;
        self.recorder.sync_folder(&unfinished, Barrier::CreateFolder)?;
        self.recorder.rename(&unfinished, folder)
    }

    /// Removes what was left by somebody who was interrupted in [`Self::make`].
    fn clear_unfinished(&self, home: &Path) -> Result<()> {
        for entry in fs::read_dir(home)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                self.recorder.remove_folder(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what is older. Files that a session still has open stay readable
    /// to it; ending the session is up to the caller.
    fn retire_before(&self, machine: &str, generation: Generation) -> Result<()> {
        let home = self.machine(machine)?;
        for old in self.list(machine)? {
            if old.number < generation.number {
                self.recorder.remove_folder(&home.join(old.to_string()))?;
            }
        }
        Ok(())
    }

    fn header(&self, machine: &str, generation: Generation) -> Result<Header> {
        Overlay::header(&self.machine(machine)?.join(generation.to_string()))
    }

    fn list(&self, machine: &str) -> Result<Vec<Generation>> {
        let entries = match fs::read_dir(self.machine(machine)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(entry?.file_name().to_str().and_then(Generation::parse));
            if found.len() > GENERATIONS_MAX {
                return Err(Error::Damaged("too many generations of one machine"));
            }
        }
        Ok(found)
    }

    /// The folder of a machine, whose name comes from the config or is an address.
    fn machine(&self, name: &str) -> Result<PathBuf> {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
        let safe = (1..=MACHINE_BYTES_MAX).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(usual);
        if safe { Ok(self.folder.join(name)) } else { Err(Error::Damaged("the name of a machine")) }
    }
}
