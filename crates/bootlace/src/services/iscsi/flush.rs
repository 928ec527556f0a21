//! Flushes beside the connection's thread: one may take as long as the disk likes, and an initiator that pings
//! meanwhile (open-iscsi gives up after five seconds) must hear that it is connected.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use bootlace_wire::iscsi::Request;
use bootlace_wire::scsi::Outcome;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::limits::FLUSHES_MAX;
use super::target::Target;

/// The flushes of one connection.
#[derive(Debug)]
pub(super) struct Flushes {
    done: Receiver<Done>,
    tell: Sender<Done>,
    /// Readable when one is done.
    signal: Arc<OwnedFd>,
    running: usize,
    /// Commands for which there was no room: the next flush is for all of them.
    waiting: Vec<Request>,
}

/// What a flush has come to, and the commands that it was for.
type Done = (Vec<Request>, Outcome);

impl Flushes {
    pub(super) fn new() -> io::Result<Self> {
        let (tell, done) = mpsc::channel();
        let signal = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self { done, tell, signal, running: 0, waiting: Vec::new() })
    }

    /// Has a command wait for the next flush.
    pub(super) fn push(&mut self, request: Request) {
        self.waiting.push(request);
    }

    /// Keeps only some of the commands that wait.
    pub(super) fn retain(&mut self, which: impl FnMut(&Request) -> bool) {
        self.waiting.retain(which);
    }

    /// Begins a flush for all commands that wait, if there are any and one more may run beside the others.
    pub(super) fn begin(&mut self, target: &Arc<Target>) {
        if self.waiting.is_empty() || self.running == FLUSHES_MAX {
            return;
        }
        self.running += 1;
        let requests = std::mem::take(&mut self.waiting);
        let begun = {
            let (target, requests) = (Arc::clone(target), requests.clone());
            let (tell, signal) = (self.tell.clone(), Arc::clone(&self.signal));
            let name = thread::Builder::new().name("iscsi-flush".into());
            name.spawn(move || flush(&target, requests, &tell, &signal))
        };
        // Without a thread for it, others wait.
        if begun.is_err() {
            flush(target, requests, &self.tell, &self.signal);
        }
    }

    /// One that is done.
    pub(super) fn poll_done(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.running -= 1;
        Some(done)
    }

    /// Waits until there is something to receive or a flush is done; true for the former. At once when none runs.
    pub(super) fn wait(&self, stream: &TcpStream) -> io::Result<bool> {
        if self.running == 0 {
            return Ok(true);
        }
        let mut fds = [PollFd::new(stream, PollFlags::IN), PollFd::new(&*self.signal, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if !fds[1].revents().is_empty() {
            let mut count = [0; 8];
            let _ = rustix::io::read(&*self.signal, &mut count);
            return Ok(false);
        }
        Ok(true)
    }
}

fn flush(target: &Target, requests: Vec<Request>, tell: &Sender<Done>, signal: &OwnedFd) {
    let outcome = target.flush();
    // A connection that has ended does not wait for it.
    if tell.send((requests, outcome)).is_ok() {
        let _ = rustix::io::write(signal, &1_u64.to_ne_bytes());
    }
}
