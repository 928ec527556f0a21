//! The journal's thread.

use std::sync::Arc;

use bootlace_core::session::SessionId;
use bootlace_store::journal::{EventId, Fate, Handle, Notice, QUEUE_MAX, Retention, Writer};
use bootlace_store::{Journal, JournalReader};

use crate::make::{absent, record, secs, sent};

fn spawn(dir: &tempfile::TempDir) -> Handle {
    Writer::spawn(Journal::open(dir.path()).unwrap(), Retention::default()).unwrap()
}

fn count(dir: &tempfile::TempDir) -> u64 {
    let reader = JournalReader::open(dir.path()).unwrap();
    let events = reader.events_after(EventId(0), usize::MAX).unwrap().events;
    events.iter().map(|event| u64::from(event.record.repeats) + 1).sum()
}

#[test]
fn what_was_flushed_is_there_and_nothing_is_counted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let handle = spawn(&dir);
    handle.flush().unwrap();
    for number in 0..10 {
        handle.send(record(1, secs(number), sent("a", number)));
    }
    handle.flush().unwrap();
    assert_eq!(count(&dir), 10);
    let counters = handle.counters();
    assert_eq!((counters.written, counters.waiting, counters.dropped), (10, 0, 0));
}

#[test]
fn dropping_the_handle_writes_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let handle = spawn(&dir);
    for number in 0..1000 {
        handle.send(record(1, secs(number), sent("a", number)));
    }
    drop(handle);
    assert_eq!(count(&dir), 1000);
}

#[test]
fn many_threads_send_and_every_record_is_accounted_for() {
    const EACH: u64 = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let handle = Arc::new(spawn(&dir));
    let senders: Vec<_> = (0..4)
        .map(|thread| {
            let handle = Arc::clone(&handle);
            std::thread::spawn(move || {
                for n in 0..EACH {
                    handle.send(record(thread, secs(n), absent("x")));
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    handle.flush().unwrap();
    let counters = handle.counters();
    assert_eq!(counters.written + counters.folded + counters.dropped, 4 * EACH);
    assert_eq!(counters.failures, 0, "{:?}", counters.error);
    assert_eq!(count(&dir), 4 * EACH - counters.dropped);
}

#[test]
fn a_journal_that_cannot_be_written_keeps_the_services_going() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let other = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk on fire'); END";
    other.execute_batch(trigger).unwrap();
    let handle = Writer::spawn(journal, Retention::default()).unwrap();

    handle.send(record(1, secs(0), sent("a", 1)));
    let error = handle.flush().expect_err("it was written");
    assert!(error.to_string().contains("disk on fire"), "{error}");
    let sent_while_broken = (0..2 * QUEUE_MAX as u64)
        .filter(|&n| handle.send(record(1, secs(n), sent("a", n))) == Fate::Kept)
        .count();
    assert_eq!(sent_while_broken, QUEUE_MAX);
    let counters = handle.counters();
    assert_eq!((counters.written, counters.waiting), (0, QUEUE_MAX));
    assert!(counters.error.is_some() && counters.failures > 0);

    // The batch that failed is not lost: when the disk is well again, it comes first.
    other.execute_batch("DROP TRIGGER no").unwrap();
    drop(handle);
    assert_eq!(count(&dir), QUEUE_MAX as u64 + 1);
    let reader = JournalReader::open(dir.path()).unwrap();
    let first = &reader.events_of(SessionId(1), 1).unwrap().events[0].record;
    assert_eq!(first.event.kind, sent("a", 1));
}

#[test]
fn a_turn_for_the_worse_and_for_the_better_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let other = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk on fire'); END";
    other.execute_batch(trigger).unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    let tell = move |notice| sender.send(notice).unwrap();
    let handle = Writer::spawn_telling(journal, Retention::default(), tell).unwrap();
    handle.send(record(1, secs(0), sent("a", 1)));
    let Notice::Behind(error) = told.recv().unwrap() else { panic!("not behind") };
    assert!(error.to_string().contains("disk on fire"), "{error}");
    // It tries once more at the least, and the queue overflows by ten.
    handle.flush().expect_err("it was written");
    for n in 0..QUEUE_MAX as u64 + 10 {
        handle.send(record(1, secs(n), sent("a", n)));
    }
    other.execute_batch("DROP TRIGGER no").unwrap();
    assert_eq!(told.recv().unwrap(), Notice::CaughtUp { lost: 10 });
    drop(handle);
    assert!(told.recv().is_err(), "nothing else was told");
}

#[test]
fn a_shutdown_does_not_insist_on_a_broken_disk() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let other = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk on fire'); END";
    other.execute_batch(trigger).unwrap();
    let handle = Writer::spawn(journal, Retention::default()).unwrap();
    for number in 0..1000 {
        handle.send(record(1, secs(number), sent("a", number)));
    }
    drop(handle);
    assert_eq!(count(&dir), 0);
}

#[test]
fn retention_runs_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Retention { bytes: 1 << 20, ..Retention::default() };
    let handle = Writer::spawn(Journal::open(dir.path()).unwrap(), limits).unwrap();
    for number in 0..20_000 {
        handle.send(record(1, secs(number), absent(&format!("{number} {}", "long ".repeat(20)))));
        if number % 1000 == 0 {
            handle.flush().unwrap();
        }
    }
    drop(handle);
    let size = std::fs::metadata(dir.path().join("journal.db")).unwrap().len();
    // The limit, and what comes between two looks.
    assert!(size < (1 << 20) + (1 << 20), "{size} bytes");
}
