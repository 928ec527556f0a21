//! The journal's thread: services hand over records and never wait.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bootlace_core::model::Timestamp;

use super::queue::{Fate, JournalQueue};
use super::retain::{Retention, STEP, Trimmed};
use super::{Journal, Record};
use crate::StoreError;

/// Records in one transaction at most: enough that its cost is spread thin, few enough that readers of the queue
/// do not wait for memory.
pub const BATCH_MAX: usize = 256;
/// Old events are looked for after this many new ones; half a step of retention, which therefore keeps up.
const TRIM_EVERY: usize = STEP / 2;
/// How long a record may wait for company: a storm is then a few large transactions, and people see no delay.
const LINGER: Duration = Duration::from_millis(100);
/// How long to wait before a failed batch is tried again: a full disk does not empty sooner.
const RETRY: Duration = Duration::from_secs(1);

/// Starts the journal's thread.
#[derive(Debug)]
pub struct Writer;

/// Hands records to the journal's thread. Dropping it writes what waits and ends the thread.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What became of the records so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records in the journal.
    pub written: u64,
    /// Records that became a count of another.
    pub folded: u64,
    /// Records lost for want of room, or because the journal still could not be written at the end.
    pub dropped: u64,
    /// Records that wait.
    pub waiting: usize,
    /// Attempts to write or trim that failed.
    pub failures: u64,
    /// Why the last attempt failed; none after one that did not.
    pub error: Option<StoreError>,
}

/// A turn for the worse or the better, told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Records cannot be written. They wait as long as there is room.
    Behind(StoreError),
    /// They are written again.
    CaughtUp {
        /// Records that were lost meanwhile.
        lost: u64,
    },
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits, or the end has come.
    wake: Condvar,
    /// An attempt to write has ended.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: JournalQueue,
    counters: Counters,
    /// Somebody waits for what waits: write it at once.
    hurry: bool,
    /// Records that were written or given up, to compare with [`JournalQueue::accepted`].
    settled: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// No more records will come: write what waits and end.
    Closing,
}

impl Writer {
    /// Moves the journal into a thread of its own, which also keeps it within `limits`.
    pub fn spawn(journal: Journal, limits: Retention) -> std::io::Result<Handle> {
        Self::spawn_telling(journal, limits, |_| {})
    }

    /// The same; `tell` is called on that thread.
    pub fn spawn_telling(
        journal: Journal,
        limits: Retention,
        tell: impl FnMut(Notice) + Send + 'static,
    ) -> std::io::Result<Handle> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let tell = Box::new(tell);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || Scribe { journal, limits, until_trim: 0, shared: theirs, tell }.run())?;
        Ok(Handle { shared, thread: Some(thread) })
    }
}

impl Handle {
    /// Hands a record over. Never waits for the disk: when the writer is behind, repeats become counts, and what
    /// finds no room is dropped and counted.
    pub fn send(&self, record: Record) -> Fate {
        let mut state = self.shared.lock();
        let fate = state.queue.push(record);
        match fate {
            Fate::Kept => {}
            Fate::Folded => state.counters.folded += 1,
            Fate::Dropped => state.counters.dropped += 1,
        }
        let waiting = state.queue.len();
        drop(state);
        // Between the first of a batch and the last that it has room for the writer has no use for a call.
        if fate == Fate::Kept && (waiting == 1 || waiting == BATCH_MAX) {
            self.shared.wake.notify_one();
        }
        fate
    }

