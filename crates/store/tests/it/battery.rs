//! What every kind of store does. Each test takes a store, so that another engine can run the same battery.

use std::path::Path;

use bootlace_core::dhcp::{Lease, LeaseChange, LeaseState};
use bootlace_core::model::{Text, Timestamp};
use bootlace_store::Store;
use bootlace_wire::HwAddr;

use crate::make::{ip, lease};

fn on_sqlite(test: fn(&mut Store)) {
    let dir = tempfile::tempdir().unwrap();
    test(&mut Store::open(dir.path()).unwrap());
}

pub(crate) fn reopened(store: Store, dir: &Path) -> Store {
    drop(store);
    Store::open(dir).unwrap()
}

fn put(lease: &Lease) -> LeaseChange {
    LeaseChange::Put(lease.clone())
}

fn starts_empty(store: &mut Store) {
    assert_eq!(store.leases().unwrap(), []);
    store.commit(&[]).unwrap();
}

fn keeps_every_field(store: &mut Store) {
    let mut full = lease(1);
    full.client_id = Some(vec![1, 0x52, 0, 0xff]);
    full.uuid = Some("4c4c4544-0039-4e10-804e-b9c04f4d344a".parse().unwrap());
    full.hostname = Text::from("Robert'); DROP TABLE leases;--");
    full.until = Timestamp::NEVER;
    let infiniband = Lease { hw: HwAddr::new(32, &[7; 16]).unwrap(), client_id: Some(vec![]), ..lease(2) };
    let released = Lease { state: LeaseState::Released, since: Timestamp(-1), ..lease(3) };
    let declined = Lease { state: LeaseState::Declined, hostname: Text::default(), ..lease(4) };
    let conflict = Lease { state: LeaseState::Conflict, hostname: Text::default(), ..lease(5) };
    let all = [full, infiniband, released, declined, conflict];
    store.commit(&all.each_ref().map(put)).unwrap();
    assert_eq!(store.leases().unwrap(), all);
}

fn lists_by_address(store: &mut Store) {
    // As text 10.0.0.9 comes after 10.0.0.10.
    store.commit(&[put(&lease(10)), put(&lease(256)), put(&lease(9))]).unwrap();
    let addresses: Vec<_> = store.leases().unwrap().iter().map(|lease| lease.address).collect();
    assert_eq!(addresses, [ip(9), ip(10), ip(256)]);
}

fn an_address_has_one_lease(store: &mut Store) {
    store.commit(&[put(&lease(1)), put(&lease(2))]).unwrap();
    let taken = Lease { address: ip(1), client_id: Some(vec![5]), ..lease(7) };
    store.commit(&[put(&taken)]).unwrap();
    assert_eq!(store.leases().unwrap(), [taken, lease(2)]);
}

fn changes_apply_in_order(store: &mut Store) {
    let gone = LeaseChange::Remove(ip(1));
    store.commit(&[put(&lease(1)), gone.clone(), put(&lease(2)), LeaseChange::Remove(ip(3))]).unwrap();
    assert_eq!(store.leases().unwrap(), [lease(2)]);
    store.commit(&[gone, put(&lease(1)), LeaseChange::Remove(ip(2))]).unwrap();
    assert_eq!(store.leases().unwrap(), [lease(1)]);
}

#[test]
fn battery_on_sqlite() {
    for test in
        [starts_empty, keeps_every_field, lists_by_address, an_address_has_one_lease, changes_apply_in_order]
    {
        on_sqlite(test);
    }
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for number in 0..100 {
        store.commit(&[put(&lease(number))]).unwrap();
        if number % 10 == 0 {
            store = reopened(store, dir.path());
        }
    }
    store = reopened(store, dir.path());
    assert_eq!(store.leases().unwrap(), (0..100).map(lease).collect::<Vec<_>>());
}
