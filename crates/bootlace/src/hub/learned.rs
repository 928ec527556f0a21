//! What boots teach, where all services meet.

use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_core::dhcp::Query;
use bootlace_core::event::Event;
use bootlace_core::learn::{Fact, Learned, MachineFacts, Setting};
use bootlace_core::model::{Firmware, Timestamp};
use bootlace_wire::HwAddr;

use super::{Hub, lock};
use crate::counters::Counter;

/// Tells whoever stores that there is something to store. Never waits.
pub type Waker = Box<dyn Fn() + Send + Sync>;

impl Hub {
    /// The same with what the store has kept.
    #[must_use]
    pub fn knowing(self, stored: Vec<MachineFacts>) -> Self {
        *lock(&self.learned) = Learned::new(stored);
        self
    }

    /// From now on `waker` is called whenever there is something to store.
    pub fn tell_of_lessons(&self, waker: Waker) {
        // Only the start sets it.
        let _ = self.waker.set(waker);
    }

    /// What an answer to this message may depend on.
    pub fn learned_for(&self, query: &Query<'_>) -> Vec<Fact> {
        lock(&self.learned).view(query)
    }

    /// What is known of all machines.
    pub fn learned(&self) -> Vec<MachineFacts> {
        lock(&self.learned).all()
    }

    /// The largest TFTP block for whoever has an address.
    pub fn block_max(&self, ip: Ipv4Addr, now: Timestamp) -> Option<u16> {
        let hw = self.who(ip, now)?;
        lock(&self.learned).block_max(hw)
    }

    /// Somebody says how a machine is booted. Without a firmware it is the one that it was seen with, if that is one.
    pub fn pin(&self, hw: HwAddr, firmware: Option<Firmware>, setting: Setting, now: Timestamp) -> Pinned {
        let mut learned = lock(&self.learned);
        let mut seen: Vec<Firmware> = Vec::new();
        for fact in learned.facts(hw) {
            if !seen.contains(&fact.firmware) {
                seen.push(fact.firmware);
            }
        }
        let firmware = match (firmware, &seen[..]) {
            (Some(firmware), _) => firmware.over_tftp(),
            (None, [only]) => *only,
            (None, []) => return Pinned::NeverSeen,
            (None, _) => return Pinned::Several(seen),
        };
        learned.pin(hw, firmware, setting, now);
        drop(learned);
        self.wake();
        Pinned::On(firmware)
    }

    /// Forgets what is known of a machine; whether there was anything.
    pub fn unlearn(&self, hw: HwAddr) -> bool {
        let known = lock(&self.learned).clear(hw);
        self.wake();
        known
    }

    /// Forgets machines that were not seen for so long.
    pub fn expire_learned(&self, now: Timestamp, expire: Duration) {
        lock(&self.learned).expire(now, expire);
    }

    /// What has to be stored.
    pub fn lessons(&self) -> Vec<MachineFacts> {
        lock(&self.learned).changes()
    }

    /// These could not be stored.
    pub fn lessons_unsaved(&self, lessons: &[MachineFacts]) {
        lock(&self.learned).unsaved(lessons);
    }

    pub(super) fn learn(&self, event: &Event) {
        let (is_news, forgotten) = {
            let mut learned = lock(&self.learned);
            let before = learned.has_changes();
            learned.apply(event);
            (!before && learned.has_changes(), learned.forgotten())
        };
        self.counters.reached(Counter::LearnedForgotten, forgotten);
        if is_news {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(wake) = self.waker.get() {
            wake();
        }
    }
}

/// What became of a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It is pinned on this firmware.
    On(Firmware),
    /// Nothing is known of the machine, so that the firmware has to be said.
    NeverSeen,
    /// It was seen with these, so that one of them has to be said.
    Several(Vec<Firmware>),
}
