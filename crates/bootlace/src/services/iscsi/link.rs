//! One connection: receive, hand to the protocol, do what it says, send once.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootlace_wire::iscsi::{
    Cause, Challenge, Collected, Connection, Event, LoginRequest, Portal, Refusal, Request, SessionKind, Task,
};
use bootlace_wire::scsi::{Outcome, Status, Transfer};
use rustix::net::RecvFlags;

use super::flush::Flushes;
use super::limits::{BUFFER_BYTES, KEPT_BYTES_MAX, LOGIN_BUFFER_BYTES, OUTPUT_BYTES, STOP_TIME};
use super::memory::{Account, Loan, needed};
use super::table::Place;
use super::target::{Executed, Session, Target, next_tsih};
use super::told::{self, Told};
use super::{Shared, random};
use crate::counters::Counter;

/// A session of a target.
struct Open {
    target: Arc<Target>,
    session: Arc<Session>,
    /// The aborts by others that were heeded.
    aborts: u64,
    told: Told,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.target.finish(&self.session);
    }
}

/// A connection and all that belongs to it.
struct Link<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    peer: SocketAddr,
    began: Instant,
    protocol: Connection,
    wanted: Option<LoginRequest>,
    open: Option<Open>,
    /// Writes that wait for their data, with the memory for them.
    pending: Vec<(Request, Loan)>,
    memory: Account,
    /// The memory of what is read and not sent yet.
    unsent: Vec<Loan>,
    flushes: Flushes,
    read: Vec<u8>,
    output: Vec<u8>,
    /// The socket has a time after which a receive ends.
    waits_by_time: bool,
    over: bool,
}

/// Serves a connection to its end.
pub(super) fn serve(shared: &Shared, stream: TcpStream, place: &mut Place) {
    let peer = place.peer();
    let mut link = match Link::new(shared, stream, peer) {
        Ok(link) => link,
        Err(error) => return tracing::debug!(%peer, "an iSCSI connection was not begun: {error}"),
    };
    if let Err(error) = link.run(place) {
        tracing::debug!(%peer, "an iSCSI connection ended: {error}");
    }
    if let Some(open) = link.open.take() {
        tracing::debug!(%peer, initiator = open.session.port.name, "iSCSI session ended");
        open.told.end(&shared.hub, peer);
    }
}

impl<'a> Link<'a> {
    fn new(shared: &'a Shared, stream: TcpStream, peer: SocketAddr) -> io::Result<Self> {
        let portal = Portal { address: stream.local_addr()?.to_string() };
        let [identifier, bytes @ ..] = random()?;
        let protocol = Connection::new(portal, Challenge { identifier, bytes }, Duration::ZERO);
        Ok(Self {
            shared,
            stream,
            peer,
            began: Instant::now(),
            protocol,
            wanted: None,
            open: None,
            pending: Vec::new(),
            memory: Account::new(&shared.memory),
            unsent: Vec::new(),
            flushes: Flushes::new()?,
            read: Vec::new(),
            output: Vec::new(),
            waits_by_time: false,
            over: false,
        })
    }

