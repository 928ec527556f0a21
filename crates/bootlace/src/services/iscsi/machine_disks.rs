//! The disks of machines: an overlay over an image for each machine and boot.
//!
//! A script only names a disk. Its name holds which generation it is and that this server made it, so nothing is stored
//! before a script leaves, and a restart changes nothing. The first login to a name makes the generation and ends what
//! was before it.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use bootlace_core::boot::disk::{DiskId, DiskNames, NamedDisk, Unnamed};
use bootlace_core::config::{BootKind, DiskBoot, DiskChap, DiskMode, InitiatorPattern, Secret};
use bootlace_core::oneshot::Taker;
use bootlace_disk::{Disk, Error, Generation, Generations, HostBoot, Image, Mode, Overlay, Space};
use bootlace_wire::HwAddr;
use bootlace_wire::iscsi::{Admission, Authentication, Chap, Refusal};
use bootlace_wire::scsi::Access;

use super::images::Images;
use super::limits::{IMAGE_WAIT, MACHINE_DISKS_OPEN_MAX};
use super::target::{Sharing, Target, Traits, authentication, credentials};
use crate::hub::Hub;
use crate::serving::Serving;
use crate::tokens::{Purpose, Tokens};

/// The folder of what machines wrote, in the state folder.
pub(super) const OVERLAYS: &str = "overlays";
/// The folder of what is known of images, in the state folder.
pub(super) const MANIFESTS: &str = "manifests";

/// Machines that log in at once do so beside each other, but for those that share one of these.
const TURNS: usize = 64;

/// Machines of which is remembered which boot was told a disk.
const TOLD_MAX: usize = 10_000;

/// Characters of a secret, 80 random bits: Windows takes 12 to 16.
const SECRET_CHARS: usize = 16;
/// What they are out of.
const SECRET_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The disks of all machines.
pub struct MachineDisks {
    serving: Arc<ArcSwap<Serving>>,
    tokens: Tokens,
    /// Of this run: a disk in memory is gone with it, and so are its names.
    run: [u8; 16],
    pub(super) generations: Generations,
    pub(super) images: Arc<Images>,
    hub: Arc<Hub>,
    /// The boot that was told a disk last.
    told: Mutex<HashMap<DiskId, Taker>>,
    open: Mutex<HashMap<DiskId, Open>>,
    /// Logins of a machine take turns.
    turns: Vec<Mutex<()>>,
}

/// A disk that is used, or was.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) generation: Generation,
    pub(super) target: Arc<Target>,
    pub(super) medium: Medium,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Files,
    Memory,
}

impl From<DiskMode> for Medium {
    fn from(mode: DiskMode) -> Self {
        match mode {
            DiskMode::Ram => Self::Memory,
            DiskMode::Persistent | DiskMode::Reset | DiskMode::ResetAfter(_) => Self::Files,
        }
    }
}

/// What is open of a disk.
enum Found {
    /// The generation that is asked for.
    It(Arc<Target>),
    /// One before it.
    Former(Arc<Target>),
    /// Nothing.
    None,
}

/// What a target's name says.
struct Said {
    id: DiskId,
    disk: DiskBoot,
    generation: Generation,
    /// Where it was when the name was made; the config may say something else by now.
    medium: Medium,
}

impl std::fmt::Debug for MachineDisks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineDisks").field("open", &self.open).finish_non_exhaustive()
    }
}

impl MachineDisks {
    /// Those of a state folder. Images that boots name are looked at from now on.
    pub fn open(serving: Arc<ArcSwap<Serving>>, tokens: Tokens, hub: Arc<Hub>) -> Result<Arc<Self>> {
        let in_force = serving.load_full();
        let config = &in_force.config;
        let state_dir = &config.state_dir;
        let [overlays, manifests] = [OVERLAYS, MANIFESTS].map(|name| state_dir.join(name));
        for made in [&overlays, &manifests] {
            make_folder(made, state_dir).with_context(|| format!("cannot make {}", made.display()))?;
        }
        let mut run = [0; 16];
        rustix::rand::getrandom(&mut run, rustix::rand::GetRandomFlags::empty())
            .context("cannot get random bytes")?;
        let disks = Self {
            serving,
            tokens,
            run,
            generations: Generations::new(overlays, HostBoot::current()),
            images: Images::new(config.images.clone(), manifests),
            hub,
            told: Mutex::default(),
            open: Mutex::default(),
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
        };
        for (_, disk) in config.disk_boots() {
            if let Err(Unnamed::Never(why)) = disks.images.named(&disk.image) {
                tracing::warn!(code = "image-missing", "{why}");
            }
        }
        Ok(Arc::new(disks))
    }

