//! The logical unit: it holds commands against the disk, its reservations and its attentions.

use super::cdb::{Cdb, decode};
use super::command::{Command, InquiryPage};
use super::identity::{Access, Disk};
use super::limits::NEXUSES_MAX;
use super::mode::{Modes, Protect};
use super::nexus::{InitiatorPort, Nexus, NexusId};
use super::reservation::{Change, Notice, Reservations, Tasks};
use super::sense::{Detail, Reason, Sense, SenseFormat, Status};
use super::step::{DataOut, Io, IoResult, Outcome, Step, Transfer};
use super::{blocks, inquiry, opcode, report};

/// A disk with all that initiators have told it.
#[derive(Debug)]
pub struct Lun {
    disk: Disk,
    modes: Modes,
    nexuses: Vec<Nexus>,
    /// Numbers the nexuses; 64 bits last.
    attached: u64,
    reservations: Reservations,
    /// Nexuses whose commands have to be aborted.
    aborts: Vec<NexusId>,
}

/// What was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// LOGICAL UNIT RESET.
    Unit,
    /// TARGET WARM RESET and TARGET COLD RESET.
    Target,
}

/// What stands in the way of a command before it is looked at closely.
enum Obstacle {
    Sense(Sense),
    Conflict,
}

impl From<Sense> for Obstacle {
    fn from(sense: Sense) -> Self {
        Self::Sense(sense)
    }
}

impl Lun {
    /// A disk that nobody uses yet.
    pub fn new(disk: Disk) -> Self {
        Self {
            disk,
            modes: Modes::default(),
            nexuses: Vec::new(),
            attached: 0,
            reservations: Reservations::default(),
            aborts: Vec::new(),
        }
    }

    /// What it is.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Begins a session of `port`, which hears of that by a unit attention at its first command. `None` when there
    /// are [`NEXUSES_MAX`].
    pub fn attach(&mut self, port: InitiatorPort) -> Option<NexusId> {
        if self.nexuses.len() >= NEXUSES_MAX {
            return None;
        }
        self.attached += 1;
        let id = NexusId(self.attached);
        self.nexuses.push(Nexus::new(id, port));
        Some(id)
    }

    /// Ends a session: what it reserved by RESERVE is free, persistent reservations stay.
    pub fn detach(&mut self, nexus: NexusId) {
        self.nexuses.retain(|known| known.id != nexus);
        self.aborts.retain(|known| *known != nexus);
        self.reservations.forget(nexus);
    }

    /// How much data a command moves. It is [`Transfer::None`] where the CDB alone says that it must fail, so that
    /// nobody waits for data, or makes room for them, in vain.
    pub fn expected(&self, lun: [u8; 8], cdb: &Cdb) -> Transfer {
        let Ok(command) = decode(cdb) else { return Transfer::None };
        if self.check(&command).is_err() {
            return Transfer::None;
        }
        match blocks::transfer(&command, &self.disk) {
            Transfer::Out(_) if !is_disk(lun) => Transfer::None,
            transfer => transfer,
        }
    }

    /// Does a command, or says what has to be done for it. `lun` is the LUN field of the PDU; 0 is the disk. A
    /// nexus that is not attached is not served, and data that did not come whole change nothing.
    pub fn start(&mut self, nexus: NexusId, lun: [u8; 8], cdb: &Cdb, data: DataOut<'_>) -> Step {
        let Some(at) = self.nexuses.iter().position(|known| known.id == nexus) else {
            return Step::Done(self.failed(Reason::TargetFailure.into()));
        };
        if !is_disk(lun) {
            return Step::Done(self.absent(cdb));
        }
        match self.admit(at, cdb) {
            Ok(command) => {
                self.execute(at, command, data).unwrap_or_else(|sense| Step::Done(self.failed(sense)))
            }
            Err(Obstacle::Sense(sense)) => Step::Done(self.failed(sense)),
            Err(Obstacle::Conflict) => Step::Done(Outcome::bare(Status::ReservationConflict)),
        }
    }

