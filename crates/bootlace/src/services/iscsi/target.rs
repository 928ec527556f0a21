//! A target: its disk, and the sessions that use it.

use std::net::{Shutdown, TcpStream};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::{Context, Result};
use bootlace_core::config::{InitiatorPattern, IscsiTarget, TargetMode};
use bootlace_disk::{Access, BLOCK_BYTES, Disk, GRANULE_BYTES, ImageId, RawFile};
use bootlace_wire::iscsi::{
    Admission, Authentication, Chap, Credentials, Fault, Function, LoginRequest, ManagementResponse, Refusal,
    Request, Secret,
};
use bootlace_wire::scsi::{
    self, DataOut, Durability, Geometry, Identity, InitiatorPort, Io, Lun, NexusId, Outcome, Provisioning,
    Reason, Reset, Step, Transfer,
};
use sha2::{Digest as _, Sha256};

use super::perform;

const VENDOR: [u8; 8] = *b"BOOTLACE";
const PRODUCT: [u8; 16] = *b"DISK            ";
const REVISION: [u8; 4] = *b"0001";
/// Physical blocks of 4096 bytes, so that partitions are aligned to them.
const PHYSICAL_EXPONENT: u8 = 3;

/// How a target is seen, and by whom.
#[derive(Debug)]
pub(super) struct Traits {
    /// Its name.
    pub(super) name: String,
    /// What its serial number comes of: the same when the name is another one and the disk is not.
    pub(super) known_by: String,
    /// What an initiator has to prove.
    pub(super) authentication: Authentication,
    /// Who may use it; `None` is everybody.
    pub(super) initiators: Option<Vec<InitiatorPattern>>,
    pub(super) sharing: Sharing,
    pub(super) access: scsi::Access,
}

/// Who may use a target at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// One initiator, by one session.
    OneInitiator,
    /// Several.
    Shared,
}

/// One target with one disk.
#[derive(Debug)]
pub(super) struct Target {
    traits: Traits,
    disk: Disk,
    lun: Mutex<Lun>,
    /// Held alone by what must be atomic for the logical unit (COMPARE AND WRITE, ORWRITE).
    atomic: RwLock<()>,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    all: Vec<Arc<Session>>,
    /// No further one begins.
    closed: bool,
    /// Numbers the logins.
    logins: u64,
}

/// A session, as others see it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) nexus: NexusId,
    pub(super) port: InitiatorPort,
    /// The login that it began with: later ones have higher numbers.
    login: u64,
    stream: TcpStream,
    /// Held while a command is done: who ends the session has it alone.
    busy: RwLock<()>,
    over: AtomicBool,
    /// Grows when somebody else's task management has aborted its commands.
    aborts: AtomicU64,
}

/// What has become of a command.
#[derive(Debug)]
pub(super) enum Executed {
    /// It is over.
    Done(Outcome),
    /// It is a flush, or wrote what must be durable when it is answered: [`Target::flush`] is still to be done.
    Flush,
}

impl Session {
    /// How often its commands were aborted.
    pub(super) fn aborts(&self) -> u64 {
        self.aborts.load(Ordering::Acquire)
    }

    /// Ends it: none of its commands is done once this has returned, but for a flush, which changes nothing.
    fn end(&self) {
        self.over.store(true, Ordering::Release);
        // A connection that is closed already is what is wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.wait_idle();
    }

