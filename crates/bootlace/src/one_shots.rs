//! One-shots of a running server. Whoever decides reads what is in force; each change of that is stored first, by a
//! thread of its own, so that neither a decision nor the runtime waits for a disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arc_swap::ArcSwap;
use bootlace_core::config::Machine;
use bootlace_core::model::Timestamp;
use bootlace_core::oneshot::{ONE_SHOTS_MAX, OneShot, OneShots, Owner, Stage, Taker};
use bootlace_core::session::SessionId;
use bootlace_store::{OneShotStore, StoreError};
use bootlace_wire::HwAddr;
use tokio::sync::oneshot::{Receiver as Answer, Sender as Answered, channel};

/// Changes that wait to be stored. Each is that of one machine that boots, or of somebody at the API.
pub const CHANGES_MAX: usize = 1024;

/// Why a change was not made.
#[derive(Debug)]
pub enum Refused {
    /// There are [`ONE_SHOTS_MAX`], none of which is over.
    Full,
    /// It cannot be stored.
    Store(StoreError),
    /// Too many wait, or the server stops.
    Busy,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => write!(f, "there are {ONE_SHOTS_MAX} one-shots already"),
            Self::Store(error) => error.fmt(f),
            Self::Busy => f.write_str("too many changes of one-shots wait to be stored"),
        }
    }
}

type Done<T> = Answered<Result<T, Refused>>;

enum Change {
    Arm { owner: Owner, shot: OneShot, done: Done<()> },
    Cancel { owner: Owner, done: Done<bool> },
    Take { owner: Owner, shot: OneShot, to: Stage, now: Timestamp, done: Done<bool> },
    Finish { owner: Owner, to: Stage, done: Option<Done<bool>> },
    Close { closed: SyncSender<()> },
}

/// What a machine has yet to fetch of its one-shot.
#[derive(Debug)]
struct Awaited {
    owner: Owner,
    taker: Taker,
    files: BTreeSet<String>,
    /// What it is at with the last one.
    then: Stage,
}

/// What is in force, and the way to change it.
#[derive(Debug)]
pub struct Book {
    in_force: Arc<ArcSwap<OneShots>>,
    changes: Option<SyncSender<Change>>,
    awaited: Mutex<HashMap<HwAddr, Awaited>>,
    /// Nearly always false, and then a file that was sent costs no lock.
    awaits: AtomicBool,
}

impl Default for Book {
    /// None, and none can be armed.
    fn default() -> Self {
        Self {
            in_force: Arc::default(),
            changes: None,
            awaited: Mutex::default(),
            awaits: AtomicBool::new(false),
        }
    }
}

impl Book {
    /// With what the store holds, which it changes from now on.
    pub fn keep(store: OneShotStore) -> anyhow::Result<Self> {
        let in_force = Arc::new(ArcSwap::from_pointee(store.all()?));
        let (changes, inbox) = sync_channel(CHANGES_MAX);
        let keeper = Keeper { store, in_force: Arc::clone(&in_force) };
        thread::Builder::new().name("one-shots".into()).spawn(move || keeper.run(&inbox))?;
        Ok(Self { in_force, changes: Some(changes), ..Self::default() })
    }

    /// Those in force.
    pub fn all(&self) -> Arc<OneShots> {
        self.in_force.load_full()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.in_force.load().0.is_empty()
    }

    /// Arms one, in the place of the one that its owner had.
    pub async fn arm(&self, owner: Owner, shot: OneShot) -> Result<(), Refused> {
        let (done, answer) = channel();
        self.change(Change::Arm { owner, shot, done })?;
        answered(answer).await
    }

    /// Takes one away; whether there was one.
    pub async fn cancel(&self, owner: Owner) -> Result<bool, Refused> {
        let (done, answer) = channel();
        self.change(Change::Cancel { owner, done })?;
        answered(answer).await
    }

    /// Gives the one that was decided by to a session, which has to get these files of it and is at the stage `then` with the last
    /// one; whether it is that session's now. Another one that was armed meanwhile is not.
    pub(crate) async fn take(
        &self,
        hw: HwAddr,
        (owner, shot): (Owner, OneShot),
        to: Stage,
        (files, then): (BTreeSet<String>, Stage),
        now: Timestamp,
    ) -> Result<bool, Refused> {
        let Some(taker) = to.taker() else { return Ok(false) };
        let (armed, boot) = (shot.armed, shot.boot.clone());
        let in_force = || {
            let shot = self.in_force.load().0.get(&owner).cloned();
            shot.filter(|shot| shot.armed == armed && shot.boot == boot)
        };
        let Some(shot) = in_force() else { return Ok(false) };
        if shot.stage != Stage::Armed {
            return Ok(shot.is_open_to(Some(taker), now));
        }
        let (done, answer) = channel();
        self.change(Change::Take { owner: owner.clone(), shot, to, now, done })?;
        let taken = answered(answer).await?;
        if taken {
            tracing::info!(machine = %owner, %boot, "one-shot taken");
            if !files.is_empty() {
                let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
                awaited.insert(hw, Awaited { owner, taker, files, then });
                self.awaits.store(true, Ordering::Release);
            }
            return Ok(true);
        }
        // Another request of the same session may have been faster.
        let now_has = |shot: OneShot| shot.stage != Stage::Armed && shot.is_open_to(Some(taker), now);
        Ok(in_force().is_some_and(now_has))
    }

