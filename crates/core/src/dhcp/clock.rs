//! The time that leases are kept in, and what becomes of it when the host's clock is set.
//!
//! Hosts without a clock that runs on batteries start in the past and learn the date from the network later; people
//! and time services set clocks by hours or years. A lease lasts as long as its ACK said all the same. So time is
//! counted from the host's boot, by a clock that nobody sets, and only anchored in the wall clock. When the wall
//! clock steps away from that, every time of the table moves by as much ([`super::LeaseTable::shift`]).

use std::fmt;
use std::time::Duration;

use crate::model::{Timestamp, Uuid};

/// A clock that is off by less is left alone: leases need no such precision. Small steps add up until they count.
/// What a time service corrects by running the clock faster or slower is no step: both clocks run so.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(2);

/// Both clocks of the host at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What anybody may set.
    pub wall: Timestamp,
    /// Since the host's boot, with the time that it slept; nobody sets it.
    pub uptime: Duration,
}

/// What the store remembers of the clock: enough to tell time that passed from a step while no server ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMark {
    /// Which boot of the host it is about.
    pub boot: Uuid,
    /// When that boot began, in the time of the leases.
    pub began: Timestamp,
}

/// How far the wall clock went beside the time that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Milliseconds; negative: it was set back.
    pub millis: i64,
}

/// The time of the leases: never behind what it was, but where a [`Step`] says so.
#[derive(Clone, Copy, Debug)]
pub struct LeaseClock {
    boot: Option<Uuid>,
    began: Timestamp,
}

impl LeaseClock {
    /// Goes on where the store ends: `mark` and the newest time that a lease was written at
    /// ([`super::LeaseTable::newest`]). `boot`: which boot of the host this is, where it tells.
    ///
    /// Within one boot a step is known exactly, however long no server ran. After another boot only a clock behind
    /// `newest` is known to be wrong: no time has passed then, as far as anybody can tell, and leases end later than
    /// they had to, never earlier. A clock that is ahead looks like time that passed.
    pub fn start(
        reading: Reading,
        boot: Option<Uuid>,
        mark: Option<ClockMark>,
        newest: Option<Timestamp>,
    ) -> (Self, Option<Step>) {
        let same_boot = mark.filter(|mark| Some(mark.boot) == boot).map(|mark| mark.began);
        // A host that was put back to an earlier state has a store of its future.
        let same_boot =
            same_boot.filter(|began| newest.is_none_or(|last| began.after(reading.uptime) >= last));
        if let Some(began) = same_boot {
            let mut clock = Self { boot, began };
            let step = clock.follow(reading);
            return (clock, step);
        }
        let began = Timestamp(reading.wall.0.saturating_sub(millis(reading.uptime)));
        let step = newest.map(|last| Step { millis: reading.wall.0.saturating_sub(last.0) });
        (Self { boot, began }, step.filter(|step| step.millis < 0 && step.counts()))
    }

    /// Now, by the time since the host's boot.
    pub fn now(&self, uptime: Duration) -> Timestamp {
        self.began.after(uptime)
    }

    /// Follows the wall clock if it was set.
    pub fn follow(&mut self, reading: Reading) -> Option<Step> {
        let step = Step { millis: reading.wall.0.saturating_sub(self.now(reading.uptime).0) };
        if !step.counts() {
            return None;
        }
        self.began = self.began.moved(step.millis);
        Some(step)
    }

    /// What the store is to remember; `None`: the host does not tell its boots apart.
    pub fn mark(&self) -> Option<ClockMark> {
        Some(ClockMark { boot: self.boot?, began: self.began })
    }
}

impl Step {
    fn counts(self) -> bool {
        self.millis.unsigned_abs() >= millis(CLOCK_STEP_MIN).unsigned_abs()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.millis.unsigned_abs() / 1000;
        let (days, of_day) = (secs / 86_400, secs % 86_400);
        if days > 0 {
            write!(f, "{days} d ")?;
        }
        let way = if self.millis < 0 { "back" } else { "forward" };
        write!(f, "{:02}:{:02}:{:02} {way}", of_day / 3600, of_day / 60 % 60, of_day % 60)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Option<Uuid> = Some(Uuid([1; 16]));
    const YEAR: i64 = 365 * 86_400;

    /// A wall clock of so many seconds, that long after a boot.
    fn at(wall: i64, uptime: u64) -> Reading {
        Reading { wall: Timestamp::from_secs(wall), uptime: Duration::from_secs(uptime) }
    }

    fn fresh(wall: i64, uptime: u64) -> LeaseClock {
        LeaseClock::start(at(wall, uptime), BOOT, None, None).0
    }

    fn secs(step: Option<Step>) -> Option<i64> {
        step.map(|step| step.millis / 1000)
    }

    #[test]
    fn time_passes_without_a_step() {
        let mut clock = fresh(1000, 50);
        assert_eq!(clock.follow(at(1000 + YEAR, 50 + YEAR as u64)), None);
        assert_eq!(clock.now(Duration::from_secs(60)), Timestamp::from_secs(1010));
    }

    #[test]
    fn a_step_is_followed_once_and_small_ones_when_they_have_added_up() {
        let mut clock = fresh(1000, 50);
        assert_eq!(secs(clock.follow(at(1010 - YEAR, 60))), Some(-YEAR));
        assert_eq!(clock.follow(at(1020 - YEAR, 70)), None);
        assert_eq!(clock.now(Duration::from_secs(70)), Timestamp::from_secs(1020 - YEAR));
        assert_eq!(clock.follow(at(1031 - YEAR, 80)), None);
        assert_eq!(secs(clock.follow(at(1042 - YEAR, 90))), Some(2));
    }

    /// The server was away for 100 seconds, the host was not.
    #[test]
    fn a_step_while_no_server_ran_is_known_within_a_boot() {
        let mark = fresh(1000, 50).mark();
        let newest = Some(Timestamp::from_secs(1000));
        let resumed = |wall| secs(LeaseClock::start(at(wall, 150), BOOT, mark, newest).1);
        assert_eq!(resumed(1100), None);
        assert_eq!(resumed(1100 + YEAR), Some(YEAR));
        assert_eq!(resumed(1100 - YEAR), Some(-YEAR));
        // Back, but not behind what was written.
        assert_eq!(resumed(1050), Some(-50));
    }

    #[test]
    fn after_another_boot_only_a_clock_in_the_past_is_known_to_be_wrong() {
        let mark = fresh(1000, 50).mark();
        let newest = Some(Timestamp::from_secs(1000));
        let other = Some(Uuid([2; 16]));
        for (boot, uptime) in [(other, 5), (None, 5), (BOOT, 5)] {
            let (clock, step) = LeaseClock::start(at(0, uptime), boot, mark, newest);
            assert_eq!(secs(step), Some(-1000));
            assert_eq!(clock.now(Duration::from_secs(uptime)), Timestamp::from_secs(0));
        }
        assert_eq!(LeaseClock::start(at(1000 + YEAR, 5), other, mark, newest).1, None);
        assert_eq!(LeaseClock::start(at(0, 5), other, mark, None).1, None);
    }

    #[test]
    fn a_step_is_told_in_days_and_hours() {
        assert_eq!(Step { millis: -YEAR * 1000 }.to_string(), "365 d 00:00:00 back");
        assert_eq!(Step { millis: 3_723_999 }.to_string(), "01:02:03 forward");
    }
}