    /// Waits for the command that is being done.
    fn wait_idle(&self) {
        drop(self.busy.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Poison says that another thread has panicked; what it guards is whole after each statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traits {
    /// Of a target that the config names.
    fn of_config(config: &IscsiTarget) -> Result<Self> {
        Ok(Self {
            name: config.name.clone(),
            known_by: config.name.clone(),
            authentication: authentication(config.chap.as_ref())
                .with_context(|| format!("{}: the secret has a wrong length", config.name))?,
            initiators: config.initiators.clone(),
            sharing: if config.shared { Sharing::Shared } else { Sharing::OneInitiator },
            access: match config.mode {
                TargetMode::ReadOnly => scsi::Access::ReadOnly,
                TargetMode::ReadWrite => scsi::Access::ReadWrite,
            },
        })
    }
}

impl Target {
    /// Opens the file of a target.
    pub(super) fn open(config: &IscsiTarget) -> Result<Self> {
        let access = match config.mode {
            TargetMode::ReadOnly => Access::ReadOnly,
            TargetMode::ReadWrite => Access::ReadWrite,
        };
        let file = RawFile::open(&config.file, access)
            .with_context(|| format!("{} cannot have {}", config.name, config.file.display()))?;
        Ok(Self::new(Disk::File(file), Traits::of_config(config)?))
    }

    /// One that serves a disk.
    pub(super) fn new(disk: Disk, traits: Traits) -> Self {
        let lun = Mutex::new(Lun::new(scsi::Disk {
            geometry: Geometry {
                block_bytes: BLOCK_BYTES as u32,
                blocks: disk.size() / BLOCK_BYTES,
                physical_exponent: PHYSICAL_EXPONENT,
            },
            identity: identity(&traits),
            provisioning: Provisioning::Thin { granule_blocks: (GRANULE_BYTES / BLOCK_BYTES) as u32 },
            access: traits.access,
        }));
        Self { traits, disk, lun, atomic: RwLock::default(), sessions: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.traits.name
    }

    /// Whether an initiator may use it, and so see it.
    pub(super) fn admits(&self, initiator: &str) -> bool {
        let patterns = self.traits.initiators.as_ref();
        patterns.is_none_or(|list| list.iter().any(|pattern| pattern.matches(initiator)))
    }

    /// What an initiator that may use it has to do for that.
    pub(super) fn admission(&self) -> Admission {
        Admission {
            authentication: self.traits.authentication.clone(),
            targets: vec![self.traits.name.clone()],
        }
    }

    /// Ends all sessions, and lets none begin any more.
    pub(super) fn close(&self) {
        let ended: Vec<_> = {
            let mut sessions = lock(&self.sessions);
            sessions.closed = true;
            std::mem::take(&mut sessions.all)
        };
        for session in ended {
            session.end();
            lock(&self.lun).detach(session.nexus);
        }
    }

    /// Closes it for one that takes its disk's place.
    pub(super) fn retire(&self) {
        self.close();
        self.disk.retire();
    }

    /// Closes it if nobody uses it; whether it is closed.
    pub(super) fn close_idle(&self) -> bool {
        let mut sessions = lock(&self.sessions);
        sessions.closed |= sessions.all.is_empty();
        sessions.closed
    }

    /// Whether somebody has it.
    pub(super) fn is_in_use(&self) -> bool {
        !lock(&self.sessions).all.is_empty()
    }

    /// Bytes of its disk, bytes of what was written over an image, and that image.
    pub(super) fn kept(&self) -> (u64, u64, Option<ImageId>) {
        match &self.disk {
            Disk::Overlay(overlay) => (overlay.size(), overlay.used(), Some(overlay.image_id())),
            disk => (disk.size(), 0, None),
        }
    }

    /// Makes durable what was written.
    pub(super) fn sync(&self) -> bootlace_disk::Result<()> {
        self.disk.flush()
    }

    /// Begins a session. One of the same initiator port ends, and, unless the target is shared, every other one of the
    /// same initiator: a machine that was switched off has not said so. The other commands of this disk go on.
    pub(super) fn begin(&self, who: &LoginRequest, stream: TcpStream) -> Result<Arc<Session>, Refusal> {
        self.begin_as(self.next_login(), who, stream)
    }

    fn next_login(&self) -> u64 {
        let mut sessions = lock(&self.sessions);
        sessions.logins += 1;
        sessions.logins
    }

    fn begin_as(&self, login: u64, who: &LoginRequest, stream: TcpStream) -> Result<Arc<Session>, Refusal> {
        let port = InitiatorPort { name: who.initiator.clone(), isid: who.isid };
        loop {
            let older: Vec<_> = {
                let mut sessions = lock(&self.sessions);
                let alone = self.traits.sharing == Sharing::OneInitiator;
                let others = sessions.all.iter().any(|session| session.port.name != port.name);
                let ends = |session: &&Arc<Session>| session.port == port || alone;
                // Who came while this one waited is what the machine is now.
                let overtaken = sessions.all.iter().filter(ends).any(|session| session.login > login);
                if sessions.closed || (alone && others) || overtaken {
                    return Err(Refusal::Unavailable);
                }
                let older: Vec<_> = sessions.all.iter().filter(ends).map(Arc::clone).collect();
                if older.is_empty() {
                    let session = self.attach(login, port, stream)?;
                    sessions.all.push(Arc::clone(&session));
                    return Ok(session);
                }
                older
            };
            // Without the lock, which a command that is being done may want. They stay known until they have ended: a
            // further login waits for them as well.
            for session in older {
                session.end();
                self.finish(&session);
            }
        }
    }

    fn attach(&self, login: u64, port: InitiatorPort, stream: TcpStream) -> Result<Arc<Session>, Refusal> {
        let nexus = lock(&self.lun).attach(port.clone()).ok_or(Refusal::OutOfResources)?;
        Ok(Arc::new(Session {
            nexus,
            port,
            login,
            stream,
            busy: RwLock::default(),
            over: AtomicBool::new(false),
            aborts: AtomicU64::new(0),
        }))
    }

    /// Forgets a session that has ended, or whose connection is over.
    pub(super) fn finish(&self, session: &Arc<Session>) {
        let mut sessions = lock(&self.sessions);
        if sessions.all.iter().any(|known| Arc::ptr_eq(known, session)) {
            sessions.all.retain(|known| !Arc::ptr_eq(known, session));
            lock(&self.lun).detach(session.nexus);
        }
    }

    /// How much a command moves.
    pub(super) fn expected(&self, request: &Request) -> Transfer {
        lock(&self.lun).expected(request.lun, &request.cdb)
    }

    /// Does a command, all but its flush; what it reads is in `read`. `None` when the session is over.
    pub(super) fn execute(
        &self,
        session: &Session,
        request: &Request,
        data: DataOut<'_>,
        read: &mut Vec<u8>,
    ) -> Option<Executed> {
        let busy = session.busy.read().unwrap_or_else(PoisonError::into_inner);
        if session.over.load(Ordering::Acquire) {
            return None;
        }
        let (step, aborted) = {
            let mut lun = lock(&self.lun);
            let step = lun.start(session.nexus, request.lun, &request.cdb, data);
            let aborted: Vec<NexusId> = std::iter::from_fn(|| lun.poll_abort()).collect();
            (step, aborted)
        };
        let executed = match step {
            Step::Done(outcome) => {
                read.clear();
                Executed::Done(outcome)
            }
            Step::Io(Io::Flush) => Executed::Flush,
            Step::Io(io) => match self.perform(&io, data.bytes, read) {
                scsi::IoResult::Done if io.durability() == Durability::Stable => Executed::Flush,
                result => Executed::Done(lock(&self.lun).finish(&io, &result)),
            },
        };
        // Two sessions that abort each other's commands must not wait for each other.
        drop(busy);
        if !aborted.is_empty() {
            self.abort(|other| aborted.contains(&other.nexus));
        }
        Some(executed)
    }

    /// Makes durable what was written before. It changes nothing, so nobody waits for it: not who ends the session, and
    /// not the commands that must be alone, behind which all others would stand while the disk syncs.
    pub(super) fn flush(&self) -> Outcome {
        let result = perform::perform(&self.disk, &Io::Flush, &[], &mut Vec::new());
        lock(&self.lun).finish(&Io::Flush, &result)
    }

    /// What a command comes to whose data did not come as they had to.
    pub(super) fn faulty(&self, fault: Fault) -> Outcome {
        let reason = match fault {
            Fault::Sequence => Reason::ServiceDeliveryError,
            Fault::TooFewUnasked => Reason::TooLittleUnsolicitedData,
        };
        lock(&self.lun).refuse(reason)
    }

    /// Task management, but for the commands of the session itself.
    pub(super) fn manage(&self, session: &Session, function: Function, lun: [u8; 8]) -> ManagementResponse {
        let for_target = function == Function::TargetReset;
        if !for_target && !scsi::is_disk(lun) {
            return ManagementResponse::NoUnit;
        }
        let others = |other: &Session| other.nexus != session.nexus;
        match function {
            Function::AbortTaskSet => {}
            Function::ClearTaskSet => {
                lock(&self.lun).task_set_cleared(session.nexus);
                self.abort(others);
            }
            Function::UnitReset => {
                lock(&self.lun).reset(Reset::Unit);
                self.abort(others);
            }
            Function::TargetReset => {
                lock(&self.lun).reset(Reset::Target);
                self.abort(others);
            }
        }
        ManagementResponse::Complete
    }

    /// Has sessions forget their commands, and waits for those that are being done: whoever asked for it relies on
    /// nothing being written by them afterwards.
    fn abort(&self, which: impl Fn(&Session) -> bool) {
        let all = lock(&self.sessions).all.clone();
        let aborted: Vec<_> = all.into_iter().filter(|session| which(session)).collect();
        for session in &aborted {
            session.aborts.fetch_add(1, Ordering::Release);
        }
        // Without the lock. What begins meanwhile hears of a unit attention first, and does nothing.
        aborted.iter().for_each(|session| session.wait_idle());
    }

    fn perform(&self, io: &Io, data: &[u8], read: &mut Vec<u8>) -> scsi::IoResult {
        match io {
            Io::CompareAndWrite(..) | Io::OrWrite(..) => {
                let _alone = self.atomic.write().unwrap_or_else(PoisonError::into_inner);
                perform::perform(&self.disk, io, data, read)
            }
            _ => {
                let _beside_others = self.atomic.read().unwrap_or_else(PoisonError::into_inner);
                perform::perform(&self.disk, io, data, read)
            }
        }
    }
}

/// The same after each restart, and another one for each disk.
fn identity(traits: &Traits) -> Identity {
    let digest = Sha256::digest(traits.known_by.as_bytes());
    let naa = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)) >> 4;
    Identity {
        vendor: VENDOR,
        product: PRODUCT,
        revision: REVISION,
        serial: format!("{naa:015x}"),
        naa,
        target: traits.name.clone(),
    }
}

/// What a login of the config asks for; `None` when a secret has a length that no secret of ours has.
pub(super) fn authentication(chap: Option<&bootlace_core::config::Chap>) -> Option<Authentication> {
    let Some(chap) = chap else { return Some(Authentication::None) };
    let initiator = credentials(&chap.username, chap.password.expose())?;
    let target = match &chap.reverse {
        Some((name, secret)) => Some(credentials(name, secret.expose())?),
        None => None,
    };
    Some(Authentication::Chap(Chap { initiator, target }))
}

/// A login; `None` as for [`authentication`].
pub(super) fn credentials(name: &str, secret: &str) -> Option<Credentials> {
    Some(Credentials { name: name.to_owned(), secret: Secret::new(secret.as_bytes())? })
}

/// A session's number, which is never 0.
pub(super) fn next_tsih(counter: &AtomicU64) -> NonZeroU16 {
    let number = counter.fetch_add(1, Ordering::Relaxed) % u64::from(u16::MAX) + 1;
    u16::try_from(number).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests;
