//! Memory for long commands, of which all connections together have so much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::limits::{LONG_COMMAND_BYTES_MIN, LONG_COMMANDS_BYTES_MAX};

/// What is left of it.
#[derive(Debug)]
pub(super) struct Memory(AtomicU64);

/// A part of it, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Loan {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(LONG_COMMANDS_BYTES_MAX))
    }

    /// Lends what a command of so many bytes takes: nothing for a short one. `None` when there is too little left.
    pub(super) fn lend(self: &Arc<Self>, bytes: u64) -> Option<Loan> {
        let bytes = if bytes < LONG_COMMAND_BYTES_MIN { 0 } else { bytes };
        let take = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Loan { memory: Arc::clone(self), bytes })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.memory.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back() {
        let memory = Arc::new(Memory::new());
        let all = memory.lend(LONG_COMMANDS_BYTES_MAX).expect("all of it");
        assert!(memory.lend(LONG_COMMAND_BYTES_MIN).is_none());
        assert!(memory.lend(LONG_COMMAND_BYTES_MIN - 1).is_some(), "short ones need none");
        drop(all);
        assert!(memory.lend(LONG_COMMAND_BYTES_MIN).is_some());
    }
}