    fn run(&mut self, place: &mut Place) -> io::Result<()> {
        let mut buffer = vec![0; LOGIN_BUFFER_BYTES];
        let mut held = 0;
        while !self.over {
            // Discovery stays a login: it needs no more room, and nobody has to prove anything for it.
            if self.open.is_some() && buffer.len() < BUFFER_BYTES {
                place.logged_in();
                buffer.resize(BUFFER_BYTES, 0);
            }
            if !self.flushes.wait(&self.stream)? {
                self.finish_flushes();
                self.send()?;
                continue;
            }
            let received = self.receive(&mut buffer[held..])?;
            held += received;
            let mut used = 0;
            loop {
                self.heed_aborts();
                let taken = self.protocol.handle_bytes(&buffer[used..held]);
                used += taken;
                let any = self.events()?;
                if taken == 0 && !any {
                    break;
                }
            }
            if received == 0 && self.shared.stopping() {
                self.protocol.ask_logout(STOP_TIME);
            }
            self.send()?;
            buffer.copy_within(used..held, 0);
            held -= used;
            if received == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Waits for bytes; none are the end.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.protocol.poll_timeout().map(|until| until.saturating_sub(self.began.elapsed()));
            if left == Some(Duration::ZERO) {
                self.shared.hub.counters().count(Counter::IscsiSlowLogin);
                return Err(io::ErrorKind::TimedOut.into());
            }
            if left.is_some() || self.waits_by_time {
                self.stream.set_read_timeout(left)?;
                self.waits_by_time = left.is_some();
            }
            match self.stream.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.protocol.poll_output(&mut self.output) {
            self.stream.write_all(&self.output)?;
        }
        free_long(&mut self.output);
        self.unsent.clear();
        Ok(())
    }

    /// Does what the protocol has come to; whether there was anything.
    fn events(&mut self) -> io::Result<bool> {
        let mut any = false;
        while let Some(event) = self.protocol.poll_event() {
            any = true;
            match event {
                Event::Login(who) => self.login(who),
                Event::Ready => self.ready()?,
                Event::Command(request) => self.command(request),
                Event::Data(task) => self.execute_pending(task),
                Event::Fault(task, fault) => {
                    self.pending.retain(|(request, _)| request.task != task);
                    if let Some(open) = &self.open {
                        self.protocol.respond(task, &open.target.faulty(fault), &[]);
                    }
                }
                Event::Aborted(_) => self.forget_aborted(),
                Event::Management { task, function, lun } => {
                    if let Some(open) = &mut self.open {
                        let response = open.target.manage(&open.session, function, lun);
                        self.protocol.managed(task, response);
                    }
                    self.forget_aborted();
                }
                Event::Closed(cause) => self.closed(cause),
            }
            if self.protocol.output_bytes() >= OUTPUT_BYTES {
                self.send()?;
            }
        }
        Ok(any)
    }

    fn login(&mut self, who: LoginRequest) {
        match self.shared.admission(&who) {
            Ok(admission) => {
                self.wanted = Some(who);
                self.protocol.admit(admission);
            }
            Err(refusal) => self.refuse(&who, refusal),
        }
    }

    fn refuse(&mut self, who: &LoginRequest, refusal: Refusal) {
        tracing::debug!(peer = %self.peer, initiator = who.initiator, ?refusal, "iSCSI login refused");
        if let SessionKind::Normal { target } = &who.session {
            told::refused(&self.shared.hub, self.peer, target, refusal);
        }
        self.protocol.refuse(refusal);
    }

    fn ready(&mut self) -> io::Result<()> {
        let Some(who) = self.wanted.take() else { return Ok(()) };
        if let SessionKind::Normal { target } = &who.session {
            let stream = self.stream.try_clone()?;
            let begun = self.shared.target(target).and_then(|target| {
                // It may have given up while this waited, and have logged in anew.
                if has_hung_up(&stream) {
                    return Err(Refusal::Unavailable);
                }
                let session = target.begin(&who, stream)?;
                Ok((target, session))
            });
            match begun {
                Ok((target, session)) => {
                    tracing::debug!(peer = %self.peer, initiator = who.initiator, "iSCSI session");
                    let told = Told::begin(&self.shared.hub, self.peer, target.name());
                    self.open = Some(Open { target, session, aborts: 0, told });
                }
                Err(refusal) => {
                    self.refuse(&who, refusal);
                    return Ok(());
                }
            }
        }
        self.protocol.establish(next_tsih(&self.shared.sessions));
        Ok(())
    }

    fn command(&mut self, request: Request) {
        let Some(open) = &self.open else { return };
        let transfer = open.target.expected(&request);
        let Some(loan) = self.memory.lend(needed(&request, transfer)) else {
            // What is on its way of its data is of no use any more.
            self.protocol.expect(request.task, Transfer::None);
            return self.protocol.respond(request.task, &Outcome::bare(Status::Busy), &[]);
        };
        match self.protocol.expect(request.task, transfer) {
            Collected::Whole => {
                self.execute(&request);
                self.unsent.push(loan);
            }
            Collected::Waiting => self.pending.push((request, loan)),
        }
    }

    fn execute_pending(&mut self, task: Task) {
        let held = |request: &Request| request.task == task && self.protocol.holds(request);
        if let Some(at) = self.pending.iter().position(|(request, _)| held(request)) {
            let (request, _loan) = self.pending.swap_remove(at);
            self.execute(&request);
        }
    }

    fn execute(&mut self, request: &Request) {
        let Some(open) = &self.open else { return };
        let data = self.protocol.data(request.task);
        let written = data.bytes.len();
        match open.target.execute(&open.session, request, data, &mut self.read) {
            Some(Executed::Done(outcome)) => {
                open.told.moved(self.read.len(), written);
                self.protocol.respond(request.task, &outcome, &self.read);
                free_long(&mut self.read);
            }
            Some(Executed::Flush) => {
                open.told.moved(0, written);
                self.protocol.forget_data(request.task);
                self.flushes.push(*request);
                self.flushes.begin(&open.target);
            }
            None => self.over = true,
        }
    }

    /// Answers flushes that are done, and begins the next one; those that were aborted meanwhile have no answer.
    fn finish_flushes(&mut self) {
        self.heed_aborts();
        while let Some((requests, outcome)) = self.flushes.poll_done() {
            for request in requests {
                if self.protocol.holds(&request) {
                    self.protocol.respond(request.task, &outcome, &[]);
                }
            }
        }
        if let Some(open) = &self.open {
            self.flushes.begin(&open.target);
        }
    }

    /// Forgets the writes that another session's task management has aborted.
    fn heed_aborts(&mut self) {
        let Some(open) = &mut self.open else { return };
        let aborts = open.session.aborts();
        if open.aborts != aborts {
            open.aborts = aborts;
            self.protocol.abort_all();
            self.forget_aborted();
        }
    }

    /// Gives back what was kept for commands that are not there any more.
    fn forget_aborted(&mut self) {
        self.pending.retain(|(request, _)| self.protocol.holds(request));
        self.flushes.retain(|request| self.protocol.holds(request));
    }

    fn closed(&mut self, cause: Cause) {
        self.over = true;
        match cause {
            Cause::Refused(Refusal::Authentication) => {
                self.shared.hub.counters().count(Counter::IscsiUnproven);
                if let Some(LoginRequest { session: SessionKind::Normal { target }, .. }) = self.wanted.take()
                {
                    told::refused(&self.shared.hub, self.peer, &target, Refusal::Authentication);
                }
            }
            Cause::Protocol | Cause::Digest => {
                tracing::warn!(peer = %self.peer, ?cause, "iSCSI connection closed");
            }
            Cause::Logout | Cause::Refused(_) | Cause::Timeout => {}
        }
    }
}

/// Whether nobody is there any more to hear an answer.
fn has_hung_up(stream: &TcpStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let mut byte = [0];
    matches!(rustix::net::recv(stream, &mut byte[..], flags), Ok((0, _)))
}

/// What is kept for the next command is no more than that one needs.
fn free_long(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
}
