//! One connection: the login, then a session, which is in `full`.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::time::Duration;

use super::chap::Challenge;
use super::full::Session;
use super::limits::{COMMANDS_MAX, DISCOVERY_MAX, LOGIN_MAX, LOGIN_SEGMENT_BYTES_MAX};
use super::login::{Action, Admission, Answered, Login, LoginRequest, Refusal};
use super::pdu::{Header, Malformed, Opcode, Pdu};
use super::reply::{Answer, Head, Numbers, Output, Rejection, StatusNumber, reject};
use super::serial::Serial;
use super::task::{Collected, Fault, Function, ManagementResponse, Request, Task};
use crate::scsi::{DataOut, Outcome, Transfer};

/// Where the initiator reached us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portal {
    /// Address and port as initiators write them, an IPv6 address in brackets.
    pub address: String,
}

impl Portal {
    /// The tag of the only portal group.
    pub const GROUP: u16 = 1;
}

/// What the service has to know or to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants in: [`Connection::admit`] or [`Connection::refuse`].
    Login(LoginRequest),
    /// It may, and all is agreed on: [`Connection::establish`] or [`Connection::refuse`].
    Ready,
    /// A command came: [`Connection::expect`], and as soon as it has its data, [`Connection::respond`].
    Command(Request),
    /// The data of a command are there: [`Connection::data`].
    Data(Task),
    /// The data of a command did not come as they had to: [`Connection::respond`].
    Fault(Task, Fault),
    /// A command of this session was aborted by the initiator, which has its answer: what was kept for it is of no use.
    Aborted(Task),
    /// Task management: [`Connection::managed`].
    Management {
        /// By what it is answered.
        task: Task,
        /// What is to be done.
        function: Function,
        /// To which logical unit.
        lun: [u8; 8],
    },
    /// It is over: send what is left and close.
    Closed(Cause),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The initiator logged out.
    Logout,
    /// Its login failed.
    Refused(Refusal),
    /// Its login, or its search for targets, took too long.
    Timeout,
    /// It sent what the protocol does not allow there.
    Protocol,
    /// A checksum was wrong.
    Digest,
}

#[derive(Debug)]
pub(super) enum State {
    Login(Box<Login>),
    Full(Box<Session>),
    Closed,
}

/// What all states write to.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) numbers: Numbers,
    pub(super) output: Output,
    pub(super) events: VecDeque<Event>,
}

/// A connection with an initiator.
#[derive(Debug)]
pub struct Connection {
    portal: Portal,
    state: State,
    wire: Wire,
    /// Most bytes of a segment from the initiator.
    segment_max: u32,
    began: Duration,
    /// The task tag of the request that waits for the service.
    login_task: Task,
}

impl Connection {
    /// Just accepted, at `now`.
    pub fn new(portal: Portal, challenge: Challenge, now: Duration) -> Self {
        let zero = Serial(0);
        Self {
            portal,
            state: State::Login(Box::new(Login::new(challenge))),
            wire: Wire {
                numbers: Numbers { status: zero, command: zero, command_max: zero },
                output: Output::default(),
                events: VecDeque::new(),
            },
            segment_max: LOGIN_SEGMENT_BYTES_MAX,
            began: now,
            login_task: Task(0),
        }
    }

