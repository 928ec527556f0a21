//! A warning that a flood of packets cannot make a flood of.

use std::time::Duration;

use bootlace_core::model::Timestamp;

/// Once in this time is often enough for a person, and slow enough for a disk.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts what happens and says when it is time to tell.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// When it was told last.
    told: Option<Timestamp>,
    untold: u64,
}

impl Alarm {
    /// It happened once more. Returns how often since it was told last, when it is to be told now.
    pub(super) fn ring(&mut self, now: Timestamp) -> Option<u64> {
        self.untold += 1;
        // Told in the future: the clock was set back since then.
        if self.told.is_some_and(|told| told <= now && now < told.after(PAUSE)) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_together() {
        let mut alarm = Alarm::default();
        let start = Timestamp(1_000_000);
        assert_eq!(alarm.ring(start), Some(1));
        assert_eq!(alarm.ring(start), None);
        assert_eq!(alarm.ring(start.after(PAUSE - Duration::from_millis(1))), None);
        assert_eq!(alarm.ring(start.after(PAUSE)), Some(3));
        assert_eq!(alarm.ring(start.after(PAUSE)), None);
        assert_eq!(alarm.ring(start), Some(2));
    }
}