    /// The names for one boot of a machine.
    pub fn for_boot(self: &Arc<Self>, hw: HwAddr, taker: Taker) -> NamedFor {
        let hw = hw.to_string();
        let (session, started) = (taker.session.0.to_be_bytes(), taker.started.0.to_be_bytes());
        let bytes = self.tokens.derive(Purpose::DiskOfBoot, &[hw.as_bytes(), &session, &started]);
        NamedFor { disks: Arc::clone(self), taker, token: number(bytes) }
    }

    /// Ends all sessions, and makes durable what machines wrote.
    pub fn close(&self) {
        let open = std::mem::take(&mut *self.all());
        for (id, Open { target, .. }) in open {
            target.close();
            if let Err(error) = target.sync() {
                tracing::error!(
                    machine = id.machine(),
                    "what a machine wrote cannot be made durable: {error}"
                );
            }
        }
    }

    /// What an initiator has to do for a target; `NotFound` where no disk has this name.
    pub(super) fn admission(&self, name: &str, initiator: &str) -> Result<Admission, Refusal> {
        let said = self.read(name).ok_or(Refusal::NotFound)?;
        if said.id.initiator() != initiator {
            return Err(Refusal::Forbidden);
        }
        let authentication = self.authentication(name, &said).ok_or(Refusal::Unavailable)?;
        Ok(Admission { authentication, targets: vec![name.to_owned()] })
    }

    fn authentication(&self, name: &str, said: &Said) -> Option<Authentication> {
        match &said.disk.chap {
            DiskChap::Off => Some(Authentication::None),
            DiskChap::Static(chap) => authentication(Some(chap)),
            DiskChap::PerBoot => {
                let initiator = credentials(said.id.machine(), &self.secret(name))?;
                Some(Authentication::Chap(Chap { initiator, target: None }))
            }
        }
    }

