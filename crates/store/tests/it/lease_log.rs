//! The log behind the leases: bounded, and never in the way of what it says.

use bootlace_core::dhcp::{Lease, LeaseChange};
use bootlace_store::Store;

use crate::make::{lease, secs};

fn rows(dir: &std::path::Path) -> i64 {
    let conn = rusqlite::Connection::open(dir.join("bootlace.db")).unwrap();
    conn.query_row("SELECT COUNT(*) FROM lease_log", [], |row| row.get(0)).unwrap()
}

/// Lease `number` as it was renewed at second `at`.
fn renewed(number: u32, at: u64) -> Lease {
    Lease { until: secs(at), ..lease(number) }
}

#[test]
fn renewals_leave_a_bounded_log_with_the_last_word_of_each() {
    const LEASES: u32 = 3000;
    const STANDING: u32 = 500;
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let put = |number, at| LeaseChange::Put(renewed(number, at));
    store.commit(&(0..LEASES).map(|number| put(number, 0)).collect::<Vec<_>>()).unwrap();
    // Some never renew: their rows come to the front of the log again and again.
    for at in 1..=20 {
        for batch in (STANDING..LEASES).collect::<Vec<_>>().chunks(50) {
            store.commit(&batch.iter().map(|&number| put(number, at)).collect::<Vec<_>>()).unwrap();
        }
        assert!(rows(dir.path()) <= 2 * i64::from(LEASES) + 4096 + 50, "{} rows", rows(dir.path()));
    }
    let last = |number| renewed(number, if number < STANDING { 0 } else { 20 });
    let expected: Vec<Lease> = (0..LEASES).map(last).collect();
    assert_eq!(store.leases().unwrap(), expected);
    drop(store);
    assert_eq!(Store::open(dir.path()).unwrap().leases().unwrap(), expected);
}

#[test]
fn what_was_removed_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let gone = lease(1).address;
    store.commit(&[LeaseChange::Put(lease(1)), LeaseChange::Put(lease(2))]).unwrap();
    store.commit(&[LeaseChange::Remove(gone)]).unwrap();
    // Enough for the removal to come to the front and go.
    for at in 0..300 {
        store.commit(&vec![LeaseChange::Put(renewed(2, at)); 50]).unwrap();
    }
    assert!(rows(dir.path()) < 5000, "{} rows", rows(dir.path()));
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(store.leases().unwrap(), [renewed(2, 299)]);
    // The numbers go on behind what a former process wrote.
    store.commit(&[LeaseChange::Put(lease(1))]).unwrap();
    assert_eq!(store.leases().unwrap(), [lease(1), renewed(2, 299)]);
}