    /// What a command comes to whose [`Io`] ended so. A result that does not belong to it is a failure of the target.
    pub fn finish(&self, io: &Io, result: &IoResult) -> Outcome {
        match (io, result) {
            (_, IoResult::Failed(error)) => {
                let (reason, block) = error.reason();
                let detail = block.map_or(Detail::None, Detail::Information);
                self.failed(Sense { reason, detail })
            }
            (_, IoResult::Miscompare(offset)) => {
                self.failed(Sense { reason: Reason::Miscompare, detail: Detail::Information(*offset) })
            }
            (Io::LbaStatus { extent, runs_max, allocation }, IoResult::LbaStatus(runs)) => {
                cut(report::lba_status(*extent, runs, *runs_max), *allocation)
            }
            (Io::LbaStatus { .. }, IoResult::Done) | (_, IoResult::LbaStatus(_)) => {
                self.failed(Reason::TargetFailure.into())
            }
            (_, IoResult::Done) => Outcome::good(Vec::new()),
        }
    }

    /// A command that the service or the transport gives up on.
    pub fn refuse(&self, reason: Reason) -> Outcome {
        self.failed(reason.into())
    }

    /// After a reset: all nexuses hear of it, what RESERVE reserved is free, modes are as at the start. The service
    /// aborts the commands itself.
    pub fn reset(&mut self, what: Reset) {
        let reason = match what {
            Reset::Unit => Reason::UnitReset,
            Reset::Target => Reason::TargetReset,
        };
        self.modes = Modes::default();
        self.reservations.reset();
        self.nexuses.iter_mut().for_each(|nexus| nexus.reset(reason));
    }

    /// After CLEAR TASK SET by one nexus: the others, whose commands are gone, hear of it.
    pub fn task_set_cleared(&mut self, by: NexusId) {
        self.others(by, Reason::CommandsCleared);
    }

    /// A nexus whose commands the service has to abort without an answer, because another one preempted it.
    pub fn poll_abort(&mut self) -> Option<NexusId> {
        self.aborts.pop()
    }

    /// Decodes, and refuses what unit attentions and reservations forbid.
    fn admit(&mut self, at: usize, cdb: &Cdb) -> Result<Command, Obstacle> {
        let nexus = &mut self.nexuses[at];
        if !opcode::ignores_attentions(cdb[0])
            && let Some(reason) = nexus.take_attention()
        {
            return Err(Sense::from(reason).into());
        }
        let command = decode(cdb)?;
        if self.reservations.forbid(&command, nexus.id, &nexus.port) {
            return Err(Obstacle::Conflict);
        }
        self.check(&command)?;
        Ok(command)
    }

    /// What the CDB and the disk say about a command, whoever sends it.
    fn check(&self, command: &Command) -> Result<(), Sense> {
        blocks::check(command, &self.disk)?;
        let protected = self.disk.access == Access::ReadOnly || self.modes.protect == Protect::On;
        if protected && blocks::writes(command) {
            return Err(Reason::WriteProtected.into());
        }
        Ok(())
    }

