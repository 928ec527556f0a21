//! Files that older releases left, and what a newer one would leave beside what this one knows.

use std::path::Path;
use std::time::Duration;

use bootlace_core::config::BootName;
use bootlace_core::dhcp::{ClockMark, LeaseState};
use bootlace_core::event::*;
use bootlace_core::learn::{Ending, Fact, Failure, MachineFacts, Setting};
use bootlace_core::model::{Firmware, Reporting, Text, Timestamp, Var};
use bootlace_core::oneshot::{OneShot, OneShots, Owner, Stage, Taker};
use bootlace_core::session::SessionId;
use bootlace_store::journal::{EventId, Record};
use bootlace_store::{Journal, JournalReader, OneShotStore, Store};

use crate::make::{START, hw, record, script, sent};

fn restore(file: &Path, dump: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(dump).unwrap();
}

fn schema(file: &Path) -> Vec<String> {
    let conn = rusqlite::Connection::open(file).unwrap();
    let mut select =
        conn.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let words = |sql: String| sql.replace("IF NOT EXISTS ", "");
    let rows = select.query_map([], |row| row.get(0).map(words)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_store_of_schema_1() {
    let dir = tempfile::tempdir().unwrap();
    restore(&dir.path().join("bootlace.db"), include_str!("../fixtures/store-1.sql"));
    let leases = Store::open(dir.path()).unwrap().leases().unwrap();
    let brief: Vec<_> = leases.iter().map(|l| (l.address.to_string(), l.state, l.until)).collect();
    assert_eq!(
        brief,
        [
            ("10.188.0.9".into(), LeaseState::Declined, Timestamp(1_795_305_600_001)),
            ("10.188.0.60".into(), LeaseState::Bound, Timestamp(1_795_348_800_000)),
            ("10.188.0.61".into(), LeaseState::Released, Timestamp::NEVER),
        ]
    );
    assert_eq!(leases[1].client_id.as_deref(), Some(&[1, 0x52, 0x54, 0, 0, 0, 1][..]));
    assert_eq!(leases[1].hostname, Text::from("web1"));
}

/// The last row of an address is its lease, and a removed one is none.
#[test]
fn a_store_of_schema_2() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bootlace.db");
    restore(&file, include_str!("../fixtures/store-2.sql"));
    let leases = Store::open(dir.path()).unwrap().leases().unwrap();
    let brief: Vec<_> = leases.iter().map(|l| (l.address.to_string(), l.until, l.hostname.clone())).collect();
    assert_eq!(brief, [("10.188.0.60".into(), Timestamp(1_795_392_000_000), Text::from("web1"))]);
    let new = tempfile::tempdir().unwrap();
    drop(Store::open(new.path()).unwrap());
    assert_eq!(schema(&file), schema(&new.path().join("bootlace.db")));
}

#[test]
fn a_store_of_schema_3() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bootlace.db");
    restore(&file, include_str!("../fixtures/store-3.sql"));
    let store = Store::open(dir.path()).unwrap();
    let brief: Vec<_> = store.leases().unwrap().iter().map(|l| (l.until.0, l.noted.0)).collect();
    assert_eq!(brief, [(1_795_392_000_000, 1_795_348_800_000)]);
    let boot = "0f9b0f0e-1d2c-4b3a-8a5f-6c7d8e9f0a1b".parse().unwrap();
    let mark = ClockMark { boot, began: Timestamp(1_795_300_000_000) };
    assert_eq!(store.clock().unwrap(), Some(mark));
    let new = tempfile::tempdir().unwrap();
    drop(Store::open(new.path()).unwrap());
    assert_eq!(schema(&file), schema(&new.path().join("bootlace.db")));
}

