//! Reservations: persistent ones (SPC-4 section 5.13) and those of RESERVE (SPC-2 section 5.5.1).

mod change;
mod report;

pub(super) use change::{Change, Notice, Tasks};

use super::command::{Command, Motor};
use super::nexus::{InitiatorPort, NexusId};

/// TYPE of a persistent reservation (SPC-4 table 215).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    WriteExclusive = 1,
    ExclusiveAccess = 3,
    WriteExclusiveRegistrants = 5,
    ExclusiveAccessRegistrants = 6,
    WriteExclusiveAll = 7,
    ExclusiveAccessAll = 8,
}

impl Kind {
    fn of(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::WriteExclusive,
            3 => Self::ExclusiveAccess,
            5 => Self::WriteExclusiveRegistrants,
            6 => Self::ExclusiveAccessRegistrants,
            7 => Self::WriteExclusiveAll,
            8 => Self::ExclusiveAccessAll,
            _ => return None,
        })
    }

    /// Everybody who is registered holds it.
    fn is_of_all(self) -> bool {
        matches!(self, Self::WriteExclusiveAll | Self::ExclusiveAccessAll)
    }

    /// Everybody who is registered may do everything.
    fn admits_registrants(self) -> bool {
        !matches!(self, Self::WriteExclusive | Self::ExclusiveAccess)
    }

    /// Everybody may read.
    fn admits_reads(self) -> bool {
        matches!(self, Self::WriteExclusive | Self::WriteExclusiveRegistrants | Self::WriteExclusiveAll)
    }
}

#[derive(Clone, Debug)]
struct Registration {
    port: InitiatorPort,
    key: u64,
}

/// The persistent reservation there is. `holder` made it and is registered; it means nothing with
/// [`Kind::is_of_all`], where it may be gone while others hold on.
#[derive(Clone, Debug)]
struct Reservation {
    kind: Kind,
    holder: InitiatorPort,
}

/// All reservations of a logical unit.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// PRGENERATION: counts changes.
    generation: u32,
    /// One for each port at most, in the order in which they came.
    registrations: Vec<Registration>,
    /// There is none while nobody is registered.
    persistent: Option<Reservation>,
    /// Who holds a reservation of RESERVE; there is none while somebody is registered.
    simple: Option<NexusId>,
}

/// What a command does, as reservations see it (SPC-4 table 65, SBC-3 table 14).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Nothing that a reservation protects.
    Nothing,
    /// It reads.
    Read,
    /// It writes, or changes how others see the disk.
    Write,
}

fn use_of(command: &Command) -> Use {
    match command {
        Command::TestUnitReady
        | Command::RequestSense { .. }
        | Command::Inquiry { .. }
        | Command::ReadCapacity10
        | Command::ReadCapacity16 { .. }
        | Command::ReportLuns { .. }
        | Command::StartStop(Motor::Start)
        | Command::PersistentIn { .. }
        // These have rules of their own.
        | Command::PersistentOut { .. }
        | Command::Reserve
        | Command::Release => Use::Nothing,
        Command::Read(_)
        | Command::Verify(..)
        | Command::Prefetch(_)
        | Command::GetLbaStatus { .. }
        | Command::ModeSense(_)
        | Command::ReportOperations { .. }
        | Command::ReportTaskManagement { .. } => Use::Read,
        Command::Write(..)
        | Command::WriteVerify(..)
        | Command::OrWrite(..)
        | Command::CompareAndWrite(..)
        | Command::WriteSame(..)
        | Command::Unmap { .. }
        | Command::SynchronizeCache(_)
        | Command::ModeSelect { .. }
        | Command::StartStop(Motor::Other) => Use::Write,
    }
}

impl Reservations {
    /// Whether a reservation keeps this nexus from that command.
    pub(super) fn forbid(&self, command: &Command, nexus: NexusId, port: &InitiatorPort) -> bool {
        self.simple_forbids(command, nexus) || self.persistent_forbids(command, port)
    }

    fn simple_forbids(&self, command: &Command, nexus: NexusId) -> bool {
        let Some(holder) = self.simple else { return false };
        match command {
            Command::Inquiry { .. }
            | Command::ReportLuns { .. }
            | Command::RequestSense { .. }
            | Command::Release => false,
            // The two kinds of reservations do not mix.
            Command::PersistentIn { .. } | Command::PersistentOut { .. } => true,
            _ => holder != nexus,
        }
    }

    fn persistent_forbids(&self, command: &Command, port: &InitiatorPort) -> bool {
        if matches!(command, Command::Reserve | Command::Release) {
            return !self.registrations.is_empty();
        }
        let Some(reservation) = &self.persistent else { return false };
        let kind = reservation.kind;
        let free = match use_of(command) {
            Use::Nothing => true,
            Use::Read => kind.admits_reads(),
            Use::Write => false,
        };
        let admitted =
            if kind.admits_registrants() { self.key_of(port).is_some() } else { reservation.holder == *port };
        !free && !admitted
    }

    /// RESERVE, which [`Self::forbid`] let pass.
    pub(super) fn reserve(&mut self, nexus: NexusId) {
        self.simple = Some(nexus);
    }

    /// RELEASE; of somebody else's it means nothing.
    pub(super) fn release(&mut self, nexus: NexusId) {
        self.simple.take_if(|holder| *holder == nexus);
    }

    /// The session of a nexus is over.
    pub(super) fn forget(&mut self, nexus: NexusId) {
        self.release(nexus);
    }

    /// A reset frees what RESERVE took; the persistent ones are called so because of that.
    pub(super) fn reset(&mut self) {
        self.simple = None;
    }

    fn key_of(&self, port: &InitiatorPort) -> Option<u64> {
        self.registrations.iter().find(|known| known.port == *port).map(|known| known.key)
    }

    fn holds(&self, port: &InitiatorPort) -> bool {
        self.persistent.as_ref().is_some_and(|reservation| {
            if reservation.kind.is_of_all() {
                self.key_of(port).is_some()
            } else {
                reservation.holder == *port
            }
        })
    }
}
