//! Commands between their arrival and their answer, and the data that they wait for.

use super::limits::SOLICITED_BYTES_MAX;
use super::params::Parameters;
use super::pdu::{Header, NO_TAG};
use crate::scsi::{Cdb, DataOut, Transfer};

/// An initiator task tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task(pub u32);

/// A command as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// By what it is answered.
    pub task: Task,
    /// Tells it from other commands of the session, also from a later one with the same tag.
    pub number: u64,
    /// Its logical unit.
    pub lun: [u8; 8],
    /// What it asks for.
    pub cdb: Cdb,
    /// The bytes that the initiator will send, 0 if it sends none.
    pub announced_out: u32,
    /// The bytes that it has room for, 0 if it takes none.
    pub announced_in: u32,
}

/// Whether a command has all its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    /// It has: start it.
    Whole,
    /// It has not: an event will tell.
    Waiting,
}

/// What was wrong with the data of a command, which now has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They came in another order, or other ones than were asked for.
    Sequence,
    /// Fewer came unasked than had to.
    TooFewUnasked,
}

/// Task management functions that concern more than one command (RFC 7143, section 11.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// ABORT TASK SET: the commands of this session.
    AbortTaskSet,
    /// CLEAR TASK SET: the commands of all.
    ClearTaskSet,
    /// LOGICAL UNIT RESET.
    UnitReset,
    /// TARGET WARM RESET and TARGET COLD RESET.
    TargetReset,
}

/// What a task management function comes to (section 11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ManagementResponse {
    /// It is done.
    Complete = 0,
    /// There is no such command, any more or yet.
    NoTask = 1,
    /// There is no such logical unit.
    NoUnit = 2,
    /// TASK REASSIGN is for error recovery level 2.
    NoReassignment = 4,
    /// It is not supported.
    NotSupported = 5,
}

/// What comes of a PDU with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// More will come.
    Waiting,
    /// This sequence is over; the next one has to be asked for.
    Ask,
    /// All are there.
    Whole,
    /// The command is to fail.
    Fault(Fault),
}

/// Where the data of a command come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// They come behind the command; this is the next DataSN.
    Unasked(u32),
    /// They will be asked for as soon as there is room.
    Queued,
    /// They were asked for.
    Asked(Burst),
    /// No more are needed.
    Over,
}

/// One sequence that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Burst {
    tag: u32,
    data_number: u32,
    end: u64,
}

/// What an R2T says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) task: Task,
    pub(super) lun: [u8; 8],
    pub(super) tag: u32,
    pub(super) number: u32,
    pub(super) offset: u32,
    pub(super) bytes: u32,
}

/// A command.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) request: Request,
    /// What its CDB says; known once the service told.
    pub(super) transfer: Transfer,
    buffer: Vec<u8>,
    /// Bytes that came, of which `buffer` keeps no more than `wanted`.
    received: u64,
    wanted: u64,
    flow: Flow,
    asks: u32,
    /// It was let in to ask: its data count against the limit.
    granted: bool,
}

/// The commands of a session.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    entries: Vec<Entry>,
    /// The last target transfer tag.
    tag: u32,
}

impl Entry {
    /// Of a command with its immediate data; `more` when others come behind it unasked, `unasked` bytes with those.
    pub(super) fn new(request: Request, data: &[u8], more: bool, unasked: usize) -> Self {
        let mut buffer = Vec::with_capacity(unasked);
        buffer.extend_from_slice(data);
        Self {
            request,
            transfer: Transfer::None,
            buffer,
            received: data.len() as u64,
            wanted: u64::from(request.announced_out),
            flow: if more { Flow::Unasked(0) } else { Flow::Queued },
            asks: 0,
            granted: false,
        }
    }