    fn tell(&self, id: &DiskId, taker: Taker) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX && !told.contains_key(id) {
            told.clear();
        }
        told.insert(id.clone(), taker);
    }

    /// The target for an initiator that has done so: what was before it of this disk ends, and a boot that was for once is done.
    pub(super) fn target(&self, name: &str) -> Result<Arc<Target>, Refusal> {
        let said = self.read(name).ok_or(Refusal::NotFound)?;
        let target = self.opened(name, &said)?;
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).get(&said.id).copied();
        if let Some(taker) = told {
            self.hub.one_shots().logged_in(taker);
        }
        Ok(target)
    }

    fn opened(&self, name: &str, said: &Said) -> Result<Arc<Target>, Refusal> {
        if let Found::It(target) = self.look_up(said)? {
            return Ok(target);
        }
        let image = self.images.wait(IMAGE_WAIT, || self.image(said));
        let image = image.map_err(|why| {
            if let Unnamed::Never(why) = why {
                tracing::warn!(machine = said.id.machine(), "{why}");
            }
            Refusal::Unavailable
        })?;
        let _turn = self.turn(&said.id);
        let former = match self.look_up(said)? {
            Found::It(target) => return Ok(target),
            Found::Former(former) => Some(former),
            Found::None => None,
        };
        let traits = Traits {
            name: name.to_owned(),
            known_by: said.id.folder(),
            authentication: self.authentication(name, said).ok_or(Refusal::Unavailable)?,
            initiators: Some(vec![InitiatorPattern::Name(said.id.initiator())]),
            sharing: Sharing::OneInitiator,
            access: Access::ReadWrite,
        };
        if former.is_none() {
            self.make_room()?;
        }
        let disk = disk_of(&self.generations, said, image)?;
        if let Some(former) = former {
            former.retire();
        }
        let target = Arc::new(Target::new(disk, traits));
        let open = Open { generation: said.generation, target: Arc::clone(&target), medium: said.medium };
        let former = self.all().insert(said.id.clone(), open);
        if former.is_some() {
            // Its files may be large, and their space is given back with the last that has them open.
            let _ = thread::Builder::new().name("retired".into()).spawn(move || drop(former));
        }
        Ok(target)
    }

    /// What is open of a disk; an error when that is newer.
    fn look_up(&self, said: &Said) -> Result<Found, Refusal> {
        let on_disk = match said.medium {
            Medium::Files => self.current(&said.id).map_err(|_| Refusal::Unavailable)?,
            Medium::Memory => None,
        };
        let all = self.all();
        let open = all.get(&said.id);
        // Somebody may have removed its files, to have it made anew.
        let is_there = |open: &Open| open.medium == Medium::Memory || on_disk == Some(open.generation);
        let same = open.filter(|open| open.medium == said.medium && is_there(open));
        match same {
            Some(open) if open.generation == said.generation => {
                return Ok(Found::It(Arc::clone(&open.target)));
            }
            Some(open) if open.generation.number >= said.generation.number => return Err(Refusal::NotFound),
            _ => {}
        }
        // A name of before the config said something else is good for the disk that it was told for, and for no other.
        let is_old = said.medium != Medium::from(said.disk.mode);
        if is_old && (open.is_some() || on_disk != Some(said.generation)) {
            return Err(Refusal::NotFound);
        }
        Ok(open.map_or(Found::None, |open| Found::Former(Arc::clone(&open.target))))
    }

    /// Closes disks that nobody uses when there are too many; those in memory would be gone.
    fn make_room(&self) -> Result<(), Refusal> {
        let mut all = self.all();
        if all.len() < MACHINE_DISKS_OPEN_MAX {
            return Ok(());
        }
        let idle = all.extract_if(|_, open| open.medium == Medium::Files && open.target.close_idle());
        let idle: Vec<_> = idle.collect();
        let full = all.len() >= MACHINE_DISKS_OPEN_MAX;
        drop(all);
        drop(idle);
        if full { Err(Refusal::OutOfResources) } else { Ok(()) }
    }

    /// The image of a generation: the one that it was made over, or that it would be made over now.
    fn image(&self, said: &Said) -> Result<Arc<Image>, Unnamed> {
        let Said { id, disk, generation, medium } = said;
        if *medium == Medium::Files && self.current(id)? == Some(*generation) {
            let made_over = self.generations.image_of(&id.folder(), *generation);
            return self.images.with(made_over.map_err(|error| damaged(id, &error))?, &disk.image);
        }
        self.images.named(&disk.image)
    }

    fn current(&self, id: &DiskId) -> Result<Option<Generation>, Unnamed> {
        self.generations.current(&id.folder()).map_err(|error| damaged(id, &error))
    }

    fn generation(&self, id: &DiskId, disk: &DiskBoot, token: u64) -> Result<Generation, Unnamed> {
        let mode = match disk.mode {
            DiskMode::Ram => {
                let all = self.all();
                let memory = all.get(id).filter(|open| open.medium == Medium::Memory);
                let number = memory.map_or(1, |open| open.generation.number + 1);
                let same = memory.map(|open| open.generation).filter(|known| known.token == token);
                return Ok(same.unwrap_or(Generation { number, token }));
            }
            DiskMode::Persistent => Mode::Persistent,
            DiskMode::Reset => Mode::Reset,
            DiskMode::ResetAfter(age) => Mode::ResetAfter(age),
        };
        let named = self.generations.name(&id.folder(), mode, token, now_secs());
        named.map_err(|error| damaged(id, &error))
    }

    /// The disk that a name is of, if this server made the name.
    fn read(&self, name: &str) -> Option<Said> {
        let serving = self.serving.load();
        let config = &serving.config;
        let mut found = DiskId::of_target(name, config.disk_boots().map(|(boot, _)| boot));
        found.find_map(|(id, text)| {
            let (generation, check) = text.rsplit_once('-')?;
            let generation = Generation::parse(generation)?;
            let BootKind::Disk(disk) = &config.boot(id.boot()).kind else { return None };
            let media = [Medium::Files, Medium::Memory];
            let made_for = |medium: &Medium| same(check, &self.check(&id, *medium, generation));
            let medium = media.into_iter().find(made_for)?;
            Some(Said { id, disk: disk.clone(), generation, medium })
        })
    }

    fn target_name(&self, said: &Said) -> String {
        let Said { id, generation, medium, .. } = said;
        id.target(&format!("{generation}-{}", self.check(id, *medium, *generation)))
    }

    fn check(&self, id: &DiskId, medium: Medium, generation: Generation) -> String {
        let run: &[u8] = if medium == Medium::Memory { &self.run } else { &[] };
        let parts = [id.folder(), generation.to_string()];
        let bytes = self.tokens.derive(Purpose::DiskName, &[parts[0].as_bytes(), parts[1].as_bytes(), run]);
        format!("{:016x}", number(bytes))
    }

    fn secret(&self, target: &str) -> String {
        let bytes = self.tokens.derive(Purpose::DiskSecret, &[target.as_bytes()]);
        let chars = bytes.iter().take(SECRET_CHARS);
        chars.map(|byte| char::from(SECRET_ALPHABET[usize::from(byte % 32)])).collect()
    }

    /// Keeps others from opening it.
    pub(super) fn turn(&self, id: &DiskId) -> MutexGuard<'_, ()> {
        let turn = usize::try_from(number_of(id) % TURNS as u64).unwrap_or_default();
        self.turns[turn].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> MutexGuard<'_, HashMap<DiskId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of a machine's disks for one boot of it.
