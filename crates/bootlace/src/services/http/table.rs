//! All connections, and which of them has to go when there are too many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The connections of one boot port.
#[derive(Debug)]
pub(super) struct Table {
    began: Instant,
    /// A connection that moved a byte within this time keeps its place.
    still_min: Duration,
    places: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    taken: HashMap<u64, Arc<Pulse>>,
}

/// A connection's sign of life.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    /// When it last moved a byte, in milliseconds from `began`.
    moved_ms: AtomicU64,
    evicted: Notify,
}

/// A place in the table; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    key: u64,
    table: Arc<Table>,
    pulse: Arc<Pulse>,
}

impl Table {
    /// A table of so many places.
    pub(super) fn new(places: usize, still_min: Duration) -> Self {
        Self { began: Instant::now(), still_min, places, inner: Mutex::default() }
    }

    /// Takes a place. When there is none, the connection that has been still the longest gives up its own;
    /// `None` when all of them are busy.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut inner = self.inner();
        if inner.taken.len() >= self.places {
            let stillest = inner.taken.iter().max_by_key(|(_, pulse)| pulse.still());
            let key = stillest.filter(|(_, pulse)| pulse.still() >= self.still_min).map(|(&key, _)| key)?;
            if let Some(pulse) = inner.taken.remove(&key) {
                pulse.evicted.notify_one();
            }
        }
        let key = inner.next;
        inner.next += 1;
        let pulse = Pulse { began: self.began, moved_ms: AtomicU64::new(0), evicted: Notify::new() };
        pulse.beat();
        let pulse = Arc::new(pulse);
        inner.taken.insert(key, Arc::clone(&pulse));
        Some(Place { key, table: Arc::clone(self), pulse })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// A byte has moved.
    pub(super) fn beat(&self) {
        self.moved_ms.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    fn still(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Place {
    /// The pulse to beat.
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Returns when the place was given to somebody else.
    pub(super) async fn evicted(&self) {
        self.pulse.evicted.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.inner().taken.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_takes_the_place_of_the_stillest() {
        let table = Arc::new(Table::new(2, STILL));
        let (busy, stalled) = (table.enter().unwrap(), table.enter().unwrap());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(table.enter().is_none(), "both moved a moment ago");
        busy.pulse().beat();
        tokio::time::advance(Duration::from_secs(1)).await;
        let newcomer = table.enter().unwrap();
        stalled.evicted().await;
        assert!(table.enter().is_none(), "the other two are busy");
        drop(stalled);
        assert!(table.enter().is_none(), "its place is the newcomer's");
        drop(newcomer);
        assert!(table.enter().is_some());
    }
}
