//! All connections, and which of them has to go when there are too many.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::counters::{Counter, Counters};

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) all: usize,
    pub(super) of_client: usize,
}

/// The connections of one boot port.
#[derive(Debug)]
pub(super) struct Table {
    began: Instant,
    /// A connection that moved a byte within this time keeps its place.
    still_min: Duration,
    places: Places,
    counters: Arc<Counters>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    taken: HashMap<u64, Taken>,
    of_client: HashMap<Ipv4Addr, usize>,
}

#[derive(Debug)]
struct Taken {
    client: Ipv4Addr,
    pulse: Arc<Pulse>,
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
    pub(super) fn new(places: Places, still_min: Duration, counters: Arc<Counters>) -> Self {
        Self { began: Instant::now(), still_min, places, counters, inner: Mutex::default() }
    }

    /// Takes a place. When there is none, the connection that has been still the longest gives up its own: one of
    /// the client itself, when that has too many. `None` when all of those are busy.
    pub(super) fn enter(self: &Arc<Self>, client: Ipv4Addr) -> Option<Place> {
        let mut inner = self.inner();
        if inner.of_client.get(&client).is_some_and(|count| *count >= self.places.of_client) {
            self.counters.count(Counter::HttpClientFull);
            inner.evict(self.still_min, |taken| taken.client == client)?;
        }
        if inner.taken.len() >= self.places.all {
            let evicted = inner.evict(self.still_min, |_| true);
            self.counters.count(if evicted.is_some() { Counter::HttpEvicted } else { Counter::HttpFull });
            evicted?;
        }
        let key = inner.next;
        inner.next += 1;
        let pulse = Pulse { began: self.began, moved_ms: AtomicU64::new(0), evicted: Notify::new() };
        pulse.beat();
        let pulse = Arc::new(pulse);
        inner.taken.insert(key, Taken { client, pulse: Arc::clone(&pulse) });
        *inner.of_client.entry(client).or_default() += 1;
        Some(Place { key, table: Arc::clone(self), pulse })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes the place of the connection that has been still the longest, for at least `still_min`.
    fn evict(&mut self, still_min: Duration, of: impl Fn(&Taken) -> bool) -> Option<()> {
        let candidates = self.taken.iter().filter(|(_, taken)| of(taken));
        let (still, key) = candidates.map(|(key, taken)| (taken.pulse.still(), *key)).max()?;
        if still < still_min {
            return None;
        }
        self.remove(key)?.pulse.evicted.notify_one();
        Some(())
    }

    fn remove(&mut self, key: u64) -> Option<Taken> {
        let taken = self.taken.remove(&key)?;
        match self.of_client.get_mut(&taken.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.of_client.remove(&taken.client)),
        }
        Some(taken)
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
        self.table.inner().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Duration = Duration::from_secs(5);

    fn table(all: usize, of_client: usize) -> Arc<Table> {
        Arc::new(Table::new(Places { all, of_client }, STILL, Arc::default()))
    }

    fn client(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 188, 0, last)
    }

    fn counted(table: &Table) -> [u64; 3] {
        [Counter::HttpEvicted, Counter::HttpFull, Counter::HttpClientFull].map(|c| table.counters.get(c))
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_takes_the_place_of_the_stillest() {
        let table = table(2, 2);
        let enter = || table.enter(client(1));
        let (busy, stalled) = (enter().unwrap(), table.enter(client(2)).unwrap());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(enter().is_none(), "both moved a moment ago");
        busy.pulse().beat();
        tokio::time::advance(Duration::from_secs(1)).await;
        let newcomer = enter().unwrap();
        stalled.evicted().await;
        assert_eq!(counted(&table), [1, 1, 0]);
        assert!(table.enter(client(3)).is_none(), "the other two are busy");
        drop(stalled);
        assert!(table.enter(client(3)).is_none(), "its place is the newcomer's");
        drop(newcomer);
        assert!(table.enter(client(3)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_too_many_loses_its_own_and_nobody_elses() {
        let table = table(4, 2);
        let other = table.enter(client(2)).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let (first, second) = (table.enter(client(1)).unwrap(), table.enter(client(1)).unwrap());
        assert!(table.enter(client(1)).is_none(), "both are busy");
        tokio::time::advance(STILL).await;
        second.pulse().beat();
        let third = table.enter(client(1)).unwrap();
        first.evicted().await;
        assert!(table.enter(client(1)).is_none(), "the other one's is not for it");
        assert_eq!(counted(&table), [0, 0, 3]);
        assert!(table.enter(client(3)).is_some(), "there is room for others");
        drop((first, second, third, other));
        let inner = table.inner();
        assert_eq!((inner.taken.len(), inner.of_client.len()), (0, 0), "places come back");
    }
}
