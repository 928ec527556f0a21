//! The full feature phase: commands, data, task management, texts and logout (RFC 7143, sections 11.3 to 11.19).

use std::cmp::Ordering;
use std::time::Duration;

use super::connection::{Cause, Event, Portal, Wire};
use super::discovery;
use super::keys::Keys;
use super::limits::{COMMANDS_MAX, TEXT_BYTES_MAX, UNASKED_BYTES_MAX};
use super::login::{LoginRequest, SessionKind};
use super::params::{Allowed, Parameters};
use super::pdu::{Header, NO_TAG, Opcode, Pdu};
use super::reply::{Answer, Head, Rejection, StatusNumber, reject};
use super::task::{Arrival, Collected, Entry, Function, ManagementResponse, Request, Task, Tasks};
use crate::scsi::{DataOut, Outcome, Status, Transfer};

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    portal: Portal,
    parameters: Parameters,
    who: LoginRequest,
    targets: Vec<String>,
    tasks: Tasks,
    /// How many there were.
    commands: u64,
    /// A request in text that goes on.
    asked: Vec<u8>,
    /// An answer in text that goes on: what is left of it.
    told: Vec<u8>,
}

/// How a PDU fits into the sequence of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is next, or has no place.
    Fits,
    /// It lies outside of the window, and is as if it had not come.
    Outside,
    /// Something before it is missing, which cannot be with one connection.
    Gap,
}

/// Bits of the second byte of Data-In and SCSI Response.
const FINAL: u8 = 0x80;
const OVERFLOW: u8 = 0x04;
const UNDERFLOW: u8 = 0x02;
const WITH_STATUS: u8 = 0x01;

/// iPXE's ISIDs: its IANA number in the enterprise format, before two random bytes.
const IPXE_ISID: [u8; 4] = [0x40, 0x00, 0x27, 0x23];

