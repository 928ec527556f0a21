//! The journal forgets by age and by size, a step at a time.

use std::path::Path;
use std::time::Duration;

use bootlace_core::model::Timestamp;
use bootlace_core::session::SessionId;
use bootlace_store::journal::{EventId, Record, Retention, Trimmed};
use bootlace_store::{Journal, JournalReader};

use crate::make::{absent, record, secs};

const HOUR: u64 = 3600;
const UNLIMITED: Retention = Retention { age: Duration::MAX, bytes: u64::MAX };

/// One event an hour, ten in a session.
fn filled(dir: &Path, events: u64) -> Journal {
    let mut journal = Journal::open(dir).unwrap();
    let records: Vec<Record> = (0..events)
        .map(|n| record((n / 10 + 1) as u32, secs(n * HOUR), absent("padding ".repeat(12).as_str())))
        .collect();
    for batch in records.chunks(256) {
        journal.append(batch).unwrap();
    }
    journal
}

fn trim_all(journal: &mut Journal, limits: Retention, now: Timestamp) -> usize {
    let mut steps = 1;
    while journal.trim(limits, now).unwrap() == Trimmed::More {
        steps += 1;
    }
    steps
}

fn left(dir: &Path) -> (Vec<u64>, Vec<u64>) {
    let reader = JournalReader::open(dir).unwrap();
    let events = reader.events_after(EventId(0), usize::MAX).unwrap().events;
    let sessions = reader.sessions(usize::MAX).unwrap();
    (events.iter().map(|event| event.id.0).collect(), sessions.iter().map(|row| row.id.0).collect())
}

#[test]
fn nothing_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 30);
    for limits in [UNLIMITED, Retention::default()] {
        assert_eq!(journal.trim(limits, secs(30 * HOUR)).unwrap(), Trimmed::Done);
    }
    assert_eq!(left(dir.path()).0.len(), 30);
}

#[test]
fn old_events_go_and_sessions_with_their_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 40);
    let limits = Retention { age: Duration::from_secs(15 * HOUR), ..UNLIMITED };
    trim_all(&mut journal, limits, secs(39 * HOUR));
    // Event 25 is of hour 24, exactly fifteen before.
    let (events, sessions) = left(dir.path());
    assert_eq!(events, (25..=40).collect::<Vec<_>>());
    assert_eq!(sessions, [4, 3]);
}

#[test]
fn the_newest_stays_so_that_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 40);
    trim_all(&mut journal, Retention { age: Duration::ZERO, bytes: 0 }, secs(9000 * HOUR));
    assert_eq!(left(dir.path()), (vec![40], vec![4]));
    assert_eq!(journal.next_session().unwrap(), SessionId(5));
    journal.append(&[record(5, secs(0), absent("x"))]).unwrap();
    assert_eq!(left(dir.path()).0, [40, 41]);
}

#[test]
fn steps_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 2500);
    let steps = trim_all(&mut journal, Retention { age: Duration::ZERO, ..UNLIMITED }, secs(9000 * HOUR));
    assert_eq!(steps, 3);
}

#[test]
fn the_file_shrinks_to_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 6000);
    let limit = 512 << 10;
    let before = left(dir.path()).0;
    trim_all(&mut journal, Retention { bytes: limit, ..UNLIMITED }, secs(0));
    let (events, _) = left(dir.path());
    assert!(!events.is_empty() && events.len() < before.len());
    assert_eq!(*events, before[before.len() - events.len()..], "the oldest go first");
    drop(journal);
    let size = std::fs::metadata(dir.path().join("journal.db")).unwrap().len();
    assert!(size <= limit, "{size} bytes");
    assert!(size > limit / 4, "{size} bytes: more was removed than needed");
}
