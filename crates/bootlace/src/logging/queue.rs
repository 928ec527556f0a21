//! Lines on their way to stderr: whoever reads them slowly, or not at all, must hold up no service.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of lines that wait at most: some 30,000 lines of info, or 2,000 packets at debug.
const BYTES_MAX: usize = 4 << 20;

/// Lines that wait for their writer. What finds no room is dropped and counted, and the log says so.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something waits.
    wake: Condvar,
    /// Everything was written.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    /// Bytes that the writer has taken and not yet written.
    under_way: usize,
}

impl State {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }
}

impl Queue {
    /// Takes a line, if there is room. Never waits for the writer.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > BYTES_MAX {
            state.lost += 1;
        } else {
            state.waiting.extend_from_slice(line);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Writes what comes, for ever. A log that cannot be written is nobody's problem but its reader's.
    pub(super) fn write_to(&self, mut out: impl Write) -> ! {
        loop {
            let waiting = self.wake.wait_while(self.lock(), |state| state.is_empty());
            let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
            let (lines, lost) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.lost));
            state.under_way = lines.len();
            drop(state);
            let _ = out.write_all(&lines);
            if lost > 0 {
                let _ = writeln!(out, "the log is read too slowly: {lost} lines are lost here");
            }
            self.lock().under_way = 0;
            self.idle.notify_all();
        }
    }

    /// Waits until all is written, but not for longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let busy = |state: &mut State| !state.is_empty() || state.under_way > 0;
        drop(self.idle.wait_timeout_while(self.lock(), limit, busy));
    }

    /// The state is sound between any two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread;

    use super::*;

    /// Writes only when it is told to.
    struct Reluctant {
        go: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The test is over when nobody tells any more.
            let _ = self.go.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_no_time() {
        let queue = Arc::new(Queue::default());
        let (tell, go) = mpsc::channel();
        let (written, seen) = mpsc::channel();
        let theirs = Arc::clone(&queue);
        thread::spawn(move || theirs.write_to(Reluctant { go, written }));
        queue.push(b"first\n");
        tell.send(()).unwrap();
        assert_eq!(seen.recv().unwrap(), b"first\n");
        queue.flush(Duration::MAX);
        let line = [b'x'; 1024];
        for _ in 0..3 * BYTES_MAX / line.len() {
            queue.push(&line);
        }
        queue.flush(Duration::ZERO);
        let mut text = String::new();
        while !text.contains("lines are lost here") {
            tell.send(()).unwrap();
            text.push_str(&String::from_utf8(seen.recv().unwrap()).unwrap());
            assert!(text.len() < 3 * BYTES_MAX, "nothing was lost");
        }
    }
}