    /// A file was sent whole to a machine. With the last one its one-shot is further; in another session it has come to
    /// nothing.
    pub(crate) fn sent(&self, hw: HwAddr, session: SessionId, name: &str) {
        if !self.awaits.load(Ordering::Acquire) {
            return;
        }
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_machine) = awaited.get_mut(&hw) else { return };
        let is_over = of_machine.taker.session != session;
        of_machine.files.remove(name.strip_prefix("files/").unwrap_or(name));
        if !is_over && !of_machine.files.is_empty() {
            return;
        }
        let over = awaited.remove(&hw);
        self.awaits.store(!awaited.is_empty(), Ordering::Release);
        if let Some(Awaited { owner, then, taker, .. }) = over.filter(|_| !is_over)
            && self.in_force.load().0.get(&owner).is_some_and(|shot| shot.stage == Stage::Taken(taker))
        {
            self.tell(owner, then);
        }
    }

    /// Notes how far one is. If that is lost, it stays with the session that had it all the same.
    fn tell(&self, owner: Owner, to: Stage) {
        match &to {
            Stage::Done(_) => tracing::info!(machine = %owner, "one-shot done"),
            Stage::Looped(taker) => tracing::warn!(
                code = "install-looped",
                machine = %owner,
                session = taker.session.0,
                "the machine came back before its installation said that it was done"
            ),
            _ => {}
        }
        drop(self.change(Change::Finish { owner, to, done: None }));
    }

    /// The one that a session has and has yet to come to an end with.
    fn under_way(&self, taker: Taker) -> Option<(Owner, OneShot)> {
        let all = self.in_force.load();
        let mut of_taker = all.0.iter().filter(|(_, shot)| shot.stage.taker() == Some(taker));
        let (owner, shot) = of_taker.find(|(_, shot)| shot.stage.is_under_way())?;
        Some((owner.clone(), shot.clone()))
    }

    /// An installer was given an answer.
    pub(crate) fn answered(&self, taker: Taker) {
        if let Some((owner, shot)) = self.under_way(taker)
            && !matches!(shot.stage, Stage::Answer(_))
        {
            self.tell(owner, Stage::Answer(taker));
        }
    }

    /// A machine has logged in to the disk of its boot.
    pub(crate) fn logged_in(&self, taker: Taker) {
        if let Some((owner, _)) = self.under_way(taker) {
            self.tell(owner, Stage::Done(taker));
        }
    }

    /// A machine boots in another session than that which took its one-shot: an installation that has begun is over then. One that
    /// has answers is over as soon as its machine boots anything.
    pub(crate) fn came_back(&self, machine: Option<&Machine>, hw: HwAddr, session: Taker) {
        let all = self.in_force.load();
        let Some((owner, shot)) = all.of(machine, hw.mac()) else { return };
        match &shot.stage {
            Stage::Payload(taker) if *taker != session => self.tell(owner.clone(), Stage::Looped(*taker)),
            Stage::Answer(taker) => self.tell(owner.clone(), Stage::Looped(*taker)),
            _ => {}
        }
    }

    /// What a boot took is done, as it says itself.
    pub(crate) async fn done(&self, taker: Taker) -> Result<(), Refused> {
        // It may have been picked at a screen, or have said so before.
        let Some((owner, _)) = self.under_way(taker) else { return Ok(()) };
        let (done, answer) = channel();
        tracing::info!(machine = %owner, "one-shot done");
        self.change(Change::Finish { owner, to: Stage::Done(taker), done: Some(done) })?;
        answered(answer).await.map(drop)
    }

    /// Closes the store, and changes nothing from then on: whoever closes a database last leaves one file behind.
    pub fn close(&self) {
        let (closed, is_closed) = sync_channel(1);
        if let Some(changes) = &self.changes
            && changes.send(Change::Close { closed }).is_ok()
        {
            // It fails where the thread has ended, and then it is closed.
            let _ = is_closed.recv();
        }
    }

    fn change(&self, change: Change) -> Result<(), Refused> {
        let changes = self.changes.as_ref().ok_or(Refused::Busy)?;
        changes.try_send(change).map_err(|_| Refused::Busy)
    }
}

