//! What is known of all machines.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bootlace_wire::HwAddr;

use super::outcome::{Change, Known};
use super::{Fact, SMALL_BLOCK, Setting};
use crate::dhcp::{Kind, Query};
use crate::event::{ClientClass, Event, EventKind};
use crate::model::{Firmware, Timestamp};

/// Machines that something is known of, or whose boot may teach something; beyond it the one that was silent the longest
/// is forgotten: first those on which nothing worked yet, never those with a pin.
pub const LEARNED_MACHINES_MAX: usize = 10_000;

/// All facts of one machine, for the store; none: it is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFacts {
    /// The machine.
    pub hw: HwAddr,
    /// Its facts.
    pub facts: Vec<Fact>,
}

/// How much is lost with a machine, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Tried,
    Worked,
    Pinned,
}

/// A machine and its place in the order of those to forget.
#[derive(Clone, Debug)]
struct Entry {
    known: Known,
    place: (Worth, Timestamp),
}

/// What is known of all machines, in memory; the store is its durable copy.
#[derive(Debug)]
pub struct Learned {
    machines: HashMap<HwAddr, Entry>,
    /// The same in the order of those to forget: a flood of made-up addresses must not cost a walk for each packet.
    order: BTreeSet<(Worth, Timestamp, HwAddr)>,
    unsaved: HashSet<HwAddr>,
    limit: usize,
    forgotten: u64,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            machines: HashMap::new(),
            order: BTreeSet::new(),
            unsaved: HashSet::new(),
            limit: LEARNED_MACHINES_MAX,
            forgotten: 0,
        }
    }
}

impl Learned {
    /// What the store has kept.
    pub fn new(stored: impl IntoIterator<Item = MachineFacts>) -> Self {
        let mut learned = Self::default();
        for MachineFacts { hw, facts } in stored {
            let seen = facts.iter().map(|fact| fact.seen).max().unwrap_or_default();
            learned.put(hw, Known { facts, trial: None }, seen);
        }
        learned
    }

    /// What the answer to a message may depend on: a DISCOVER of firmware begins a boot, so that the one before has
    /// ended.
    pub fn view(&self, query: &Query<'_>) -> Vec<Fact> {
        let mut facts = self.facts(query.hw).to_vec();
        if query.class == ClientClass::Firmware && matches!(query.kind, Kind::Discover) {
            facts.iter_mut().for_each(Fact::settle);
        }
        facts
    }

    /// What is known of a machine.
    pub fn facts(&self, hw: HwAddr) -> &[Fact] {
        self.machines.get(&hw).map_or(&[], |entry| &entry.known.facts)
    }

    /// Every machine that something is known of, by address.
    pub fn all(&self) -> Vec<MachineFacts> {
        let known = self.machines.iter().filter(|(_, entry)| !entry.known.facts.is_empty());
        let mut all: Vec<MachineFacts> =
            known.map(|(hw, entry)| MachineFacts { hw: *hw, facts: entry.known.facts.clone() }).collect();
        all.sort_by_key(|machine| machine.hw);
        all
    }

    /// The largest TFTP block that a machine is sent, if the setting of its boot says one.
    pub fn block_max(&self, hw: HwAddr) -> Option<u16> {
        let trial = self.machines.get(&hw)?.known.trial.as_ref()?;
        (trial.setting == Setting::SmallBlocks).then_some(SMALL_BLOCK)
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &Event) {
        let Some(hw) = event.peer.hw else { return };
        let begins = matches!(&event.kind, EventKind::Dhcp(dhcp)
            if dhcp.client == ClientClass::Firmware && dhcp.answer.given().is_some_and(|given| given.setting.is_some()));
        if !begins && !self.machines.contains_key(&hw) {
            return;
        }
        let mut known = self.take(hw);
        if known.apply(&event.kind, event.at) == Change::Facts {
            self.unsaved.insert(hw);
        }
        self.put(hw, known, event.at);
    }

    /// Somebody says that this setting is the one, on this firmware of the machine.
    pub fn pin(&mut self, hw: HwAddr, firmware: Firmware, setting: Setting, now: Timestamp) {
        let mut known = self.take(hw);
        known.facts.iter_mut().filter(|fact| fact.firmware == firmware).for_each(|fact| fact.pinned = None);
        let fact = known.fact(firmware, setting, now);
        (fact.pinned, fact.seen) = (Some(now), now);
        self.unsaved.insert(hw);
        self.put(hw, known, now);
    }

    /// Forgets what is known of a machine, pins too; whether there was anything.
    pub fn clear(&mut self, hw: HwAddr) -> bool {
        let known = self.take(hw);
        if !known.facts.is_empty() {
            self.unsaved.insert(hw);
        }
        !known.facts.is_empty()
    }

    /// Forgets the facts of machines that were not seen for so long.
    pub fn expire(&mut self, now: Timestamp, expire: Duration) {
        let has_expired = |entry: &Entry| entry.known.facts.iter().any(|fact| fact.is_expired(now, expire));
        let machines = self.machines.iter().filter(|(_, entry)| has_expired(entry));
        for (hw, at) in machines.map(|(hw, entry)| (*hw, entry.place.1)).collect::<Vec<_>>() {
            let mut known = self.take(hw);
            known.facts.retain(|fact| !fact.is_expired(now, expire));
            self.unsaved.insert(hw);
            if known.trial.is_some() || !known.facts.is_empty() {
                self.put(hw, known, at);
            }
        }
    }

    /// What the store has to be told; it counts as stored until [`Self::unsaved`] says that it was not.
    pub fn changes(&mut self) -> Vec<MachineFacts> {
        let unsaved = std::mem::take(&mut self.unsaved);
        unsaved.into_iter().map(|hw| MachineFacts { hw, facts: self.facts(hw).to_vec() }).collect()
    }

    /// Whether the store has to be told something.
    pub fn has_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// These could not be stored.
    pub fn unsaved(&mut self, changes: &[MachineFacts]) {
        self.unsaved.extend(changes.iter().map(|machine| machine.hw));
    }

    /// How many machines were forgotten for want of room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How many machines are kept.
    pub fn len(&self) -> usize {
        self.machines.len()
    }

    /// None is kept.
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    fn take(&mut self, hw: HwAddr) -> Known {
        let Some(Entry { known, place: (worth, last) }) = self.machines.remove(&hw) else {
            return Known::default();
        };
        self.order.remove(&(worth, last, hw));
        known
    }

    fn put(&mut self, hw: HwAddr, known: Known, last: Timestamp) {
        let worth = if known.facts.iter().any(|fact| fact.pinned.is_some()) {
            Worth::Pinned
        } else if known.facts.iter().any(|fact| fact.worked.is_some()) {
            Worth::Worked
        } else {
            Worth::Tried
        };
        self.order.insert((worth, last, hw));
        self.machines.insert(hw, Entry { known, place: (worth, last) });
        if self.machines.len() > self.limit
            && let Some((_, _, oldest)) = self.order.first().copied()
        {
            if !self.take(oldest).facts.is_empty() {
                self.unsaved.insert(oldest);
            }
            self.forgotten += 1;
        }
    }
}