/// What a later release has words for is left out, the rest is not.
#[test]
fn a_store_of_schema_4() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bootlace.db");
    restore(&file, include_str!("../fixtures/store-4.sql"));
    let learned = Store::open(dir.path()).unwrap().learned().unwrap();
    let at = |secs: i64| Timestamp(1_795_391_000_000 + secs * 1000);
    let failure = |ending, at| Some(Failure { ending, at });
    let new = |firmware, setting, seen| Fact::new(firmware, setting, seen);
    let expected = [
        MachineFacts {
            hw: hw(1),
            facts: vec![
                Fact { worked: Some(at(1000)), ..new(Firmware::UefiX64, Setting::Native, at(1000)) },
                Fact {
                    failures: 2,
                    failed: failure(Ending::Returned, at(0)),
                    ..new(Firmware::UefiX64, Setting::Usual, at(0))
                },
            ],
        },
        MachineFacts {
            hw: hw(2),
            facts: vec![Fact {
                failures: 1,
                failed: failure(Ending::Stalled, at(0)),
                open: failure(Ending::Silent, at(500)),
                pinned: Some(at(400)),
                ..new(Firmware::Bios, Setting::SmallBlocks, at(500))
            }],
        },
    ];
    assert_eq!(learned, expected);
    let new = tempfile::tempdir().unwrap();
    drop(Store::open(new.path()).unwrap());
    assert_eq!(schema(&file), schema(&new.path().join("bootlace.db")));
}

/// At a stage that a later release has words for, a one-shot is nobody's.
#[test]
fn a_store_of_schema_5() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bootlace.db");
    restore(&file, include_str!("../fixtures/store-5.sql"));
    let _store = Store::open(dir.path()).unwrap();
    let shots = OneShotStore::open(dir.path()).unwrap().all().unwrap();
    let at = |secs: i64| Timestamp(1_795_391_000_000 + secs * 1000);
    let taker = |session, secs| Taker { session: SessionId(session), started: at(secs) };
    let shot = |boot, stage| OneShot {
        boot: BootName::new(boot).unwrap(),
        confirm: None,
        armed: at(0),
        expires: None,
        stage,
    };
    let install = shot("install", Stage::Armed);
    let expected = [
        ("52:54:00:00:00:02", shot("memtest", Stage::Taken(taker(12, 500)))),
        ("web1", OneShot { confirm: Some("X1".into()), expires: Some(at(7200)), ..install }),
        ("web2", shot("rescue", Stage::Failed(taker(13, 600), "no such file".into()))),
        ("web3", shot("rescue", Stage::Done(taker(14, 700)))),
    ];
    assert_eq!(shots, OneShots(expected.map(|(owner, shot)| (Owner::named(owner), shot)).into()));
    let new = tempfile::tempdir().unwrap();
    drop(Store::open(new.path()).unwrap());
    assert_eq!(schema(&file), schema(&new.path().join("bootlace.db")));
}

/// A file that was brought up to date is a file made new.
#[test]
fn old_and_new_files_end_with_one_schema() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dumps = [
        ("bootlace.db", include_str!("../fixtures/store-1.sql")),
        ("journal.db", include_str!("../fixtures/journal-1.sql")),
    ];
    for (name, dump) in dumps {
        restore(&old.path().join(name), dump);
    }
    for dir in [&old, &new] {
        drop((Store::open(dir.path()).unwrap(), Journal::open(dir.path()).unwrap()));
    }
    for (name, _) in dumps {
        assert_eq!(schema(&old.path().join(name)), schema(&new.path().join(name)), "{name}");
    }
}