    /// Takes bytes and tells how many it is done with: all whole PDUs, up to the first one that is an event. The rest
    /// has to be handed in again, once there is no event left, and with more behind it when nothing was taken.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.listens() {
            match Pdu::parse(&bytes[used..], self.digests(), self.segment_max) {
                Ok(None) => break,
                Ok(Some(pdu)) => {
                    used += pdu.bytes;
                    self.handle(&pdu);
                }
                Err(malformed) => self.malformed(malformed),
            }
        }
        used
    }

    /// What the service has to know next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.wire.events.pop_front()
    }

    /// Changes `buffer` for the bytes that are to be sent; whether there are any. What it held is gone.
    pub fn poll_output(&mut self, buffer: &mut Vec<u8>) -> bool {
        let any = !self.wire.output.is_empty();
        self.wire.output.swap(buffer);
        any
    }

    /// How many bytes wait to be sent: a service that sends before there are too many needs no more memory than that.
    pub fn output_bytes(&self) -> usize {
        self.wire.output.len()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Login(_) => Some(self.began + LOGIN_MAX),
            State::Full(session) if session.is_discovery() => Some(self.began + DISCOVERY_MAX),
            State::Full(_) | State::Closed => None,
        }
    }

    /// Ends a login, or a search for targets, that takes too long.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|until| now >= until) {
            self.close(Cause::Timeout);
        }
    }

    /// Lets an initiator go on: the answer to [`Event::Login`].
    pub fn admit(&mut self, admission: Admission) {
        if let State::Login(login) = &mut self.state {
            let action = login.admit(admission);
            self.act(action);
        }
    }

    /// Refuses an initiator: the other answer to [`Event::Login`] and [`Event::Ready`].
    pub fn refuse(&mut self, refusal: Refusal) {
        if matches!(self.state, State::Login(_)) {
            self.act(Action::Refuse(refusal));
        }
    }

    /// Begins the session: the answer to [`Event::Ready`].
    pub fn establish(&mut self, tsih: NonZeroU16) {
        let State::Login(login) = &mut self.state else { return };
        let segment_max = login.segment_max();
        let Some((answer, parameters, who, targets)) = login.finish() else { return };
        self.answer_login(&answer, who.isid, tsih.get());
        self.wire.output.digests = parameters.digests;
        self.segment_max = segment_max;
        self.state = State::Full(Box::new(Session::new(self.portal.clone(), parameters, who, targets)));
    }

    /// How much a command moves, as the logical unit says: the answer to [`Event::Command`].
    pub fn expect(&mut self, task: Task, transfer: Transfer) -> Collected {
        match &mut self.state {
            State::Full(session) => session.expect(&mut self.wire, task, transfer),
            State::Login(_) | State::Closed => Collected::Whole,
        }
    }

    /// The data of a command that has all of them.
    pub fn data(&self, task: Task) -> DataOut<'_> {
        match &self.state {
            State::Full(session) => session.data(task),
            State::Login(_) | State::Closed => DataOut::NONE,
        }
    }

    /// Gives the memory of a command's data back before its answer.
    pub fn forget_data(&mut self, task: Task) {
        if let State::Full(session) = &mut self.state {
            session.forget_data(&mut self.wire, task);
        }
    }

    /// Whether a command still waits for its answer. One that is answered late may have been aborted, and its tag may be
    /// that of another one by then.
    pub fn holds(&self, request: &Request) -> bool {
        matches!(&self.state, State::Full(session) if session.holds(request))
    }

    /// Ends a command. `read` are the data of one that reads blocks, whose outcome has none.
    pub fn respond(&mut self, task: Task, outcome: &Outcome, read: &[u8]) {
        if let State::Full(session) = &mut self.state {
            let data = if read.is_empty() { &outcome.data_in } else { read };
            session.respond(&mut self.wire, task, outcome, data);
        }
    }

    /// Ends a task management function. If it is complete, so are the commands of this session: they are gone.
    pub fn managed(&mut self, task: Task, response: ManagementResponse) {
        if let State::Full(session) = &mut self.state {
            session.managed(&mut self.wire, task, response);
        }
    }

    /// Forgets all commands that wait for data, without an answer: somebody else's task management.
    pub fn abort_all(&mut self) {
        if let State::Full(session) = &mut self.state {
            session.abort_all(&mut self.wire);
        }
    }

    /// Asks the initiator to log out within `within`, unless it is one that knows no such message.
    pub fn ask_logout(&mut self, within: Duration) {
        if let State::Full(session) = &mut self.state {
            session.ask_logout(&mut self.wire, within);
        }
    }

    fn listens(&self) -> bool {
        let decided = match &self.state {
            State::Login(login) => !login.waits(),
            State::Full(_) => true,
            State::Closed => false,
        };
        decided && self.wire.events.is_empty()
    }

    fn digests(&self) -> super::digest::Digests {
        self.wire.output.digests
    }

    fn handle(&mut self, pdu: &Pdu<'_>) {
        match &mut self.state {
            State::Login(login) => {
                let header = &pdu.header;
                if header.opcode() != Opcode::Login {
                    self.close(Cause::Protocol);
                    return;
                }
                if login.who().is_none() {
                    // The first command has the number of the login.
                    let command = header.command_number();
                    self.wire.numbers = Numbers {
                        status: header.status_number(),
                        command,
                        command_max: command.plus(COMMANDS_MAX - 1),
                    };
                }
                self.login_task = header.task();
                let action = login.request(header, pdu.data);
                self.act(action);
            }
            State::Full(session) => {
                if let Some(cause) = session.handle(&mut self.wire, pdu) {
                    self.close(cause);
                }
            }
            State::Closed => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Answer(answer) => {
                let (isid, tsih) = self.asked_for();
                self.answer_login(&answer, isid, tsih);
            }
            Action::Admit(who) => self.wire.events.push_back(Event::Login(who)),
            Action::Ready => self.wire.events.push_back(Event::Ready),
            Action::Refuse(refusal) => {
                let [class, detail] = (refusal as u16).to_be_bytes();
                let head = Head::new(Answer::Login).byte(1, 0).word(16, self.login_task.0);
                let head = head.bytes(8, &self.asked_for().0).byte(36, class).byte(37, detail);
                self.wire.output.push(head, &mut self.wire.numbers, StatusNumber::Take, &[]);
                self.close(Cause::Refused(refusal));
            }
        }
    }

    fn asked_for(&self) -> ([u8; 6], u16) {
        match &self.state {
            State::Login(login) => login.who().map_or(([0; 6], 0), |who| (who.isid, who.tsih)),
            State::Full(_) | State::Closed => ([0; 6], 0),
        }
    }

    fn answer_login(&mut self, answer: &Answered, isid: [u8; 6], tsih: u16) {
        let head = Head::new(Answer::Login).byte(1, answer.flags).bytes(8, &isid);
        let head = head.bytes(14, &tsih.to_be_bytes()).word(16, self.login_task.0);
        self.wire.output.push(head, &mut self.wire.numbers, StatusNumber::Take, &answer.text);
    }

    fn malformed(&mut self, malformed: Malformed) {
        match (malformed, &self.state) {
            (Malformed::DataDigest(Header(header)), State::Full(session)) if !session.quiet() => {
                let head = reject(Rejection::DataDigest);
                self.wire.output.push(head, &mut self.wire.numbers, StatusNumber::Take, &header);
                self.close(Cause::Digest);
            }
            (Malformed::DataDigest(_) | Malformed::HeaderDigest, _) => self.close(Cause::Digest),
            (Malformed::TooLong, _) => self.close(Cause::Protocol),
        }
    }

    fn close(&mut self, cause: Cause) {
        self.state = State::Closed;
        self.wire.events.push_back(Event::Closed(cause));
    }
}
