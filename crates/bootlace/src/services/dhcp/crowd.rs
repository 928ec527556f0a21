//! When it pays to wait for more messages before a commit.
//!
//! A commit costs as much as deciding ten messages, whether it stores one lease or fifty, and on a fast disk it is over
//! before so many have come. So while a crowd asks, a round begins a little later than it could.

use std::time::{Duration, Instant};

/// How much later. No machine notices it, and it is short enough that the answers to a crowd behind one relay still fit
/// into that relay's socket buffer (166 by default).
pub(super) const GATHER_TIME: Duration = Duration::from_millis(1);
/// How long messages are counted.
const WINDOW: Duration = Duration::from_millis(10);
/// So many within it, or more within longer, are a crowd: with fewer, waiting would gather nothing.
const CROWD: usize = 20;

/// How many ask.
pub(super) struct Crowd {
    since: Instant,
    heard: usize,
    is_there: bool,
}

impl Crowd {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, heard: 0, is_there: false }
    }

    /// A round of so many messages.
    pub(super) fn heard(&mut self, count: usize, now: Instant) {
        self.heard += count;
        let elapsed = now.duration_since(self.since);
        if elapsed >= WINDOW {
            // A window that silence has made longer needs more.
            self.is_there = self.heard as u128 * WINDOW.as_nanos() >= CROWD as u128 * elapsed.as_nanos();
            (self.since, self.heard) = (now, 0);
        }
    }

    /// How long the next round waits for more.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.is_there.then_some(GATHER_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crowd_is_waited_for() {
        let start = Instant::now();
        let mut crowd = Crowd::new(start);
        // One machine, as fast as it can.
        for round in 1..=100 {
            crowd.heard(1, start + round * WINDOW / 8);
            assert_eq!(crowd.pause(), None, "round {round}");
        }
        let start = start + 100 * WINDOW;
        let later = |round: u32| start + round * GATHER_TIME;
        for round in 1..=20 {
            crowd.heard(4, later(round));
        }
        assert_eq!(crowd.pause(), Some(GATHER_TIME));
        crowd.heard(1, later(100));
        assert_eq!(crowd.pause(), None, "it is gone");
    }
}