#[test]
fn a_journal_of_schema_1_with_events_of_another_release() {
    let dir = tempfile::tempdir().unwrap();
    restore(&dir.path().join("journal.db"), include_str!("../fixtures/journal-1.sql"));
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.next_session().unwrap(), SessionId(8));
    let reader = JournalReader::open(dir.path()).unwrap();
    let read = reader.events_after(EventId(0), 100).unwrap();
    // The fourth is of an unknown kind, the seventh of an unknown protocol.
    assert_eq!((read.skipped, read.last), (2, Some(EventId(7))));
    assert_eq!(read.events.iter().map(|event| event.id.0).collect::<Vec<_>>(), [1, 2, 3, 5, 6]);

    let EventKind::Dhcp(dhcp) = &read.events[0].record.event.kind else { panic!("not the DHCP event") };
    assert_eq!((dhcp.firmware, dhcp.xid), (Some(Firmware::UefiX64), 0xdead_beef));
    assert_eq!(dhcp.facts.get(Var::Serial), Some("X1"));
    assert_eq!(dhcp.trail.0.len(), 1);
    assert_eq!(read.events[1].record.repeats, 3);
    assert_eq!(read.events[2].record.event.kind, {
        let outcome = FileOutcome::Sent { bytes: 270_000, took: Duration::from_micros(1500), retransmits: 1 };
        EventKind::File(FileEvent { protocol: Protocol::Tftp, name: Text::from("snponly.efi"), outcome })
    });
    // Unknown fields and variables are left out, the rest of their event is not.
    let EventKind::Script(script) = &read.events[3].record.event.kind else { panic!("not the script") };
    let rescue = BootName::new("rescue").unwrap();
    assert_eq!(script.step, ScriptStep::Boot { boot: rescue, by: DecidedBy::Rule(2) });
    assert_eq!(script.facts.iter().collect::<Vec<_>>(), [(Var::Serial, "X1")]);
    assert_eq!(script.facts.reporting, Reporting::Done);
    assert_eq!(reader.machines(10).unwrap()[0].facts.get(Var::Serial), Some("X1"));
}

/// Whatever is appended is read back as it was: every variant once.
#[test]
fn every_kind_of_event_survives() {
    let boot = BootName::new("rescue").unwrap();
    let machine = DecidedBy::Machine("web1".into());
    let facts = crate::make::facts(&[(Var::Uuid, "u"), (Var::Hostname, "say \"hi\" \\ \u{1f600}")]);
    let mut kinds = vec![
        sent("a/b", u64::MAX),
        EventKind::Contradiction { seen: hw(2), claimed: Text::from("me") },
        EventKind::Conflict { address: [10, 188, 0, 9].into(), seen: hw(2), quarantined: true },
        script(facts.clone(), ScriptStep::Identify),
        script(facts.clone(), ScriptStep::Chain { loader: "undionly.kpxe".into(), lacks: "http".into() }),
        script(facts.clone(), ScriptStep::Boot { boot: boot.clone(), by: DecidedBy::Menu(boot.clone()) }),
        script(facts.clone(), ScriptStep::Problem { boot, by: machine, why: "no".into() }),
    ];
    let outcomes = [
        FileOutcome::SizeProbe,
        FileOutcome::Absent("not there".into()),
        FileOutcome::Refused("not yours".into()),
        FileOutcome::Aborted { bytes: 1, of: 2, why: Text::from("timeout") },
    ];
    for outcome in outcomes {
        let file = FileEvent { protocol: Protocol::Http, name: Text::from("x"), outcome };
        kinds.push(EventKind::File(file));
    }
    for client in [ClientClass::Ipxe, ClientClass::Firmware, ClientClass::Os, ClientClass::Bootp] {
        kinds.push(crate::make::discover(client, facts.clone(), 9));
    }
    for (message, answer) in [
        (DhcpMessage::Request, DhcpAnswer::Nak("other network".into())),
        (DhcpMessage::Discover, DhcpAnswer::Exhausted),
        (DhcpMessage::Decline, DhcpAnswer::Silence("declined".into())),
        (DhcpMessage::Release, DhcpAnswer::Silence("released".into())),
        (DhcpMessage::Inform, DhcpAnswer::Silence("not served".into())),
        (DhcpMessage::Bootp, DhcpAnswer::Silence("no address".into())),
    ] {
        let EventKind::Dhcp(dhcp) = crate::make::discover(ClientClass::Os, facts.clone(), 9) else {
            unreachable!()
        };
        let firmware = Some(Firmware::Other(77));
        kinds.push(EventKind::Dhcp(DhcpEvent { message, answer, firmware, ..dhcp }));
    }
    let records: Vec<Record> =
        kinds.into_iter().map(|kind| Record { repeats: 5, ..record(1, START, kind) }).collect();

    let dir = tempfile::tempdir().unwrap();
    Journal::open(dir.path()).unwrap().append(&records).unwrap();
    let read = JournalReader::open(dir.path()).unwrap().events_of(SessionId(1), 100).unwrap();
    assert_eq!(read.skipped, 0);
    assert_eq!(read.events.into_iter().map(|event| event.record).collect::<Vec<_>>(), records);
}