    /// Waits until every record handed over so far is in the journal, or an attempt to write has failed.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        let (target, failures) = (state.queue.accepted(), state.counters.failures);
        while state.settled < target {
            state.hurry = true;
            self.shared.wake.notify_one();
            if let Some(error) = &state.counters.error
                && state.counters.failures > failures
            {
                return Err(error.clone());
            }
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// What became of the records so far.
    pub fn counters(&self) -> Counters {
        let state = self.shared.lock();
        Counters { waiting: state.queue.len(), ..state.counters.clone() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().stage = Stage::Closing;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic over there was reported by its own hook.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The state is sound between any two statements, so that a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch; none when the end has come and nothing waits.
    fn next(&self) -> Option<Vec<Record>> {
        let idle = |state: &mut State| state.queue.is_empty() && state.stage == Stage::Open;
        let state = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let lonely =
            |state: &mut State| state.queue.len() < BATCH_MAX && state.stage == Stage::Open && !state.hurry;
        let waited = self.wake.wait_timeout_while(state, LINGER, lonely);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.hurry = false;
        Some(state.queue.take(BATCH_MAX)).filter(|batch| !batch.is_empty())
    }

    /// Notes a failure, waits a little, and says whether there is time to try again.
    fn retry_after(&self, error: StoreError) -> Stage {
        let mut state = self.lock();
        state.counters.failures += 1;
        state.counters.error = Some(error);
        self.done.notify_all();
        let open = |state: &mut State| state.stage == Stage::Open;
        let waited = self.wake.wait_timeout_while(state, RETRY, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.stage
    }

    fn settle(&self, count: usize, outcome: Result<(), StoreError>) {
        let mut state = self.lock();
        let count = count as u64;
        state.settled += count;
        match outcome {
            Ok(()) => {
                state.counters.written += count;
                state.counters.error = None;
            }
            Err(error) => {
                state.counters.dropped += count;
                state.counters.failures += 1;
                state.counters.error = Some(error);
            }
        }
        self.done.notify_all();
    }

    /// Counts what still waits as dropped: a shutdown waits for one failing batch, not for each.
    fn give_up(&self) {
        let mut state = self.lock();
        let lost = state.queue.take(usize::MAX).len() as u64;
        state.settled += lost;
        state.counters.dropped += lost;
    }
}

/// The thread's own state.
struct Scribe {
    journal: Journal,
    limits: Retention,
    /// New events until the next look for old ones.
    until_trim: usize,
    shared: Arc<Shared>,
    tell: Box<dyn FnMut(Notice) + Send>,
}

impl Scribe {
    fn run(mut self) {
        while let Some(batch) = self.shared.next() {
            if self.write(&batch).is_break() {
                return self.shared.give_up();
            }
            self.trim(&batch);
        }
    }

    /// Breaks when the end has come and the journal still cannot be written.
    fn write(&mut self, batch: &[Record]) -> ControlFlow<()> {
        let mut outcome = self.journal.append(batch);
        let behind_since = outcome.as_ref().err().map(|error| {
            (self.tell)(Notice::Behind(error.clone()));
            self.shared.lock().counters.dropped
        });
        while let Err(error) = &outcome {
            let stage = self.shared.retry_after(error.clone());
            outcome = self.journal.append(batch);
            if stage == Stage::Closing {
                break;
            }
        }
        let flow = if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        self.shared.settle(batch.len(), outcome);
        if let (Some(before), ControlFlow::Continue(())) = (behind_since, flow) {
            let lost = self.shared.lock().counters.dropped - before;
            (self.tell)(Notice::CaughtUp { lost });
        }
        flow
    }

    /// The newest event tells the time: a journal that gets no events needs no room either.
    fn trim(&mut self, batch: &[Record]) {
        self.until_trim = self.until_trim.saturating_sub(batch.len());
        let newest = batch.iter().map(|record| record.event.at).max();
        let (0, Some(now)) = (self.until_trim, newest) else { return };
        self.trim_at(now);
    }

    fn trim_at(&mut self, now: Timestamp) {
        match self.journal.trim(self.limits, now) {
            Ok(Trimmed::Done) => self.until_trim = TRIM_EVERY,
            // The next batch goes first, then the next step.
            Ok(Trimmed::More) => self.until_trim = 0,
            Err(error) => {
                self.until_trim = TRIM_EVERY;
                let mut state = self.shared.lock();
                state.counters.failures += 1;
                state.counters.error = Some(error);
            }
        }
    }
}