async fn answered<T>(answer: Answer<Result<T, Refused>>) -> Result<T, Refused> {
    answer.await.unwrap_or(Err(Refused::Busy))
}

/// The only one that changes what is in force.
struct Keeper {
    store: OneShotStore,
    in_force: Arc<ArcSwap<OneShots>>,
}

impl Keeper {
    fn run(mut self, inbox: &Receiver<Change>) {
        while let Ok(change) = inbox.recv() {
            // Who does not wait any more for the answer has it all the same.
            match change {
                Change::Arm { owner, shot, done } => drop(done.send(self.arm(owner, shot))),
                Change::Cancel { owner, done } => drop(done.send(self.cancel(&owner))),
                Change::Take { owner, shot, to, now, done } => {
                    drop(done.send(self.take(owner, shot, to, now)));
                }
                Change::Finish { owner, to, done: None } => {
                    if let Err(error) = self.finish(&owner, to) {
                        tracing::warn!(machine = %owner, "how far a one-shot is is not stored: {error}");
                    }
                }
                Change::Finish { owner, to, done: Some(done) } => drop(done.send(self.finish(&owner, to))),
                Change::Close { closed } => {
                    drop(self.store);
                    // Nobody waits who has gone.
                    let _ = closed.send(());
                    return;
                }
            }
        }
    }

    fn arm(&mut self, owner: Owner, shot: OneShot) -> Result<(), Refused> {
        let all = self.in_force.load();
        if all.0.len() >= ONE_SHOTS_MAX && !all.0.contains_key(&owner) {
            // A few more than needed: each walk over the table makes room for many.
            self.store.forget(ONE_SHOTS_MAX / 100).map_err(Refused::Store)?;
            self.in_force.store(Arc::new(self.store.all().map_err(Refused::Store)?));
            if self.in_force.load().0.len() >= ONE_SHOTS_MAX {
                return Err(Refused::Full);
            }
        }
        self.store.arm(&owner, &shot).map_err(Refused::Store)?;
        self.put(owner, OneShot { stage: Stage::Armed, ..shot });
        Ok(())
    }

    fn cancel(&mut self, owner: &Owner) -> Result<bool, Refused> {
        let there = self.store.cancel(owner).map_err(Refused::Store)?;
        let mut all = OneShots::clone(&self.in_force.load());
        all.0.remove(owner);
        self.in_force.store(Arc::new(all));
        Ok(there)
    }

    fn take(&mut self, owner: Owner, shot: OneShot, to: Stage, now: Timestamp) -> Result<bool, Refused> {
        let taken = self.store.take(&owner, &shot, &to, now).map_err(Refused::Store)?;
        if taken {
            self.put(owner, OneShot { stage: to, ..shot });
        }
        Ok(taken)
    }

    fn finish(&mut self, owner: &Owner, to: Stage) -> Result<bool, Refused> {
        let finished = self.store.finish(owner, &to).map_err(Refused::Store)?;
        if let (true, Some(shot)) = (finished, self.in_force.load().0.get(owner).cloned()) {
            self.put(owner.clone(), OneShot { stage: to, ..shot });
        }
        Ok(finished)
    }

    fn put(&self, owner: Owner, shot: OneShot) {
        let mut all = OneShots::clone(&self.in_force.load());
        all.0.insert(owner, shot);
        self.in_force.store(Arc::new(all));
    }
}

#[cfg(test)]
mod tests {
    use bootlace_core::config::BootName;
    use bootlace_store::Store;
    use bootlace_wire::Mac;

    use super::*;

    #[tokio::test]
    async fn what_was_armed_after_the_decision_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let _store = Store::open(dir.path()).unwrap();
        let book = Book::keep(OneShotStore::open(dir.path()).unwrap()).unwrap();
        let (owner, start) = (Owner::named("web1"), Timestamp::from_secs(1_700_000_000));
        let shot = |boot: &str, armed: i64| OneShot {
            boot: BootName::new(boot).unwrap(),
            confirm: None,
            armed: Timestamp(start.0 + armed),
            expires: None,
            stage: Stage::Armed,
        };
        let hw = HwAddr::from(Mac([2, 0, 0, 0, 0, 1]));
        let taker = Taker { session: SessionId(1), started: start };
        let take = async |decided: OneShot| {
            let files = (BTreeSet::new(), Stage::Done(taker));
            book.take(hw, (owner.clone(), decided), Stage::Taken(taker), files, start).await.unwrap()
        };
        for later in [shot("other", 0), shot("rescue", 1)] {
            book.arm(owner.clone(), later.clone()).await.unwrap();
            assert!(!take(shot("rescue", 0)).await);
            assert_eq!(book.all().0[&owner], later, "it is for the next boot");
            assert!(take(later.clone()).await && take(later).await);
        }
    }
}
