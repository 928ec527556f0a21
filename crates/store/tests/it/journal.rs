//! Appending, and what can be asked of the journal.

use bootlace_core::event::{ClientClass, DhcpAnswer, DhcpMessage, EventKind, Given, Peer, ScriptStep};
use bootlace_core::model::{Facts, Timestamp, Var};
use bootlace_core::session::SessionId;
use bootlace_store::journal::{EventId, MachineSeen, Record, SessionRow};
use bootlace_store::{Journal, JournalReader};

use crate::make::{absent, discover, facts, hw, ip, record, script, secs, sent};

struct Both {
    writer: Journal,
    reader: JournalReader,
    _dir: tempfile::TempDir,
}

fn journal() -> Both {
    let dir = tempfile::tempdir().unwrap();
    let writer = Journal::open(dir.path()).unwrap();
    Both { writer, reader: JournalReader::open(dir.path()).unwrap(), _dir: dir }
}

fn row(id: u32, started: Timestamp, last: Timestamp) -> SessionRow {
    SessionRow { id: SessionId(id.into()), hw: hw(id), started, last }
}

#[test]
fn an_empty_journal() {
    let Both { mut writer, reader, .. } = journal();
    writer.append(&[]).unwrap();
    assert_eq!(writer.next_session().unwrap(), SessionId(1));
    assert_eq!(reader.last_event().unwrap(), EventId(0));
    assert_eq!(reader.events_after(EventId(0), 10).unwrap().last, None);
    assert_eq!(reader.sessions(10).unwrap(), []);
    assert_eq!(reader.session(SessionId(1)).unwrap(), None);
    assert_eq!(reader.machine(hw(1)).unwrap(), None);
}

#[test]
fn sessions_grow_with_their_events() {
    let Both { mut writer, reader, .. } = journal();
    let batch = [
        record(1, secs(0), sent("a", 1)),
        record(2, secs(1), sent("b", 1)),
        record(1, secs(2), sent("c", 1)),
    ];
    writer.append(&batch).unwrap();
    // The clock was set back, and a session of the same machine came after.
    writer.append(&[record(2, secs(0), sent("d", 1))]).unwrap();
    let next = Record { session: Some(SessionId(9)), ..record(1, secs(5), sent("e", 1)) };
    writer.append(&[next]).unwrap();
    let (first, second) = (row(1, secs(0), secs(2)), row(2, secs(1), secs(1)));
    let ninth = SessionRow { id: SessionId(9), ..row(1, secs(5), secs(5)) };
    assert_eq!(reader.sessions(2).unwrap(), [ninth, second]);
    assert_eq!(reader.sessions_of(hw(1), 10).unwrap(), [ninth, first]);
    assert_eq!(reader.sessions_of(hw(1), 1).unwrap(), [ninth]);
    assert_eq!(reader.session(SessionId(2)).unwrap(), Some(second));
    assert_eq!(writer.next_session().unwrap(), SessionId(10));
    let names: Vec<EventKind> = [&sent("a", 1), &sent("c", 1)].map(Clone::clone).into();
    let events = reader.events_of(SessionId(1), 10).unwrap().events;
    assert_eq!(events.into_iter().map(|event| event.record.event.kind).collect::<Vec<_>>(), names);
    assert_eq!(reader.events_of(SessionId(1), 1).unwrap().events.len(), 1);
}

#[test]
fn watching_goes_on_where_it_was() {
    let Both { mut writer, reader, .. } = journal();
    let all: Vec<_> = (0..10).map(|at| record(1, secs(at), sent("a", at))).collect();
    let mut at = reader.last_event().unwrap();
    let mut seen = Vec::new();
    for batch in all.chunks(4) {
        writer.append(batch).unwrap();
        while let next = reader.events_after(at, 3).unwrap()
            && let Some(last) = next.last
        {
            at = last;
            seen.extend(next.events.into_iter().map(|event| event.record));
        }
    }
    assert_eq!(seen, all);
    assert_eq!(reader.last_event().unwrap(), at);
}

#[test]
fn events_without_a_machine_belong_nowhere() {
    let Both { mut writer, reader, .. } = journal();
    let mut lone = record(1, secs(0), absent("x"));
    (lone.session, lone.event.peer) = (None, Peer::default());
    writer.append(std::slice::from_ref(&lone)).unwrap();
    assert_eq!(reader.events_after(EventId(0), 9).unwrap().events[0].record, lone);
    assert_eq!((reader.sessions(9).unwrap().len(), reader.machines(9).unwrap().len()), (0, 0));
}

