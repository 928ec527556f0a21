//! The server and its host: clocks that are set, a disk that fails, power that is lost, and what must be true of the
//! leases whatever happens.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use bootlace_core::config::Config;
use bootlace_core::dhcp::{
    CLOCK_STEP_MIN, ClockMark, LeaseChange, LeaseClock, LeaseState, LeaseTable, Reading,
};
use bootlace_core::model::{Timestamp, Uuid};
use bootlace_store::Store;
use bootlace_wire::dhcp::Message;

use super::cards::{self, Card, LEASE};
use crate::disk::{DISK, Disk, Random, Sync, vfs};

pub(super) const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;
/// When histories begin.
const START: i64 = 1_800_000_000_000;
/// By the clock of a host that does not know the date.
const EPOCH: i64 = 60_000;

/// What a history came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// Of power.
    pub(super) losses: u32,
    pub(super) acks: u32,
    /// Of the wall clock.
    pub(super) steps: u32,
    /// Of the disk, though it had power.
    pub(super) failures: u32,
    /// Cards that were replaced, or plugged in elsewhere.
    pub(super) moves: u32,
    /// While the server ran.
    pub(super) checkpoints: u32,
}

impl Told {
    pub(super) fn add(&mut self, other: &Self) {
        self.losses += other.losses;
        self.acks += other.acks;
        self.steps += other.steps;
        self.failures += other.failures;
        self.moves += other.moves;
        self.checkpoints += other.checkpoints;
    }
}

/// The world of one history. All times are in milliseconds.
pub(super) struct Host<'a> {
    pub(super) config: &'a Config,
    pub(super) random: Random,
    pub(super) table: LeaseTable,
    pub(super) cards: Vec<Card>,
    /// True time.
    pub(super) now: i64,
    /// Changes of a batch that is being decided, after those that could not be stored before.
    pub(super) changes: Vec<LeaseChange>,
    pub(super) replies: Vec<Message>,
    /// Until when the server may keep an address from others, in true time.
    pub(super) taken: BTreeMap<Ipv4Addr, i64>,
    pub(super) told: Told,
    store: Option<Store>,
    clock: LeaseClock,
    unstored: Option<ClockMark>,
    /// How far the wall clock is ahead of true time.
    ahead: i64,
    /// When the host was started last, and which start that was.
    boot: (i64, u8),
    /// How far the stored leases are ahead of true time: at least and at most, while nobody knows whether a step of the
    /// clock has reached the disk.
    stored_ahead: (i64, i64),
}

impl<'a> Host<'a> {
    pub(super) fn new(config: &'a Config, fresh: &Disk, seed: u64, ignores: Option<Sync>) -> Self {
        let mut random = Random::new(seed);
        // Some begin with an empty disk, most with a store that is there already.
        let mut disk = if random.below(4) == 0 { Disk::default() } else { fresh.clone() };
        disk.ignores = ignores;
        disk.log_pages_max = (random.below(2) == 0).then(|| 2 + random.below(30) as u32);
        DISK.set(disk);
        let reading = Reading { wall: Timestamp(START), uptime: Duration::ZERO };
        Self {
            config,
            random,
            table: LeaseTable::new(config, Vec::new()),
            cards: cards::all(),
            now: START,
            changes: Vec::new(),
            replies: Vec::new(),
            taken: BTreeMap::new(),
            told: Told::default(),
            store: None,
            clock: LeaseClock::start(reading, None, None, None).0,
            unstored: None,
            ahead: 0,
            boot: (START, 0),
            stored_ahead: (0, 0),
        }
    }

    pub(super) fn steps(&mut self) -> u64 {
        20 + self.random.below(40)
    }

    pub(super) fn told(&self) -> Told {
        Told { failures: DISK.with_borrow(|disk| disk.failures), ..self.told }
    }

    fn reading(&self) -> Reading {
        let uptime = Duration::from_millis(self.now.abs_diff(self.boot.0));
        Reading { wall: Timestamp(self.now + self.ahead), uptime }
    }

    /// The time of the leases.
    pub(super) fn lease_now(&self) -> Timestamp {
        self.clock.now(self.reading().uptime)
    }