impl Session {
    pub(super) fn new(
        portal: Portal,
        parameters: Parameters,
        who: LoginRequest,
        targets: Vec<String>,
    ) -> Self {
        Self {
            portal,
            parameters,
            who,
            targets,
            tasks: Tasks::default(),
            commands: 0,
            asked: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Whether nothing is sent that was not asked for: iPXE ends its session at any opcode that it does not know.
    pub(super) fn quiet(&self) -> bool {
        self.who.isid.starts_with(&IPXE_ISID)
    }

    pub(super) fn is_discovery(&self) -> bool {
        self.who.session == SessionKind::Discovery
    }

    /// Takes a PDU; a cause when that ends the connection.
    pub(super) fn handle(&mut self, wire: &mut Wire, pdu: &Pdu<'_>) -> Option<Cause> {
        let header = &pdu.header;
        if header.opcode() == Opcode::DataOut {
            return self.data_out(wire, pdu);
        }
        if header.opcode() == Opcode::Snack {
            return self.reject(wire, header, Rejection::Snack);
        }
        match self.place(wire, header) {
            Place::Fits => {}
            Place::Outside => return None,
            Place::Gap => return Some(Cause::Protocol),
        }
        match (header.opcode(), &self.who.session) {
            (Opcode::NopOut, _) => self.nop(wire, pdu),
            (Opcode::Text, _) => self.text(wire, pdu),
            (Opcode::Logout, _) => self.logout(wire, header),
            (Opcode::Command, SessionKind::Normal { .. }) => self.command(wire, pdu),
            (Opcode::TaskManagement, SessionKind::Normal { .. }) => self.manage(wire, header),
            (Opcode::Login, _) => Some(Cause::Protocol),
            _ => self.reject(wire, header, Rejection::NotSupported),
        }
    }

    pub(super) fn expect(&mut self, wire: &mut Wire, task: Task, transfer: Transfer) -> Collected {
        let collected = self.tasks.expect(task, transfer);
        self.ask(wire);
        collected
    }

    pub(super) fn data(&self, task: Task) -> DataOut<'_> {
        self.tasks.get(task).map_or(DataOut::NONE, Entry::data)
    }

    pub(super) fn forget_data(&mut self, wire: &mut Wire, task: Task) {
        self.tasks.forget_data(task);
        self.ask(wire);
    }

    pub(super) fn holds(&self, request: &Request) -> bool {
        self.tasks.get(request.task).is_some_and(|entry| entry.request == *request)
    }

    pub(super) fn respond(&mut self, wire: &mut Wire, task: Task, outcome: &Outcome, data: &[u8]) {
        let Some(entry) = self.tasks.remove(task) else { return };
        self.open_window(wire);
        let request = &entry.request;
        let sent = &data[..data.len().min(request.announced_in as usize)];
        let residual = residual(request, entry.transfer, outcome.status, data.len() as u64);
        // iPXE takes a status that comes with data as that of a transfer of the whole length.
        let collapse = outcome.status == Status::Good && residual == (0, 0) && !sent.is_empty();
        let pieces = self.data_in(wire, task, sent, collapse);
        if !collapse {
            self.response(wire, task, outcome, residual, pieces);
        }
        self.ask(wire);
    }

    /// Only what is done has an effect: a function may be for a logical unit that is not there.
    pub(super) fn managed(&mut self, wire: &mut Wire, task: Task, response: ManagementResponse) {
        if response == ManagementResponse::Complete {
            self.abort_all(wire);
        }
        Self::answer_management(wire, task, response);
    }

    fn answer_management(wire: &mut Wire, task: Task, response: ManagementResponse) {
        let head = Head::new(Answer::TaskManagement).byte(2, response as u8).word(16, task.0);
        wire.output.push(head, &mut wire.numbers, StatusNumber::Take, &[]);
    }

    pub(super) fn abort_all(&mut self, wire: &mut Wire) {
        self.tasks.clear();
        self.open_window(wire);
    }

    /// Asynchronous event 1 (section 11.9.1).
    pub(super) fn ask_logout(&mut self, wire: &mut Wire, within: Duration) {
        const REQUEST_LOGOUT: u8 = 1;
        if self.quiet() {
            return;
        }
        let seconds = u16::try_from(within.as_secs()).unwrap_or(u16::MAX).to_be_bytes();
        let head =
            Head::new(Answer::Asynchronous).word(16, NO_TAG).byte(36, REQUEST_LOGOUT).bytes(42, &seconds);
        wire.output.push(head, &mut wire.numbers, StatusNumber::Take, &[]);
    }

    fn place(&self, wire: &mut Wire, header: &Header) -> Place {
        let (number, numbers) = (header.command_number(), &mut wire.numbers);
        if header.immediate() {
            return Place::Fits;
        }
        if !number.within(numbers.command, numbers.command_max) {
            return Place::Outside;
        }
        if number != numbers.command {
            return Place::Gap;
        }
        numbers.command = number.plus(1);
        // A command takes the place that it frees.
        if header.opcode() != Opcode::Command {
            self.open_window(wire);
        }
        Place::Fits
    }

    /// MaxCmdSN: room for what is not being worked on. It never goes back (section 4.2.2.1).
    fn open_window(&self, wire: &mut Wire) {
        let numbers = &mut wire.numbers;
        let free = COMMANDS_MAX.saturating_sub(self.tasks.len() as u32);
        let max = numbers.command.plus(free.wrapping_sub(1));
        if max.order(numbers.command_max) == Ordering::Greater {
            numbers.command_max = max;
        }
    }

    fn reject(&self, wire: &mut Wire, header: &Header, reason: Rejection) -> Option<Cause> {
        if self.quiet() {
            return Some(Cause::Protocol);
        }
        self.open_window(wire);
        wire.output.push(reject(reason), &mut wire.numbers, StatusNumber::Take, &header.0);
        None
    }

    fn nop(&self, wire: &mut Wire, pdu: &Pdu<'_>) -> Option<Cause> {
        let task = pdu.header.task();
        // Without a task tag it is an answer to a ping, and asks for none.
        if task.0 != NO_TAG {
            let echo = &pdu.data[..pdu.data.len().min(self.parameters.segment_max as usize)];
            let head = Head::new(Answer::NopIn).bytes(8, &pdu.header.lun()).word(16, task.0).word(20, NO_TAG);
            wire.output.push(head, &mut wire.numbers, StatusNumber::Take, echo);
        }
        None
    }

    fn command(&mut self, wire: &mut Wire, pdu: &Pdu<'_>) -> Option<Cause> {
        const READ: u8 = 0x40;
        const WRITE: u8 = 0x20;
        let header = &pdu.header;
        let (reads, writes) = (header.0[1] & READ != 0, header.0[1] & WRITE != 0);
        if reads && writes {
            return self.reject(wire, header, Rejection::NotSupported);
        }
        if self.tasks.get(header.task()).is_some() {
            return self.reject(wire, header, Rejection::TaskInProgress);
        }
        let announced = header.announced();
        let request = Request {
            task: header.task(),
            number: self.commands,
            lun: header.lun(),
            cdb: header.array(32),
            announced_out: if writes { announced } else { 0 },
            announced_in: if reads { announced } else { 0 },
        };
        let more = !header.last();
        let first_max = self.parameters.first_burst_max.min(request.announced_out) as usize;
        let immediate = self.parameters.immediate == Allowed::Yes || pdu.data.is_empty();
        let unasked = self.parameters.unsolicited == Allowed::Yes && writes || !more;
        if !immediate || !unasked || pdu.data.len() > first_max {
            return Some(Cause::Protocol);
        }
        let unasked = if more { first_max } else { pdu.data.len() };
        let room = self.tasks.unasked_bytes() + unasked as u64 <= UNASKED_BYTES_MAX;
        if !room || self.tasks.len() >= COMMANDS_MAX as usize {
            self.refuse(wire, &request);
            return None;
        }
        self.commands += 1;
        self.tasks.insert(Entry::new(request, pdu.data, more, unasked));
        wire.events.push_back(Event::Command(request));
        None
    }

    /// TASK SET FULL. What is on its way of the command's data is of use to nobody.
    fn refuse(&self, wire: &mut Wire, request: &Request) {
        self.open_window(wire);
        let outcome = Outcome::bare(Status::TaskSetFull);
        let residual = residual(request, Transfer::None, outcome.status, 0);
        self.response(wire, request.task, &outcome, residual, 0);
    }

    fn data_out(&mut self, wire: &mut Wire, pdu: &Pdu<'_>) -> Option<Cause> {
        let task = pdu.header.task();
        match self.tasks.receive(&pdu.header, pdu.data, &self.parameters) {
            None | Some(Arrival::Waiting) => {}
            Some(Arrival::Ask) => self.ask(wire),
            Some(Arrival::Whole) => wire.events.push_back(Event::Data(task)),
            Some(Arrival::Fault(fault)) => wire.events.push_back(Event::Fault(task, fault)),
        }
        None
    }

    fn ask(&mut self, wire: &mut Wire) {
        while let Some(ask) = self.tasks.next_ask(self.parameters.burst_max) {
            let head = Head::new(Answer::ReadyToTransfer).bytes(8, &ask.lun).word(16, ask.task.0);
            let head = head.word(20, ask.tag).word(36, ask.number).word(40, ask.offset).word(44, ask.bytes);
            wire.output.push(head, &mut wire.numbers, StatusNumber::Tell, &[]);
        }
    }

    fn manage(&mut self, wire: &mut Wire, header: &Header) -> Option<Cause> {
        let task = header.task();
        let function = match header.0[1] & 0x7f {
            1 => {
                self.abort(wire, task, Task(header.tag()));
                return None;
            }
            2 => Function::AbortTaskSet,
            4 => Function::ClearTaskSet,
            5 => Function::UnitReset,
            6 | 7 => Function::TargetReset,
            8 => {
                Self::answer_management(wire, task, ManagementResponse::NoReassignment);
                return None;
            }
            _ => {
                Self::answer_management(wire, task, ManagementResponse::NotSupported);
                return None;
            }
        };
        wire.events.push_back(Event::Management { task, function, lun: header.lun() });
        None
    }

    /// ABORT TASK. The service hears of it before another command can have the same tag.
    fn abort(&mut self, wire: &mut Wire, task: Task, aborted: Task) {
        let response = match self.tasks.remove(aborted) {
            Some(_) => {
                wire.events.push_back(Event::Aborted(aborted));
                ManagementResponse::Complete
            }
            None => ManagementResponse::NoTask,
        };
        self.open_window(wire);
        Self::answer_management(wire, task, response);
        // Others may have the room for its data.
        self.ask(wire);
    }

    fn text(&mut self, wire: &mut Wire, pdu: &Pdu<'_>) -> Option<Cause> {
        let header = &pdu.header;
        if header.tag() == NO_TAG {
            // A new request ends what was left of another one and of its answer.
            self.asked.clear();
            self.told.clear();
        }
        if self.told.is_empty() {
            if self.asked.len() + pdu.data.len() > TEXT_BYTES_MAX {
                return Some(Cause::Protocol);
            }
            self.asked.extend_from_slice(pdu.data);
            if header.goes_on() {
                self.tell(wire, header, Part::More);
                return None;
            }
            let Ok(keys) = Keys::parse(&std::mem::take(&mut self.asked)) else {
                return self.reject(wire, header, Rejection::InvalidField);
            };
            let parameters = &mut self.parameters;
            self.told = discovery::answer(&keys, &self.who.session, &self.targets, &self.portal, parameters);
        }
        let part =
            if self.told.len() > self.parameters.segment_max as usize { Part::More } else { Part::Last };
        self.tell(wire, header, part);
        None
    }

    /// Sends the next part of an answer in text (section 11.11).
    fn tell(&mut self, wire: &mut Wire, header: &Header, part: Part) {
        const GOES_ON: u8 = 0x40;
        /// There is only one exchange of text at a time.
        const TAG: u32 = 1;
        let bytes = self.told.len().min(self.parameters.segment_max as usize);
        let (flags, tag) = match part {
            Part::Last => (FINAL, NO_TAG),
            Part::More if self.told.is_empty() => (0, TAG),
            Part::More => (GOES_ON, TAG),
        };
        let head = Head::new(Answer::Text).byte(1, flags).bytes(8, &header.lun()).word(16, header.task().0);
        wire.output.push(head.word(20, tag), &mut wire.numbers, StatusNumber::Take, &self.told[..bytes]);
        self.told.drain(..bytes);
    }

    fn logout(&mut self, wire: &mut Wire, header: &Header) -> Option<Cause> {
        const NOT_FOR_RECOVERY: u8 = 2;
        let head = Head::new(Answer::Logout).word(16, header.task().0);
        let recovery = header.0[1] & 0x7f >= 2;
        let head = if recovery { head.byte(2, NOT_FOR_RECOVERY) } else { head };
        wire.output.push(head, &mut wire.numbers, StatusNumber::Take, &[]);
        (!recovery).then_some(Cause::Logout)
    }

    /// Sends data and tells in how many PDUs.
    fn data_in(&self, wire: &mut Wire, task: Task, data: &[u8], collapse: bool) -> u32 {
        let burst_max = self.parameters.burst_max as usize;
        wire.output.reserve(data.len(), data.len() / self.parameters.segment_max as usize + 2);
        let (mut offset, mut number) = (0, 0);
        while offset < data.len() {
            let burst_end = (offset / burst_max + 1) * burst_max;
            let end = data.len().min(burst_end).min(offset + self.parameters.segment_max as usize);
            let last = end == data.len();
            let sequence_over = if last || end == burst_end { FINAL } else { 0 };
            let with_status = last && collapse;
            let flags = sequence_over | if with_status { WITH_STATUS } else { 0 };
            let head = Head::new(Answer::DataIn).byte(1, flags).word(16, task.0).word(20, NO_TAG);
            let head = head.word(36, number).word(40, offset as u32);
            let status = if with_status { StatusNumber::Take } else { StatusNumber::Leave };
            wire.output.push(head, &mut wire.numbers, status, &data[offset..end]);
            number += 1;
            offset = end;
        }
        number
    }

    fn response(
        &self,
        wire: &mut Wire,
        task: Task,
        outcome: &Outcome,
        (flag, count): (u8, u32),
        pieces: u32,
    ) {
        let head = Head::new(Answer::Response).byte(1, FINAL | flag).byte(3, outcome.status as u8);
        let head = head.word(16, task.0).word(36, pieces).word(44, count);
        let mut sense = Vec::new();
        if !outcome.sense.is_empty() {
            sense.extend((outcome.sense.len() as u16).to_be_bytes());
            sense.extend(&outcome.sense);
        }
        wire.output.push(head, &mut wire.numbers, StatusNumber::Take, &sense);
    }
}

/// Whether a text goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    More,
    Last,
}

/// How the length that was announced differs from what the command moved (section 11.4.5): flag and count.
fn residual(request: &Request, transfer: Transfer, status: Status, read: u64) -> (u8, u32) {
    let announced = u64::from(request.announced_out.max(request.announced_in));
    let moved = match transfer {
        Transfer::Out(bytes) if request.announced_in == 0 => bytes,
        Transfer::In(_) if request.announced_out == 0 => read,
        _ => 0,
    };
    // Of a command that failed only data count that went over the wire.
    let moved = if status == Status::Good { moved } else { moved.min(announced) };
    let count = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    match moved.cmp(&announced) {
        Ordering::Equal => (0, 0),
        Ordering::Greater => (OVERFLOW, count(moved - announced)),
        Ordering::Less => (UNDERFLOW, count(announced - moved)),
    }
}
