//! Directories and files that cannot be used say why, and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bootlace_core::dhcp::{ClockMark, LeaseChange};
use bootlace_core::model::Uuid;
use bootlace_store::{Journal, JournalReader, Store, StoreError};

use crate::make::{lease, secs};

fn error(dir: &Path) -> StoreError {
    Store::open(dir).expect_err("it opened")
}

fn run_sql(file: &Path, sql: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_second_server_is_kept_out_and_told_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let refused = error(dir.path());
    assert_eq!(refused, StoreError::Locked { dir: dir.path().into(), holder: Some(std::process::id()) });
    assert!(refused.to_string().contains(&format!("(process {})", std::process::id())), "{refused}");
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[test]
fn missing_directories_are_made_for_their_owner_and_group() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("var/lib/bootlace");
    Store::open(&state).unwrap();
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o750);
}

#[test]
fn a_directory_that_cannot_be_written() {
    // Not even root can make files in these two.
    let file = tempfile::NamedTempFile::new().unwrap();
    for dir in [file.path(), Path::new("/proc/self")] {
        let refused = error(dir);
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
        assert!(refused.to_string().contains(dir.to_str().unwrap()), "{refused}");
    }
}

#[test]
fn a_database_that_is_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bootlace.db")).unwrap();
    let refused = error(dir.path()).to_string();
    assert!(refused.contains("bootlace.db") && refused.contains("must own state_dir"), "{refused}");
}

#[test]
fn a_file_that_is_no_database() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["bootlace.db", "journal.db"] {
        fs::write(dir.path().join(name), "this is not a database, ".repeat(100)).unwrap();
    }
    let refused = [error(dir.path()), Journal::open(dir.path()).expect_err("it opened")];
    for refused in refused {
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
        assert!(refused.to_string().contains("bootlace state restore"), "{refused}");
    }
}

#[test]
fn a_damaged_page_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let changes: Vec<_> = (0..500).map(|number| LeaseChange::Put(lease(number))).collect();
    store.commit(&changes).unwrap();
    drop(store);
    let file = dir.path().join("bootlace.db");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() / 2 / 4096 * 4096;
    bytes[at..at + 4096].fill(0x5a);
    fs::write(&file, bytes).unwrap();
    assert!(matches!(error(dir.path()), StoreError::Corrupt { .. }));
}

#[test]
fn a_lease_that_cannot_be_read_is_not_forgotten() {
    for (column, value) in [
        ("hw", "'nobody'"),
        ("state", "'lost'"),
        ("client_id", "'abc'"),
        ("uuid", "'x'"),
        ("until", "'tomorrow'"),
        ("address", "'fe80::1'"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap().commit(&[LeaseChange::Put(lease(1))]).unwrap();
        run_sql(&dir.path().join("bootlace.db"), &format!("UPDATE lease_log SET {column} = {value}"));
        let store = Store::open(dir.path()).unwrap();
        let refused = store.leases().expect_err(column);
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{column}: {refused:?}");
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop((Store::open(dir.path()).unwrap(), Journal::open(dir.path()).unwrap()));
    for name in ["bootlace.db", "journal.db"] {
        run_sql(&dir.path().join(name), "INSERT INTO schema_versions VALUES (900)");
    }
    let refused = [
        error(dir.path()),
        Journal::open(dir.path()).expect_err("it opened"),
        JournalReader::open(dir.path()).expect_err("it opened"),
    ];
    for refused in refused {
        assert!(matches!(refused, StoreError::Newer { found: 900, .. }), "{refused:?}");
        assert!(refused.to_string().contains("newer Bootlace"), "{refused}");
    }
}

#[test]
fn a_reader_needs_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let refused = JournalReader::open(dir.path()).expect_err("it opened");
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
    assert!(!dir.path().join("journal.db").exists());
}

/// That the clock was set, and what moved with it.
#[test]
fn the_clock_and_its_leases_are_one_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(store.clock().unwrap(), None);
    let mark = |number, began| ClockMark { boot: Uuid([number; 16]), began: secs(began) };
    store.commit_clock(mark(1, 5), &[]).unwrap();
    assert_eq!(store.clock().unwrap(), Some(mark(1, 5)));
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON lease_log BEGIN SELECT RAISE(ABORT, 'no room'); END";
    run_sql(&dir.path().join("bootlace.db"), trigger);
    store.commit_clock(mark(2, 9), &[LeaseChange::Put(lease(1))]).expect_err("it committed");
    assert_eq!((store.clock().unwrap(), store.leases().unwrap()), (Some(mark(1, 5)), vec![]));
    run_sql(&dir.path().join("bootlace.db"), "DROP TRIGGER no");
    store.commit_clock(mark(2, 9), &[LeaseChange::Put(lease(1))]).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.clock().unwrap(), store.leases().unwrap()), (Some(mark(2, 9)), vec![lease(1)]));
    run_sql(&dir.path().join("bootlace.db"), "UPDATE clock SET boot = 'never'");
    assert!(matches!(store.clock(), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_failed_commit_changes_nothing_and_the_next_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.commit(&[LeaseChange::Put(lease(1))]).unwrap();
    let other = rusqlite::Connection::open(dir.path().join("bootlace.db")).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON lease_log WHEN NEW.address = '10.0.0.3' \
                   BEGIN SELECT RAISE(ABORT, 'no room'); END";
    other.execute_batch(trigger).unwrap();
    let changes: Vec<_> = (2..5).map(|number| LeaseChange::Put(lease(number))).collect();
    let refused = store.commit(&changes).expect_err("it committed");
    assert!(refused.to_string().contains("no room"), "{refused}");
    assert_eq!(store.leases().unwrap(), [lease(1)]);
    other.execute_batch("DROP TRIGGER no").unwrap();
    store.commit(&changes).unwrap();
    assert_eq!(store.leases().unwrap().len(), 4);
}