    /// Starts the server, as often as the power fails while it does.
    pub(super) fn start(&mut self) -> Result<(), String> {
        self.start_after(self.boot.1)
    }

    /// `boot`: the start of the host that the store is of.
    fn start_after(&mut self, boot: u8) -> Result<(), String> {
        loop {
            let failures = DISK.with_borrow(|disk| disk.failures);
            match self.try_start(boot) {
                Ok(()) => return self.check(),
                Err(_) if !DISK.with_borrow(Disk::has_power) => self.power_up(),
                Err(error) if DISK.with_borrow(|disk| disk.failures) == failures => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// What the service does at its start.
    fn try_start(&mut self, former_boot: u8) -> Result<(), String> {
        self.store = None;
        let mut store = Store::open_on(vfs::NAME, Path::new("/state")).map_err(|error| error.to_string())?;
        let leases = store.leases().map_err(|error| error.to_string())?;
        self.table = LeaseTable::new(self.config, leases);
        let former = store.clock().map_err(|error| error.to_string())?;
        let boot = Some(Uuid([self.boot.1; 16]));
        let (clock, step) = LeaseClock::start(self.reading(), boot, former, self.table.newest());
        let changes = step.map(|step| self.table.shift(step)).unwrap_or_default();
        let moved = step.map_or(0, |step| step.millis);
        self.clock = clock;
        let ahead = self.lease_now().0 - self.now;
        // Within a boot the server knows what time has passed. Else leases may end early or late by what it was wrong.
        if former_boot != self.boot.1 {
            self.early_by(ahead - moved - self.stored_ahead.0);
            self.late_by(self.stored_ahead.1 - (ahead - moved));
        }
        // Until it is known to be stored, either may be.
        self.stored_ahead = (ahead - moved, ahead - moved);
        self.note_stored_ahead(ahead);
        let mark = clock.mark().ok_or("no mark")?;
        store.commit_clock(mark, &changes).map_err(|error| error.to_string())?;
        self.stored_ahead = (ahead, ahead);
        self.unstored = None;
        self.store = Some(store);
        Ok(())
    }

    fn note_stored_ahead(&mut self, ahead: i64) {
        let (least, most) = self.stored_ahead;
        self.stored_ahead = (least.min(ahead), most.max(ahead));
    }

    /// A clock that is ahead after the host was off: nobody can tell, and all leases end so much earlier.
    fn early_by(&mut self, millis: i64) {
        for grant in self.cards.iter_mut().filter_map(|card| card.holds.as_mut()) {
            grant.until -= millis.max(0);
        }
    }

    fn late_by(&mut self, millis: i64) {
        self.taken.values_mut().for_each(|until| *until += millis.max(0));
    }

    fn power_up(&mut self) {
        self.told.losses += 1;
        DISK.with_borrow_mut(|disk| disk.power_up(&mut self.random));
        if self.random.below(4) == 0 {
            // A second failure while it starts.
            let after = self.random.below(12);
            DISK.with_borrow_mut(|disk| disk.fail_after(after));
        }
        self.now += self.random.below(600_000) as i64;
        self.boot = (self.now, self.boot.1.wrapping_add(1));
        match self.random.below(8) {
            0 => self.set_wall(EPOCH),
            1 => self.set_clock(),
            _ => {}
        }
    }

    /// The power failed: what is left of the disk, and the server on it.
    fn recover(&mut self) -> Result<(), String> {
        (self.changes, self.replies) = Default::default();
        self.store = None;
        let boot = self.boot.1;
        self.power_up();
        self.start_after(boot)
    }

    fn set_wall(&mut self, wall: i64) {
        self.ahead = wall.max(EPOCH) - self.now;
        self.told.steps += 1;
    }

    /// Somebody sets the wall clock.
    fn set_clock(&mut self) {
        let wall = self.now + self.ahead;
        let span = [YEAR, HOUR, 60_000, 1_500][self.random.below(4) as usize];
        match self.random.below(5) {
            0 | 1 => self.set_wall(wall + span),
            2 | 3 => self.set_wall(wall - span),
            _ => self.set_wall(self.now),
        }
    }

    pub(super) fn step(&mut self) -> Result<(), String> {
        self.now += 1 + self.random.below(600_000) as i64;
        match self.random.below(32) {
            0 => {
                let after = self.random.below(8);
                DISK.with_borrow_mut(|disk| disk.fail_after(after));
            }
            1 => return self.restart(),
            2 => {
                DISK.with_borrow_mut(|disk| disk.fail_after(0));
                return self.recover();
            }
            3 | 4 => self.set_clock(),
            5 => {
                let after = self.random.below(6);
                DISK.with_borrow_mut(|disk| disk.fail_once_after(after));
            }
            6 if self.random.below(3) == 0 => self.now += (1 + self.random.below(8) as i64) * HOUR,
            7 => self.move_card(),
            _ => {}
        }
        self.follow_clock();
        self.act()?;
        self.settle()?;
        self.check()
    }

    /// A clean stop, which moves the log into the database; the power may fail meanwhile.
    fn restart(&mut self) -> Result<(), String> {
        (self.changes, self.replies) = Default::default();
        let boot = self.boot.1;
        self.store = None;
        if self.random.below(4) == 0 {
            self.set_clock();
        }
        self.now += self.random.below(600_000) as i64;
        if !DISK.with_borrow(Disk::has_power) {
            self.power_up();
        }
        self.start_after(boot)
    }

    /// What the service does when it looks at the clock.
    fn follow_clock(&mut self) {
        let Some(step) = self.clock.follow(self.reading()) else { return };
        self.changes.extend(self.table.shift(step));
        self.unstored = self.clock.mark();
        self.note_stored_ahead(self.lease_now().0 - self.now);
    }

    /// One commit, then the answers: what the service does.
    fn settle(&mut self) -> Result<(), String> {
        let replies = std::mem::take(&mut self.replies);
        let before = DISK.with_borrow(|disk| (disk.failures, disk.checkpoints));
        let store = self.store.as_mut().ok_or("no store")?;
        let stored = match self.unstored {
            Some(mark) => store.commit_clock(mark, &self.changes),
            None => store.commit(&self.changes),
        };
        let after = DISK.with_borrow(|disk| (disk.failures, disk.checkpoints));
        self.told.checkpoints += after.1 - before.1;
        match stored {
            Ok(()) => {
                self.changes.clear();
                self.unstored = None;
                let ahead = self.lease_now().0 - self.now;
                self.stored_ahead = (ahead, ahead);
                replies.iter().try_for_each(|reply| self.hear(reply))
            }
            Err(_) if !DISK.with_borrow(Disk::has_power) => self.recover(),
            // Nobody gets an answer, and the changes go first into the next commit.
            Err(_) if after.0 > before.0 => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What was acknowledged is in the table, whatever happened to disk and clock; nothing lasts longer than any lease;
    /// and nobody shares an address.
    fn check(&self) -> Result<(), String> {
        let now = self.lease_now();
        let mut holders: BTreeMap<Ipv4Addr, u64> = BTreeMap::new();
        for card in &self.cards {
            let Some(grant) = card.holds.filter(|grant| grant.until > self.now) else { continue };
            if let Some(other) = holders.insert(grant.address, card.number) {
                return Err(format!("{} is card {other}'s and card {}'s", grant.address, card.number));
            }
            let lease = self.table.get(grant.address);
            let keeps = lease.filter(|lease| lease.hw == card.hw() && lease.state == LeaseState::Bound);
            if keeps.is_none_or(|lease| lease.until.0 - now.0 < grant.until - self.now) {
                return Err(format!("{grant:?} of card {} is lost at {now}: {lease:?}", card.number));
            }
        }
        // A clock that is behind by less than a step is not corrected.
        let longest = now.after(LEASE[1] + CLOCK_STEP_MIN);
        match self.table.iter().find(|lease| lease.until > longest) {
            Some(lease) => Err(format!("at {now} there is {lease:?}")),
            None => Ok(()),
        }
    }
}
