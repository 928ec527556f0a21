//! When what boots teach is stored.
//!
//! It goes along with the next leases, whose sync pays for it. Where none come it gets a commit of its own, after a while
//! and after the answers of its batch: no ACK waits for a lesson. A power loss may take the last of them.

use std::time::{Duration, Instant};

use bootlace_core::learn::MachineFacts;
use bootlace_store::StoreError;
use tokio::sync::oneshot;

use crate::hub::{self, Hub};

/// How long lessons wait for leases to go along with.
const ALONG: Duration = Duration::from_secs(1);
/// How often facts are looked through for those that have expired.
const EXPIRE_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What waits to be stored.
#[derive(Default)]
pub(super) struct Lessons {
    /// When it no longer waits for leases.
    due: Option<Instant>,
    /// Who wants to know that it is stored.
    asked: Vec<oneshot::Sender<Result<(), StoreError>>>,
    expired: Option<Instant>,
}

impl Lessons {
    /// There is something to store.
    pub(super) fn told(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + ALONG);
    }

    /// Somebody waits for it.
    pub(super) fn asked(&mut self, answer: oneshot::Sender<Result<(), StoreError>>) {
        self.due = Some(Instant::now());
        self.asked.push(answer);
    }

    /// How long the thread may sleep.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// What the commit at hand takes along; nothing if it is not one of leases and there is time.
    pub(super) fn take(&mut self, hub: &Hub, with_leases: bool) -> Vec<MachineFacts> {
        let is_due = self.due.is_some_and(|due| due <= Instant::now());
        if !with_leases && !is_due {
            return Vec::new();
        }
        self.due = None;
        hub.lessons()
    }

    /// What became of them.
    pub(super) fn stored(&mut self, hub: &Hub, lessons: &[MachineFacts], done: &Result<(), StoreError>) {
        if done.is_err() && !lessons.is_empty() {
            hub.lessons_unsaved(lessons);
            self.told();
        }
        if self.due.is_none() || done.is_err() {
            // Whoever asked may be gone.
            self.asked.drain(..).for_each(|answer| drop(answer.send(done.clone())));
        }
    }

    /// Forgets what has expired, now and then.
    pub(super) fn expire(&mut self, hub: &Hub, expire: Duration) {
        if self.expired.is_none_or(|last| last.elapsed() >= EXPIRE_PAUSE) {
            self.expired = Some(Instant::now());
            hub.expire_learned(hub::now(), expire);
        }
    }
}
