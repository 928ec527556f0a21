//! The threads that transfers run on.
//!
//! Each has its own event loop. Without windows, every packet waits for an ACK, and a thread that looks after many
//! transfers finds several ACKs whenever it looks; threads that steal tasks from each other would wake each
//! other for every single one.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One core moves about 10 Gbit/s of windows, and a third of that in single blocks; more cores than this are of
/// no use before the network is full.
const THREADS_MAX: usize = 4;
/// Threads, for each of those, that wait for disks.
const BLOCKING_MAX: usize = 32;

/// Running event loops. Dropping this ends them, and all that runs on them.
pub(super) struct Threads {
    threads: Vec<Thread>,
}

struct Thread {
    handle: Handle,
    /// Dropped to end it.
    stop: Option<oneshot::Sender<()>>,
    join: Option<JoinHandle<()>>,
}

impl Threads {
    /// Starts as many as the computer has cores, up to a limit.
    pub(super) fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores.min(THREADS_MAX)).map(Thread::start).collect::<io::Result<_>>()?;
        Ok(Self { threads })
    }

    /// All loops, at least one.
    pub(super) fn handles(&self) -> impl Iterator<Item = &Handle> + Clone {
        self.threads.iter().map(|thread| &thread.handle)
    }
}

impl Thread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let join = thread::Builder::new().name(format!("tftp-{number}")).spawn(move || {
            // Only ever ends by the sender's drop.
            let _ = runtime.block_on(stopped);
            // Does not wait for a disk that hangs.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop), join: Some(join) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(join) = self.join.take()
            && join.join().is_err()
        {
            tracing::error!("a TFTP thread panicked");
        }
    }
}
