//! The host's clocks, as the leases need them.

use std::fs;
use std::time::Duration;

use bootlace_core::dhcp::{ClockMark, LeaseClock, LeaseTable, Reading, Step};
use bootlace_core::model::{Timestamp, Uuid};
use bootlace_store::{Store, StoreError};
use rustix::time::{ClockId, clock_gettime};

use crate::hub;

/// How long a quiet service may not notice that the clock was set: until then files and the API go by the former
/// ends of leases.
pub const CLOCK_CHECK: Duration = Duration::from_secs(10);

/// Whether two clocks were read at one moment: longer between them, and the process was stopped meanwhile.
const READING_TIME_MAX: Duration = Duration::from_millis(100);

/// Which boot of the host this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The time of the leases, and where it comes from.
pub struct HostClock {
    read: Box<dyn Fn() -> Reading + Send>,
    clock: LeaseClock,
    /// The store does not know of the last step yet.
    unstored: Option<ClockMark>,
}

impl HostClock {
    /// Goes on where the store ends, and lets `table` and store follow if the clock was set since then.
    pub fn start(table: &mut LeaseTable, store: &mut Store) -> Result<Self, StoreError> {
        // Where the file is not to be read, each start counts as another boot.
        let boot = fs::read_to_string(BOOT_ID).ok().and_then(|id| id.trim().parse().ok());
        Self::start_by(Box::new(read), boot, table, store)
    }

    /// The same by clocks that somebody makes up.
    pub fn start_by(
        read: Box<dyn Fn() -> Reading + Send>,
        boot: Option<Uuid>,
        table: &mut LeaseTable,
        store: &mut Store,
    ) -> Result<Self, StoreError> {
        let (former, reading) = (store.clock()?, read());
        let (clock, step) = LeaseClock::start(reading, boot, former, table.newest());
        let changes = step.map(|step| table.shift(step)).unwrap_or_default();
        table.start(clock.now(reading.uptime));
        if let Some(step) = step {
            tell(step, changes.len());
        }
        match clock.mark().filter(|mark| Some(*mark) != former) {
            Some(mark) => store.commit_clock(mark, &changes)?,
            None => store.commit(&changes)?,
        }
        Ok(Self { read, clock, unstored: None })
    }

    /// The time that leases go by: not the wall clock between two looks at it.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now((self.read)().uptime)
    }

    /// Looks whether the wall clock was set. How far, and from now on [`Self::now`] is by the new one.
    pub(super) fn follow(&mut self) -> Option<Step> {
        let step = self.clock.follow((self.read)())?;
        self.unstored = self.clock.mark();
        Some(step)
    }

    /// What the next commit has to tell the store.
    pub(super) fn unstored(&self) -> Option<ClockMark> {
        self.unstored
    }

    /// The store knows.
    pub(super) fn stored(&mut self) {
        self.unstored = None;
    }
}

/// One line for each step: whoever wonders about leases that end on another day finds it.
pub(super) fn tell(step: Step, leases: usize) {
    tracing::warn!(leases, "the clock was set, {step}: all leases move with it");
}

fn read() -> Reading {
    loop {
        let before = uptime();
        let wall = hub::now();
        let uptime = uptime();
        if uptime.saturating_sub(before) <= READING_TIME_MAX {
            return Reading { wall, uptime };
        }
    }
}

fn uptime() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_both_clocks() {
        let (first, second) = (read(), read());
        assert!(second.uptime >= first.uptime && first.uptime > Duration::ZERO);
        assert!(first.wall > Timestamp::from_secs(1_000_000_000));
    }
}