#[derive(Debug)]
pub struct NamedFor {
    disks: Arc<MachineDisks>,
    taker: Taker,
    token: u64,
}

impl DiskNames for NamedFor {
    fn name(&self, id: &DiskId, disk: &DiskBoot) -> Result<NamedDisk, Unnamed> {
        let generation = self.disks.generation(id, disk, self.token)?;
        let medium = Medium::from(disk.mode);
        let said = Said { id: id.clone(), disk: disk.clone(), generation, medium };
        // What a login would not find is told now, on the machine's screen.
        self.disks.image(&said)?;
        self.disks.tell(id, self.taker);
        let target = self.disks.target_name(&said);
        let secret = Secret::new(self.disks.secret(&target));
        Ok(NamedDisk { target, secret })
    }
}

/// Of a server that was started when there were no disks to serve.
#[derive(Debug)]
pub struct NotServed;

impl DiskNames for NotServed {
    fn name(&self, _id: &DiskId, _disk: &DiskBoot) -> Result<NamedDisk, Unnamed> {
        let why =
            "the server was started before the config had a disk, and has to be started again to serve one";
        Err(Unnamed::Never(why.to_owned()))
    }
}

/// Opens a disk, whose generation is made if this is the first login to it.
fn disk_of(generations: &Generations, said: &Said, image: Arc<Image>) -> Result<Disk, Refusal> {
    let Said { id, disk, generation, medium } = said;
    let size = image.size();
    let space = disk.space.map_or(Space::Unlimited, Space::Quota);
    let opened = match medium {
        Medium::Memory => Overlay::in_memory(image, size, space),
        Medium::Files => generations.login(&id.folder(), *generation, image, size, space, now_secs()),
    };
    opened.map(Disk::from).map_err(|error| {
        tracing::warn!(machine = id.machine(), boot = %id.boot(), "a disk cannot be opened: {error}");
        if matches!(error, Error::Superseded) { Refusal::NotFound } else { Refusal::Unavailable }
    })
}

fn damaged(id: &DiskId, error: &Error) -> Unnamed {
    Unnamed::Never(format!("the disk of {} cannot be used: {error}", id.machine()))
}

/// Without telling by its time how much of it is right.
fn same(said: &str, right: &str) -> bool {
    let differing = said.bytes().zip(right.bytes()).fold(0, |sum, (one, other)| sum | (one ^ other));
    said.len() == right.len() && differing == 0
}

/// The same for a disk, and for few others.
fn number_of(id: &DiskId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn number(bytes: [u8; 32]) -> u64 {
    bytes[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn now_secs() -> u64 {
    crate::hub::now().0.cast_unsigned() / 1000
}

/// Durable, for nobody else to read.
fn make_folder(folder: &Path, state_dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| File::open(state_dir)?.sync_all()),
    }
}
