//! What waits for the journal's writer: bounded, and better at forgetting repeats than news.

use std::collections::{HashMap, VecDeque};

use bootlace_core::event::{DhcpEvent, EventKind, Peer};

use super::Record;

/// Records that wait at most, some 2 KiB each. A thousand machines that boot within a minute make 500 a second,
/// which the writer takes in its stride: this is for the second in which a disk stalls.
pub const QUEUE_MAX: usize = 8192;
/// From here on repeats are folded: more than any one machine's boot leaves within the moment that records wait for
/// company, so that this is a storm, or a client in a loop, or the writer is behind.
pub const QUEUE_HIGH_WATER: usize = 128;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Kept,
    /// The same machine's last waiting record says the same and counts it now.
    Folded,
    /// There was no room.
    Dropped,
}

/// A bounded queue that folds what repeats while it is long.
#[derive(Debug)]
pub struct JournalQueue {
    waiting: VecDeque<Record>,
    /// How many have been taken: the number of the record at the front.
    taken: u64,
    /// The number of each machine's last waiting record.
    latest: HashMap<Peer, u64>,
    high_water: usize,
    capacity: usize,
}

impl Default for JournalQueue {
    fn default() -> Self {
        Self::new(QUEUE_HIGH_WATER, QUEUE_MAX)
    }
}

impl JournalQueue {
    /// Folds while at least `high_water` records wait, and holds `capacity`.
    pub fn new(high_water: usize, capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), taken: 0, latest: HashMap::new(), high_water, capacity }
    }

    /// Takes a record in, if there is room or it only repeats.
    pub fn push(&mut self, record: Record) -> Fate {
        if self.waiting.len() >= self.high_water && self.fold(&record) {
            return Fate::Folded;
        }
        if self.waiting.len() >= self.capacity {
            return Fate::Dropped;
        }
        self.latest.insert(who(&record), self.accepted());
        self.waiting.push_back(record);
        Fate::Kept
    }

    /// Takes up to `limit` of the oldest records out.
    pub fn take(&mut self, limit: usize) -> Vec<Record> {
        let batch: Vec<Record> = self.waiting.drain(..limit.min(self.waiting.len())).collect();
        for (number, record) in (self.taken..).zip(&batch) {
            let peer = who(record);
            if self.latest.get(&peer) == Some(&number) {
                self.latest.remove(&peer);
            }
        }
        self.taken += batch.len() as u64;
        batch
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// None waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many were kept so far: taken or waiting.
    pub fn accepted(&self) -> u64 {
        self.taken + self.waiting.len() as u64
    }

    fn fold(&mut self, record: &Record) -> bool {
        let Some(number) = self.latest.get(&who(record)) else { return false };
        let at = usize::try_from(number - self.taken).unwrap_or(usize::MAX);
        let Some(last) = self.waiting.get_mut(at) else { return false };
        let repeats = last.session == record.session && says_the_same(&last.event.kind, &record.event.kind);
        if repeats {
            last.repeats = last.repeats.saturating_add(1).saturating_add(record.repeats);
        }
        repeats
    }
}

/// The machine, by its hardware address where that is known.
fn who(record: &Record) -> Peer {
    match record.event.peer {
        Peer { hw: Some(hw), .. } => Peer { hw: Some(hw), ip: None },
        unknown => unknown,
    }
}

/// A client that starts over and over picks a new transaction id each time.
fn says_the_same(one: &EventKind, other: &EventKind) -> bool {
    let (EventKind::Dhcp(one), EventKind::Dhcp(other)) = (one, other) else { return one == other };
    let DhcpEvent { message, client, firmware, interface, xid: _, facts, features, answer, trail } = one;
    *message == other.message
        && *client == other.client
        && *firmware == other.firmware
        && *interface == other.interface
        && *facts == other.facts
        && *features == other.features
        && *answer == other.answer
        && *trail == other.trail
}
