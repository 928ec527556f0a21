//! Backup, restore and verify of whole state directories.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bootlace_core::dhcp::LeaseChange;
use bootlace_core::model::Timestamp;
use bootlace_store::state::{Backup, backup, is_backup, verify_backup, verify_journal, verify_leases};
use bootlace_store::{Journal, JournalReader, Store, StoreError};
use tempfile::TempDir;

use crate::make::{START, lease, record, secs, sent};

/// A folder with a state of so many leases, of which the first backup is `backup`.
struct Folders(TempDir);

impl Folders {
    fn with_state(leases: u32) -> Self {
        let folders = Self(tempfile::tempdir().unwrap());
        let mut store = Store::open(&folders.state()).unwrap();
        store.commit(&(0..leases).map(|number| LeaseChange::Put(lease(number))).collect::<Vec<_>>()).unwrap();
        let mut journal = Journal::open(&folders.state()).unwrap();
        journal.append(&[record(1, secs(0), sent("a", 1)), record(2, secs(1), sent("b", 2))]).unwrap();
        folders
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn backup(&self) -> PathBuf {
        self.0.path().join("backup")
    }

    fn back_up(&self) {
        backup(&self.state(), &self.backup(), START).unwrap();
    }

    fn restore(&self, at: Timestamp) -> Result<bootlace_store::state::Restored, StoreError> {
        Backup::open(&self.backup())?.restore(&self.state(), at)
    }
}

fn count(dir: &Path) -> usize {
    Store::open(dir).unwrap().leases().unwrap().len()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.len() / 2 / 4096 * 4096;
    bytes[at..at + 4096].fill(0x5a);
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_backup_holds_what_was_committed_before_it_and_nobody_waits_for_it() {
    let folders = Folders::with_state(0);
    let mut store = Store::open(&folders.state()).unwrap();
    let (committed, enough) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                store.commit(&[LeaseChange::Put(lease(number))]).unwrap();
                committed.store(number + 1, Ordering::SeqCst);
                if enough.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        for turn in 0..5 {
            let before = committed.load(Ordering::SeqCst);
            let to = folders.0.path().join(format!("backup-{turn}"));
            let manifest = backup(&folders.state(), &to, START).unwrap();
            assert!(manifest.leases.leases >= before.into(), "{manifest:?}, {before} were committed");
            assert_eq!(verify_backup(&to).unwrap(), manifest);
            assert_eq!(count(&to), manifest.leases.leases as usize);
        }
        enough.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_backup_is_a_closed_folder_for_its_owner() {
    let folders = Folders::with_state(3);
    folders.back_up();
    assert_eq!(names(&folders.backup()), ["bootlace.db", "journal.db", "manifest.json"]);
    assert_eq!(names(folders.0.path()), ["backup", "state"]);
    assert_eq!(fs::metadata(folders.backup()).unwrap().permissions().mode() & 0o777, 0o750);
    assert!(is_backup(&folders.backup()) && !is_backup(&folders.state()));
    let manifest = verify_backup(&folders.backup()).unwrap();
    assert_eq!(manifest.made, START.to_string());
    assert_eq!(manifest.leases, verify_leases(&folders.state()).unwrap());
    assert_eq!(manifest.leases.leases, 3);
    let journal = manifest.journal;
    assert_eq!((journal.events, journal.sessions, journal.machines), (2, 2, 2));
    // Looking at it has changed nothing: it may lie where nobody can write.
    assert_eq!(names(&folders.backup()), ["bootlace.db", "journal.db", "manifest.json"]);
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let folders = Folders::with_state(3);
    folders.back_up();
    let inode = fs::metadata(folders.backup().join("bootlace.db")).unwrap().ino();
    let refused = backup(&folders.state(), &folders.backup(), START).unwrap_err().to_string();
    assert!(refused.contains("there already"), "{refused}");
    assert_eq!(fs::metadata(folders.backup().join("bootlace.db")).unwrap().ino(), inode);

    let other = folders.0.path().join("other");
    assert!(backup(&folders.0.path().join("nowhere"), &other, START).is_err());
    assert!(backup(&folders.state(), &folders.0.path().join("no/folder"), START).is_err());
    // Only found while the copy is made, since the schema is as it should be.
    let sql = "ALTER TABLE sessions RENAME TO gone";
    rusqlite::Connection::open(folders.state().join("journal.db")).unwrap().execute_batch(sql).unwrap();
    assert!(backup(&folders.state(), &other, START).is_err());
    assert_eq!(names(folders.0.path()), ["backup", "state"]);
}

#[test]
fn a_damaged_database_is_found_and_not_backed_up() {
    for name in ["bootlace.db", "journal.db"] {
        let folders = Folders::with_state(500);
        let mut journal = Journal::open(&folders.state()).unwrap();
        (0..500).for_each(|n| journal.append(&[record(n, secs(0), sent("a", 1))]).unwrap());
        drop(journal);
        folders.back_up();
        damage(&folders.state().join(name));
        let found = [verify_leases(&folders.state()).err(), verify_journal(&folders.state()).err()];
        let found: Vec<StoreError> = found.into_iter().flatten().collect();
        assert!(
            matches!(&found[..], [StoreError::Corrupt { file, .. }] if file.ends_with(name)),
            "{found:?}"
        );
        assert_eq!(backup(&folders.state(), &folders.0.path().join("other"), START).unwrap_err(), found[0]);
        damage(&folders.backup().join(name));
        assert!(matches!(folders.restore(START), Err(StoreError::BadBackup { .. })));
        assert!(!names(&folders.state()).iter().any(|name| name.contains("before")), "nothing was moved");
    }
}

#[test]
fn verify_reads_every_lease() {
    let folders = Folders::with_state(3);
    let sql = "UPDATE lease_log SET hw = 'nobody' WHERE address = '10.0.0.1'";
    rusqlite::Connection::open(folders.state().join("bootlace.db")).unwrap().execute_batch(sql).unwrap();
    let refused = verify_leases(&folders.state()).unwrap_err().to_string();
    assert!(refused.contains("hardware address"), "{refused}");
}

#[test]
fn what_is_not_ours_or_newer_is_said() {
    let folders = Folders::with_state(1);
    for name in ["bootlace.db", "journal.db"] {
        let file = folders.state().join(name);
        let run = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        run("INSERT INTO schema_versions VALUES (900)");
        let refused = [verify_leases(&folders.state()).err(), verify_journal(&folders.state()).err()];
        let refused = refused.into_iter().flatten().next().unwrap();
        assert!(matches!(refused, StoreError::Newer { found: 900, .. }), "{refused}");
        fs::remove_file(&file).unwrap();
        run("CREATE TABLE songs (title TEXT)");
        let refused = [verify_leases(&folders.state()).err(), verify_journal(&folders.state()).err()];
        let refused = refused.into_iter().flatten().next().unwrap();
        assert!(refused.to_string().contains("no database of Bootlace"), "{refused}");
        fs::remove_file(&file).unwrap();
        drop((Store::open(&folders.state()).unwrap(), Journal::open(&folders.state()).unwrap()));
    }
    let empty = tempfile::tempdir().unwrap();
    let refused = verify_leases(empty.path()).unwrap_err().to_string();
    assert!(refused.contains("first start"), "{refused}");
    assert!(names(empty.path()).is_empty());
}

#[test]
fn a_backup_that_was_touched_is_no_backup() {
    let folders = Folders::with_state(3);
    folders.back_up();
    let file = folders.backup().join("bootlace.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch("DELETE FROM lease_log WHERE address = '10.0.0.1'").unwrap();
    let refused = verify_backup(&folders.backup()).unwrap_err().to_string();
    assert!(refused.contains("the manifest says"), "{refused}");
    conn.execute_batch("PRAGMA journal_mode = wal; DELETE FROM lease_log").unwrap();
    let refused = verify_backup(&folders.backup()).unwrap_err().to_string();
    assert!(refused.contains("has opened it"), "{refused}");
    fs::remove_file(folders.backup().join("manifest.json")).unwrap();
    assert!(folders.restore(START).is_err());
}

#[test]
fn a_restore_puts_the_backup_in_place_and_keeps_what_was_there() {
    let folders = Folders::with_state(3);
    folders.back_up();
    Store::open(&folders.state()).unwrap().commit(&[LeaseChange::Put(lease(77))]).unwrap();
    let running = Store::open(&folders.state()).unwrap();
    assert!(matches!(folders.restore(START), Err(StoreError::Locked { .. })));
    drop(running);

    let restored = folders.restore(START).unwrap();
    assert_eq!(count(&folders.state()), 3);
    let reader = JournalReader::open(&folders.state()).unwrap();
    assert_eq!(reader.sessions(10).unwrap().len(), 2);
    let [leases, journal] = &restored.kept[..] else { panic!("{restored:?}") };
    assert!(leases.exists() && journal.exists());
    // The same moment twice would overwrite what is kept.
    assert!(folders.restore(START).is_err());
    fs::rename(leases, folders.state().join("bootlace.db")).unwrap();
    assert_eq!(count(&folders.state()), 4);

    // On a new computer there is nothing yet.
    let elsewhere = folders.0.path().join("elsewhere");
    let restored = Backup::open(&folders.backup()).unwrap().restore(&elsewhere, START).unwrap();
    assert_eq!((restored.kept.len(), count(&elsewhere)), (0, 3));
}

#[test]
fn adopted_machines_are_backed_up_and_put_back() {
    let folders = Folders::with_state(1);
    let file = folders.state().join("adopted/machines.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "[[machine]]\n").unwrap();
    folders.back_up();
    assert_eq!(names(&folders.backup()), ["adopted", "bootlace.db", "journal.db", "manifest.json"]);
    assert_eq!(verify_backup(&folders.backup()).unwrap().adopted.unwrap().bytes, 12);
    fs::write(&file, "").unwrap();
    let restored = folders.restore(START).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "[[machine]]\n");
    assert_eq!(fs::read_to_string(&restored.kept[2]).unwrap(), "");
    let elsewhere = folders.0.path().join("elsewhere");
    Backup::open(&folders.backup()).unwrap().restore(&elsewhere, START).unwrap();
    assert_eq!(fs::read_to_string(elsewhere.join("adopted/machines.toml")).unwrap(), "[[machine]]\n");
    fs::write(folders.backup().join("adopted/machines.toml"), "").unwrap();
    assert!(verify_backup(&folders.backup()).is_err(), "it was touched");
    // One that cannot be read is no reason to go without it.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let refused = backup(&folders.state(), &folders.0.path().join("other"), START);
    assert!(refused.is_err(), "{refused:?}");
}

/// A backup of an older release has none, and takes none away.
#[test]
fn a_backup_without_adopted_machines_leaves_those_that_are_there() {
    let folders = Folders::with_state(1);
    folders.back_up();
    let file = folders.state().join("adopted/machines.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "[[machine]]\n").unwrap();
    assert_eq!(folders.restore(START).unwrap().kept.len(), 2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "[[machine]]\n");
}

/// The usual reason for a restore: the database cannot be opened at all.
#[test]
fn a_restore_needs_nothing_of_what_it_replaces() {
    let folders = Folders::with_state(3);
    folders.back_up();
    let junk = ["bootlace.db", "bootlace.db-wal", "bootlace.db-shm", "journal.db"];
    junk.iter().for_each(|name| fs::write(folders.state().join(name), "no database at all").unwrap());
    folders.restore(START).unwrap();
    assert_eq!(count(&folders.state()), 3);
    for name in ["bootlace.db.before-", "journal.db.before-"] {
        let kept = names(&folders.state()).into_iter().find(|found| found.starts_with(name)).unwrap();
        assert_eq!(fs::read(folders.state().join(kept)).unwrap(), b"no database at all");
    }
    assert!(!folders.state().join("bootlace.db-wal").exists(), "it would be replayed");
}

#[test]
fn a_backup_of_an_older_release_is_brought_up_to_date() {
    let folders = Folders(tempfile::tempdir().unwrap());
    fs::create_dir(folders.state()).unwrap();
    for (name, dump) in [
        ("bootlace.db", include_str!("../fixtures/store-1.sql")),
        ("journal.db", include_str!("../fixtures/journal-1.sql")),
    ] {
        rusqlite::Connection::open(folders.state().join(name)).unwrap().execute_batch(dump).unwrap();
    }
    folders.back_up();
    assert_eq!(verify_leases(&folders.state()).unwrap().schema, 1, "looking migrates nothing");
    let manifest = verify_backup(&folders.backup()).unwrap();
    assert_eq!((manifest.leases.schema, manifest.leases.leases), (1, 3));
    folders.restore(START).unwrap();
    assert_eq!(verify_leases(&folders.state()).unwrap().schema, 1);
    assert_eq!(count(&folders.state()), 3);
    let new = Folders::with_state(0);
    let schemas = [&folders, &new].map(|folders| verify_leases(&folders.state()).unwrap().schema);
    assert!(schemas[0] > 1 && schemas[0] == schemas[1], "{schemas:?}");
}