    fn execute(&mut self, at: usize, command: Command, data: DataOut<'_>) -> Result<Step, Sense> {
        let disk = &self.disk;
        Ok(Step::Done(match command {
            Command::TestUnitReady | Command::StartStop(_) | Command::Prefetch(_) => {
                Outcome::good(Vec::new())
            }
            Command::RequestSense { format, allocation } => {
                let reason = self.nexuses[at].take_attention().unwrap_or(Reason::Nothing);
                cut(Sense::from(reason).encode(format), allocation)
            }
            Command::Inquiry { page: InquiryPage::Standard, allocation } => {
                cut(inquiry::standard(disk), allocation)
            }
            Command::Inquiry { page: InquiryPage::Vital(page), allocation } => {
                cut(inquiry::vital(page, disk)?, allocation)
            }
            Command::ModeSense(asked) => cut(self.modes.sense(asked, disk)?, asked.allocation),
            Command::ModeSelect { header, length } => {
                self.change_modes(at, self.modes.select(header, list(data, length)?, disk)?);
                Outcome::good(Vec::new())
            }
            Command::ReadCapacity10 => Outcome::good(report::capacity_10(disk)),
            Command::ReadCapacity16 { allocation } => cut(report::capacity_16(disk), allocation),
            Command::ReportLuns { select, allocation } => cut(report::luns(select), allocation),
            Command::ReportOperations { which, timeouts, allocation } => {
                cut(opcode::report(which, timeouts, disk.provisioning)?, allocation)
            }
            Command::ReportTaskManagement { extended, allocation } => {
                cut(report::task_management(extended), allocation)
            }
            Command::Reserve => {
                self.reservations.reserve(self.nexuses[at].id);
                Outcome::good(Vec::new())
            }
            Command::Release => {
                self.reservations.release(self.nexuses[at].id);
                Outcome::good(Vec::new())
            }
            Command::PersistentIn { action, allocation } => cut(self.reservations.report(action), allocation),
            Command::PersistentOut { action, scope_and_type, length } => {
                let list = list(data, length)?;
                let nexus = &self.nexuses[at];
                match self.reservations.change(action, scope_and_type, list, &nexus.port)? {
                    Change::Made(notices) => {
                        self.notify(&notices);
                        Outcome::good(Vec::new())
                    }
                    Change::Conflict => Outcome::bare(Status::ReservationConflict),
                }
            }
            _ => return blocks::io(&command, disk, data),
        }))
    }

    fn change_modes(&mut self, at: usize, modes: Modes) {
        if self.modes != modes {
            self.modes = modes;
            self.others(self.nexuses[at].id, Reason::ModeChanged);
        }
    }

    fn others(&mut self, but: NexusId, reason: Reason) {
        self.nexuses.iter_mut().filter(|nexus| nexus.id != but).for_each(|nexus| nexus.attention(reason));
    }

    /// Passes on what a change of reservations means for others: all sessions of their ports hear of it.
    fn notify(&mut self, notices: &[Notice]) {
        for notice in notices {
            for nexus in self.nexuses.iter_mut().filter(|nexus| nexus.port == notice.port) {
                nexus.attention(notice.reason);
                if notice.tasks == Tasks::Abort && !self.aborts.contains(&nexus.id) {
                    self.aborts.push(nexus.id);
                }
            }
        }
    }

    fn failed(&self, sense: Sense) -> Outcome {
        Outcome { status: Status::CheckCondition, sense: sense.encode(self.modes.sense), data_in: Vec::new() }
    }

    /// Commands to a logical unit that is not there (SPC-4 sections 6.6.2 and 6.39): it still answers what finds
    /// out which ones are.
    fn absent(&self, cdb: &Cdb) -> Outcome {
        let missing = Sense::from(Reason::NoLogicalUnit);
        match decode(cdb) {
            Ok(Command::Inquiry { page: InquiryPage::Standard, allocation }) => {
                cut(inquiry::absent(&self.disk), allocation)
            }
            Ok(Command::ReportLuns { select, allocation }) => cut(report::luns(select), allocation),
            Ok(Command::RequestSense { format, allocation }) => cut(missing.encode(format), allocation),
            _ => Outcome {
                status: Status::CheckCondition,
                sense: missing.encode(SenseFormat::Fixed),
                data_in: Vec::new(),
            },
        }
    }
}

/// Whether a LUN field says 0, in the peripheral or the flat form (SAM-5 section 4.7).
pub fn is_disk(lun: [u8; 8]) -> bool {
    matches!(lun, [0x00 | 0x40, 0, 0, 0, 0, 0, 0, 0])
}

/// The parameter list, which must be as long as the CDB says.
fn list(data: DataOut<'_>, length: u32) -> Result<&[u8], Sense> {
    data.bytes.get(..length as usize).ok_or(Reason::ParameterListLength.into())
}

/// Data to the initiator, as far as it has room.
fn cut(mut data: Vec<u8>, allocation: u32) -> Outcome {
    data.truncate(allocation as usize);
    Outcome::good(data)
}