    /// All that came, for the command to be started.
    pub(super) fn data(&self) -> DataOut<'_> {
        DataOut { announced: u64::from(self.request.announced_out), bytes: &self.buffer }
    }

    fn whole(&self) -> bool {
        self.received >= self.wanted
    }

    fn receive(&mut self, header: &Header, data: &[u8], parameters: &Parameters) -> Arrival {
        let first_burst = u64::from(parameters.first_burst_max.min(self.request.announced_out));
        let (number, end) = match &mut self.flow {
            Flow::Unasked(number) if header.tag() == NO_TAG => (number, first_burst),
            Flow::Asked(burst) if header.tag() == burst.tag => (&mut burst.data_number, burst.end),
            // What was asked for by nobody, or comes late.
            _ => return Arrival::Fault(Fault::Sequence),
        };
        let in_order = header.data_number() == *number && u64::from(header.offset()) == self.received;
        if !in_order || self.received + data.len() as u64 > end {
            return Arrival::Fault(Fault::Sequence);
        }
        *number += 1;
        let keep = (self.wanted.saturating_sub(self.received)).min(data.len() as u64) as usize;
        self.buffer.extend_from_slice(&data[..keep]);
        self.received += data.len() as u64;
        let sequence_over = header.last();
        match self.flow {
            Flow::Asked(_) if sequence_over != (self.received == end) => Arrival::Fault(Fault::Sequence),
            Flow::Unasked(_) if sequence_over && !self.whole() && self.received < first_burst => {
                Arrival::Fault(Fault::TooFewUnasked)
            }
            _ if !sequence_over => Arrival::Waiting,
            _ if self.whole() => {
                self.flow = Flow::Over;
                Arrival::Whole
            }
            _ => {
                self.flow = Flow::Queued;
                Arrival::Ask
            }
        }
    }
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of data that came unasked, or have room because they will.
    pub(super) fn unasked_bytes(&self) -> u64 {
        let ungranted = self.entries.iter().filter(|entry| !entry.granted);
        ungranted.map(|entry| entry.buffer.capacity() as u64).sum()
    }

    pub(super) fn get(&self, task: Task) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.request.task == task)
    }

    fn get_mut(&mut self, task: Task) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.request.task == task)
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    pub(super) fn remove(&mut self, task: Task) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.request.task == task)?;
        Some(self.entries.remove(at))
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// The service knows how much a command moves.
    pub(super) fn expect(&mut self, task: Task, transfer: Transfer) -> Collected {
        let Some(entry) = self.get_mut(task) else { return Collected::Whole };
        entry.transfer = transfer;
        let wanted = if let Transfer::Out(bytes) = transfer { bytes } else { 0 };
        entry.wanted = wanted.min(u64::from(entry.request.announced_out));
        let wanted = usize::try_from(entry.wanted).unwrap_or(usize::MAX);
        entry.buffer.truncate(wanted);
        entry.buffer.shrink_to(wanted);
        // What comes unasked has to be swallowed even where nobody wants it; a command that wants nothing does not
        // wait for that.
        if entry.wanted == 0 || (entry.whole() && !matches!(entry.flow, Flow::Unasked(_))) {
            entry.flow = Flow::Over;
            return Collected::Whole;
        }
        Collected::Waiting
    }

    /// Of no use any more are the data of a command that only waits for its answer: others may have the room.
    pub(super) fn forget_data(&mut self, task: Task) {
        if let Some(entry) = self.get_mut(task) {
            entry.buffer = Vec::new();
            entry.granted = false;
            entry.flow = Flow::Over;
        }
    }

    /// Takes data. `None` for a command that is not there any more, whose data are of no use to anybody.
    pub(super) fn receive(
        &mut self,
        header: &Header,
        data: &[u8],
        parameters: &Parameters,
    ) -> Option<Arrival> {
        let entry = self.get_mut(header.task())?;
        Some(entry.receive(header, data, parameters))
    }

    /// Whose data are to be asked for next: in the order of the commands, as long as there is room. Nothing overtakes one
    /// for which there is none yet, or many short ones would keep a long one waiting for ever.
    fn next_to_ask(&self) -> Option<usize> {
        let held: u64 = self.entries.iter().filter(|entry| entry.granted).map(|entry| entry.wanted).sum();
        let room = |wanted: u64| held == 0 || held + wanted <= SOLICITED_BYTES_MAX;
        let asks = |entry: &Entry| {
            entry.flow == Flow::Queued && matches!(entry.transfer, Transfer::Out(_)) && !entry.whole()
        };
        let first = self.entries.iter().position(|entry| asks(entry) && !entry.granted);
        let mut entries = self.entries.iter().enumerate();
        entries
            .position(|(at, entry)| asks(entry) && (entry.granted || Some(at) == first && room(entry.wanted)))
    }

    /// The next sequence that is to be asked for.
    pub(super) fn next_ask(&mut self, burst_max: u32) -> Option<Ask> {
        let at = self.next_to_ask()?;
        self.tag = if self.tag.wrapping_add(1) == NO_TAG { 0 } else { self.tag.wrapping_add(1) };
        let tag = self.tag;
        let entry = &mut self.entries[at];
        if !entry.granted {
            entry.granted = true;
            let left = entry.wanted.saturating_sub(entry.buffer.len() as u64);
            entry.buffer.reserve_exact(usize::try_from(left).unwrap_or(0));
        }
        let bytes = (entry.wanted - entry.received).min(u64::from(burst_max));
        entry.flow = Flow::Asked(Burst { tag, data_number: 0, end: entry.received + bytes });
        let number = entry.asks;
        entry.asks += 1;
        Some(Ask {
            task: entry.request.task,
            lun: entry.request.lun,
            tag,
            number,
            // Both are parts of an expected data transfer length, which has 32 bits.
            offset: entry.received as u32,
            bytes: bytes as u32,
        })
    }
}
