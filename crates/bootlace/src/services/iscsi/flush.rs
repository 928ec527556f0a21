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

/// The flushes of one connection.
#[derive(Debug)]
pub(super) struct Flushes {
    done: Receiver<(Request, Outcome)>,
    tell: Sender<(Request, Outcome)>,
    /// Readable when one is done.
    signal: Arc<OwnedFd>,
    running: usize,
}

impl Flushes {
    pub(super) fn new() -> io::Result<Self> {
        let (tell, done) = mpsc::channel();
        let signal = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self { done, tell, signal, running: 0 })
    }

    /// Whether one more may run beside the others.
    pub(super) fn has_room(&self) -> bool {
        self.running < FLUSHES_MAX
    }

    /// Runs one. Without a thread for it, it is not run, and that is an error.
    pub(super) fn run(
        &mut self,
        request: Request,
        flush: impl FnOnce() -> Outcome + Send + 'static,
    ) -> io::Result<()> {
        let (tell, signal) = (self.tell.clone(), Arc::clone(&self.signal));
        thread::Builder::new().name("iscsi-flush".into()).spawn(move || {
            let outcome = flush();
            // A connection that has ended does not wait for it.
            if tell.send((request, outcome)).is_ok() {
                let _ = rustix::io::write(&*signal, &1_u64.to_ne_bytes());
            }
        })?;
        self.running += 1;
        Ok(())
    }

    /// One that is done.
    pub(super) fn poll_done(&mut self) -> Option<(Request, Outcome)> {
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
