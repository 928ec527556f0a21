//! The wall clock was set: every time of the table moves with it.

use super::super::LeaseChange;
use super::super::clock::Step;
use super::LeaseTable;
use crate::model::Timestamp;

impl LeaseTable {
    /// Moves all times by a step of the clock, so that each lease lasts as long as its holder was told. Leases that
    /// have ended move too: the order in which they are lent again stays.
    ///
    /// The changes, which are all leases, have to be on stable storage together with the clock's new mark before
    /// anything else that this table decides.
    pub fn shift(&mut self, step: Step) -> Vec<LeaseChange> {
        self.started = self.started.map(|started| started.moved(step.millis));
        for pool in &mut self.pools {
            pool.shift(step.millis);
        }
        for lease in self.leases.values_mut() {
            for time in [&mut lease.since, &mut lease.noted, &mut lease.until] {
                *time = time.moved(step.millis);
            }
        }
        self.iter().cloned().map(LeaseChange::Put).collect()
    }

    /// From now on clients are answered. A clock that went ahead while nobody was looks like time that passed, and so
    /// leases of former runs that seem to have ended are probed before others get their addresses.
    pub fn start(&mut self, now: Timestamp) {
        self.started = Some(now);
    }

    /// When the newest of the leases was noted: it was this late already.
    pub fn newest(&self) -> Option<Timestamp> {
        self.leases.values().map(|lease| lease.noted).max()
    }
}
