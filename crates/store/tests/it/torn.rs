//! A power loss may cut the write-ahead log anywhere: what is left opens, and holds a beginning of what was
//! written, never a hole and never half a batch.

use std::fs;
use std::path::Path;

use bootlace_core::dhcp::LeaseChange;
use bootlace_store::journal::EventId;
use bootlace_store::{Journal, JournalReader, Store};

use crate::make::{lease, record, secs, sent};

/// The two files as a power loss leaves them: the log cut after `len` bytes, the last of them garbled.
fn cut(from: &Path, to: &Path, name: &str, len: usize) {
    fs::copy(from.join(name), to.join(name)).unwrap();
    let log = format!("{name}-wal");
    let mut bytes = fs::read(from.join(&log)).unwrap();
    bytes.truncate(len);
    bytes.iter_mut().rev().take(7).for_each(|byte| *byte ^= 0x55);
    fs::write(to.join(&log), bytes).unwrap();
}

fn log_len(dir: &Path, name: &str) -> usize {
    fs::metadata(dir.join(format!("{name}-wal"))).unwrap().len() as usize
}

#[test]
fn leases_up_to_some_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    // The length of the log when each commit returned: what was on the disk by then.
    let mut ends = vec![log_len(dir.path(), "bootlace.db")];
    for number in 0..30 {
        store
            .commit(&[LeaseChange::Put(lease(2 * number)), LeaseChange::Put(lease(2 * number + 1))])
            .unwrap();
        ends.push(log_len(dir.path(), "bootlace.db"));
    }
    let (first, last) = (ends[0], ends[30]);
    for len in (first..=last).step_by(3001) {
        let to = tempfile::tempdir().unwrap();
        cut(dir.path(), to.path(), "bootlace.db", len);
        let leases = Store::open(to.path()).unwrap().leases().unwrap();
        let whole = leases.len() / 2;
        assert_eq!(leases, (0..2 * whole as u32).map(lease).collect::<Vec<_>>(), "cut at {len}");
        let synced = ends.iter().filter(|&&end| end + 7 <= len).count();
        assert!(whole + 1 >= synced, "cut at {len}: {whole} commits, {} were synced", synced - 1);
    }
}

#[test]
fn events_up_to_some_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    for batch in 0..20 {
        let records: Vec<_> = (0..10).map(|n| record(1, secs(batch), sent("a", n))).collect();
        journal.append(&records).unwrap();
    }
    let len = log_len(dir.path(), "journal.db");
    let mut counts = Vec::new();
    for len in (len / 2..len).step_by(5003) {
        let to = tempfile::tempdir().unwrap();
        cut(dir.path(), to.path(), "journal.db", len);
        let mut journal = Journal::open(to.path()).unwrap();
        let reader = JournalReader::open(to.path()).unwrap();
        let count = reader.events_after(EventId(0), 1000).unwrap().events.len();
        assert_eq!(count % 10, 0, "cut at {len}");
        counts.push(count);
        journal.append(&[record(1, secs(99), sent("z", 0))]).unwrap();
    }
    assert!(counts.is_sorted() && counts[0] < counts[counts.len() - 1], "{counts:?}");
}
