//! Memory for long commands, of which all connections together have so much, and each a part of that.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bootlace_wire::iscsi::Request;
use bootlace_wire::scsi::Transfer;
use bootlace_wire::scsi::limits::TRANSFER_BYTES_MAX;

use super::limits::{LONG_COMMAND_BYTES_MIN, LONG_COMMANDS_BYTES_MAX, LONG_COMMANDS_BYTES_PER_SESSION_MAX};

/// What is left of it.
#[derive(Debug)]
pub(super) struct Memory(AtomicU64);

/// What one connection has of it.
#[derive(Debug)]
pub(super) struct Account {
    memory: Arc<Memory>,
    lent: Rc<Cell<u64>>,
}

/// A part of it, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Loan {
    memory: Arc<Memory>,
    lent: Rc<Cell<u64>>,
    bytes: u64,
}

/// What a command takes: nothing if it is a short one. What is read is there twice, by itself and between headers.
pub(super) fn needed(request: &Request, transfer: Transfer) -> u64 {
    let (bytes, copied) = match transfer {
        Transfer::None => (0, 0),
        // An allocation length may be any; what has one is short.
        Transfer::In(bytes) => (bytes.min(TRANSFER_BYTES_MAX.into()), bytes.min(request.announced_in.into())),
        Transfer::Out(bytes) => (bytes.min(request.announced_out.into()), 0),
    };
    if bytes < LONG_COMMAND_BYTES_MIN { 0 } else { bytes + copied.min(bytes) }
}

impl Memory {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(LONG_COMMANDS_BYTES_MAX))
    }
}

impl Account {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), lent: Rc::default() }
    }

    /// Lends so many bytes; `None` when there are too few left, for all or for this connection.
    pub(super) fn lend(&self, bytes: u64) -> Option<Loan> {
        let lent = self.lent.get() + bytes;
        if lent > LONG_COMMANDS_BYTES_PER_SESSION_MAX {
            return None;
        }
        let take = |left: u64| left.checked_sub(bytes);
        self.memory.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        self.lent.set(lent);
        Some(Loan { memory: Arc::clone(&self.memory), lent: Rc::clone(&self.lent), bytes })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.memory.0.fetch_add(self.bytes, Ordering::Relaxed);
        self.lent.set(self.lent.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use bootlace_wire::iscsi::Task;

    use super::*;

    #[test]
    fn what_is_lent_comes_back() {
        let memory = Arc::new(Memory::new());
        let share = LONG_COMMANDS_BYTES_PER_SESSION_MAX;
        let accounts: Vec<_> = (0..=LONG_COMMANDS_BYTES_MAX / share).map(|_| Account::new(&memory)).collect();
        let (last, others) = accounts.split_last().expect("accounts");
        let mut loans: Vec<_> =
            others.iter().map(|account| account.lend(share).expect("its share")).collect();
        assert!(others[0].lend(1).is_none());
        assert!(last.lend(1).is_none(), "all is lent");
        assert!(last.lend(0).is_some());
        loans.pop();
        assert!(others[0].lend(1).is_none(), "it is not somebody else's that came back");
        assert!(last.lend(share).is_some());
    }

    #[test]
    fn a_read_takes_its_bytes_twice_and_a_short_command_none() {
        let request = |announced: u32| Request {
            task: Task(1),
            number: 1,
            lun: [0; 8],
            cdb: [0; 16],
            announced_out: announced,
            announced_in: announced,
        };
        const LONG: u32 = TRANSFER_BYTES_MAX;
        for (announced, transfer, bytes) in [
            (LONG, Transfer::None, 0),
            (LONG, Transfer::In(LONG.into()), 2 * u64::from(LONG)),
            (512, Transfer::In(LONG.into()), u64::from(LONG) + 512),
            (512, Transfer::In(u32::MAX.into()), u64::from(LONG) + 512),
            (LONG, Transfer::Out(LONG.into()), LONG.into()),
            (512, Transfer::Out(LONG.into()), 0),
            (LONG, Transfer::Out(LONG_COMMAND_BYTES_MIN - 1), 0),
            (LONG, Transfer::In(LONG_COMMAND_BYTES_MIN - 1), 0),
        ] {
            assert_eq!(needed(&request(announced), transfer), bytes, "{announced} {transfer:?}");
        }
    }
}