#[test]
fn machines_are_what_they_last_told() {
    let Both { mut writer, reader, .. } = journal();
    let told = facts(&[(Var::Serial, "X1"), (Var::Hostname, "old")]);
    let mut first = record(1, secs(0), discover(ClientClass::Firmware, told, 1));
    first.event.peer.ip = None;
    writer.append(&[first]).unwrap();
    let seen = reader.machine(hw(1)).unwrap().unwrap();
    assert_eq!(seen.address, None, "an offer is no address yet");
    // A later boot, in one batch with another machine; then its operating system, which speaks for itself.
    let asked = script(facts(&[(Var::Hostname, "new"), (Var::Product, "P")]), ScriptStep::Identify);
    writer.append(&[record(2, secs(8), absent("x")), record(1, secs(9), asked)]).unwrap();
    let os = discover(ClientClass::Os, facts(&[(Var::Hostname, "linux")]), 2);
    writer.append(&[record(1, secs(10), os)]).unwrap();
    let web1 = MachineSeen {
        hw: hw(1),
        first_seen: secs(0),
        last_seen: secs(10),
        address: Some(ip(1)),
        facts: facts(&[(Var::Serial, "X1"), (Var::Hostname, "new"), (Var::Product, "P")]),
    };
    let other = MachineSeen {
        hw: hw(2),
        first_seen: secs(8),
        last_seen: secs(8),
        address: Some(ip(2)),
        facts: Facts::new(),
    };
    assert_eq!(reader.machines(9).unwrap(), [web1.clone(), other]);
    assert_eq!(reader.machines(1).unwrap(), [web1]);
}

#[test]
fn an_acknowledged_address_is_the_machines() {
    let Both { mut writer, reader, .. } = journal();
    let mut renewed = record(7, secs(0), discover(ClientClass::Os, Facts::new(), 1));
    let EventKind::Dhcp(dhcp) = &mut renewed.event.kind else { unreachable!() };
    dhcp.message = DhcpMessage::Request;
    if let DhcpAnswer::Offer(given) = dhcp.answer.clone() {
        dhcp.answer = DhcpAnswer::Ack(given);
    }
    writer.append(&[renewed]).unwrap();
    assert_eq!(reader.machine(hw(7)).unwrap().unwrap().address, Some(ip(1)));
}

#[test]
fn a_reader_sees_all_or_nothing_of_a_batch_from_another_thread() {
    const BATCH: u64 = 50;
    let Both { mut writer, reader, .. } = journal();
    let watcher = std::thread::spawn(move || {
        let mut looks = 0;
        loop {
            let last = reader.last_event().unwrap().0;
            assert_eq!(last % BATCH, 0);
            looks += 1;
            if last == 20 * BATCH {
                return looks;
            }
        }
    });
    for _ in 0..20 {
        let batch: Vec<_> = (0..BATCH).map(|at| record(1, secs(at), sent("a", at))).collect();
        writer.append(&batch).unwrap();
    }
    assert!(watcher.join().unwrap() > 0);
}

/// An operating system that renews its lease outside of any boot: nobody looks for that event.
#[test]
fn a_renewal_is_a_sighting_and_no_event() {
    let Both { mut writer, reader, .. } = journal();
    let renewed = |at, address: u32| {
        let mut renewed = record(7, secs(at), discover(ClientClass::Os, Facts::new(), 1));
        renewed.session = None;
        let EventKind::Dhcp(dhcp) = &mut renewed.event.kind else { unreachable!() };
        let DhcpAnswer::Offer(given) = dhcp.answer.clone() else { unreachable!() };
        dhcp.answer = DhcpAnswer::Ack(Given { address: ip(address), ..given });
        renewed
    };
    let mut seen_after = |at, address| {
        writer.append(&[renewed(at, address)]).unwrap();
        let machine = reader.machine(hw(7)).unwrap().unwrap();
        assert_eq!(machine.first_seen, secs(0));
        (machine.last_seen, machine.address)
    };
    assert_eq!(seen_after(0, 5), (secs(0), Some(ip(5))));
    assert_eq!(seen_after(30, 5), (secs(0), Some(ip(5))), "not worth a page");
    assert_eq!(seen_after(31, 6), (secs(31), Some(ip(6))));
    assert_eq!(seen_after(4000, 6), (secs(4000), Some(ip(6))));
    assert!(reader.events_after(EventId(0), 9).unwrap().events.is_empty());
}
