//! What boots taught is stored with the leases, or not at all.

use bootlace_core::dhcp::LeaseChange;
use bootlace_core::learn::{Ending, Fact, Failure, MachineFacts, Setting};
use bootlace_core::model::Firmware;
use bootlace_store::{Commit, LeaseReader, Store};

use crate::make::{hw, lease, secs};

fn facts() -> Vec<Fact> {
    let ending = |ending| Some(Failure { ending, at: secs(7) });
    let full = |setting, end| Fact {
        failures: u32::MAX,
        failed: ending(end),
        open: ending(end),
        worked: Some(secs(8)),
        pinned: Some(secs(9)),
        ..Fact::new(Firmware::Other(77), setting, secs(10))
    };
    let endings = Ending::ALL.into_iter().cycle();
    let mut facts: Vec<Fact> = Setting::ALL.into_iter().zip(endings).map(|(s, end)| full(s, end)).collect();
    facts.push(Fact::new(Firmware::HttpLoong64, Setting::Usual, secs(11)));
    facts.sort_by_key(|fact| (fact.firmware.to_string(), fact.setting.name()));
    facts
}

#[test]
fn what_is_learned_is_read_back_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let machine = |number, facts| MachineFacts { hw: hw(number), facts };
    let both = [machine(1, facts()), machine(2, facts())];
    store.commit_all(&Commit { learned: &both, ..Commit::default() }).unwrap();
    assert_eq!(store.learned().unwrap(), both);
    let changes = [LeaseChange::Put(lease(1))];
    let less = [machine(1, Vec::new()), machine(2, facts()[..1].to_vec())];
    store.commit_all(&Commit { changes: &changes, learned: &less, ..Commit::default() }).unwrap();
    drop(store);
    let reader = LeaseReader::open(dir.path()).unwrap();
    assert_eq!(reader.learned_of(hw(1)).unwrap(), []);
    assert_eq!(reader.learned_of(hw(2)).unwrap(), facts()[..1]);
    assert_eq!(reader.leases().unwrap(), [lease(1)]);
}

#[test]
fn a_lease_that_cannot_be_stored_keeps_back_what_was_learned_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON lease_log BEGIN SELECT RAISE(ABORT, 'no room'); END";
    rusqlite::Connection::open(dir.path().join("bootlace.db")).unwrap().execute_batch(trigger).unwrap();
    let learned = [MachineFacts { hw: hw(1), facts: facts() }];
    let changes = [LeaseChange::Put(lease(1))];
    store.commit_all(&Commit { changes: &changes, learned: &learned, ..Commit::default() }).unwrap_err();
    assert_eq!(store.learned().unwrap(), []);
}
