//! Persistent reservations and those of RESERVE.

use bootlace_wire::scsi::{Reset, limits};

use super::*;

const REGISTER: u8 = 0;
const RESERVE: u8 = 1;
const RELEASE: u8 = 2;
const CLEAR: u8 = 3;
const PREEMPT: u8 = 4;
const PREEMPT_AND_ABORT: u8 = 5;
const IGNORE: u8 = 6;

const WE: u8 = 1;
const EA: u8 = 3;
const WERO: u8 = 5;
const EARO: u8 = 6;
const WEAR: u8 = 7;
const EAAR: u8 = 8;
const KINDS: [u8; 6] = [WE, EA, WERO, EARO, WEAR, EAAR];

const PREEMPTED: [u8; 2] = [0x2a, 3];
const RELEASED: [u8; 2] = [0x2a, 4];
const UNREGISTERED: [u8; 2] = [0x2a, 5];

fn list(key: u64, service_key: u64) -> Vec<u8> {
    let mut list = [key.to_be_bytes(), service_key.to_be_bytes()].concat();
    list.resize(24, 0);
    list
}

impl Bench {
    fn out(&mut self, nexus: usize, action: u8, kind: u8, key: u64, service_key: u64) -> Outcome {
        self.outcome_of(nexus, cdb([0x5f, action, kind, 0, 0, 0, 0, 0, 24]), &list(key, service_key))
    }

    /// By the first session, with flags in its list.
    fn out_with(&mut self, action: u8, key: u64, flags: u8, service_key: u64) -> Outcome {
        let mut list = list(key, service_key);
        list[20] = flags;
        self.outcome_of(0, cdb([0x5f, action, WE, 0, 0, 0, 0, 0, 24]), &list)
    }

    fn done(&mut self, nexus: usize, action: u8, kind: u8, key: u64, service_key: u64) {
        let outcome = self.out(nexus, action, kind, key, service_key);
        assert_eq!(outcome.status, Status::Good, "{outcome:02x?}");
    }

    fn conflicts(&mut self, nexus: usize, action: u8, kind: u8, key: u64, service_key: u64) {
        assert_eq!(self.out(nexus, action, kind, key, service_key).status, Status::ReservationConflict);
    }

    /// Asked by somebody for whom no attention waits, and who takes none from others.
    fn persistent_in(&mut self, action: u8) -> Vec<u8> {
        let observer = self.lun.attach(port(99)).unwrap();
        self.nexuses.push(observer);
        let at = self.nexuses.len() - 1;
        assert!(self.attention(at).is_some());
        let outcome = self.outcome_of(at, cdb([0x5e, action, 0, 0, 0, 0, 0, 0xff, 0xff]), &[]);
        self.nexuses.pop();
        self.lun.detach(observer);
        assert_eq!(outcome.status, Status::Good);
        outcome.data_in
    }

    /// PRGENERATION and the keys.
    fn keys(&mut self) -> (u32, Vec<u64>) {
        let bytes = self.persistent_in(0);
        let (head, keys) = bytes.split_at(8);
        assert_eq!(head[4..], (keys.len() as u32).to_be_bytes());
        let keys = keys.chunks(8).map(|key| u64::from_be_bytes(key.try_into().unwrap())).collect();
        (u32::from_be_bytes(head[..4].try_into().unwrap()), keys)
    }

    /// Key and type of the reservation.
    fn reservation(&mut self) -> Option<(u64, u8)> {
        let bytes = self.persistent_in(1);
        assert_eq!(bytes.len() - 8, usize::from(bytes[7]));
        let body = bytes.get(8..24)?;
        Some((u64::from_be_bytes(body[..8].try_into().unwrap()), body[13]))
    }

    /// Three sessions, of which 0 and 1 are registered with keys 10 and 11.
    fn registered() -> Self {
        let mut bench = Self::with_nexuses(thin(), 3);
        bench.done(0, REGISTER, 0, 0, 10);
        bench.done(1, REGISTER, 0, 0, 11);
        bench
    }

    fn reserved(kind: u8) -> Self {
        let mut bench = Self::registered();
        bench.done(0, RESERVE, kind, 10, 0);
        bench
    }

    /// Whether each session may do this: holder, registered, and neither.
    fn may(&mut self, cdb: Cdb, data: &[u8]) -> [bool; 3] {
        [0, 1, 2].map(|nexus| match self.step(nexus, cdb, data) {
            Step::Io(_) => true,
            Step::Done(outcome) => outcome.status != Status::ReservationConflict,
        })
    }
}

#[test]
fn registrations() {
    let mut bench = Bench::with_nexuses(thin(), 2);
    assert_eq!(bench.keys(), (0, vec![]));
    bench.done(0, REGISTER, 0, 0, 10);
    bench.conflicts(0, REGISTER, 0, 0, 12);
    bench.conflicts(0, REGISTER, 0, 11, 12);
    bench.conflicts(1, REGISTER, 0, 10, 11);
    bench.done(1, IGNORE, 0, 99, 11);
    assert_eq!(bench.keys(), (2, vec![10, 11]));
    bench.done(0, REGISTER, 0, 10, 20);
    bench.done(1, IGNORE, 0, 0, 21);
    assert_eq!(bench.keys(), (4, vec![20, 21]));
    bench.done(0, REGISTER, 0, 20, 0);
    bench.done(1, IGNORE, 0, 0, 0);
    assert_eq!(bench.keys(), (6, vec![]));
    // Who is not registered is not unregistered, either.
    bench.done(0, REGISTER, 0, 0, 0);
    bench.done(0, IGNORE, 0, 0, 0);
    assert_eq!(bench.keys(), (6, vec![]));
}

#[test]
fn only_who_is_registered_may_change_reservations() {
    let mut bench = Bench::registered();
    for action in [RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT] {
        bench.conflicts(2, action, WE, 0, 11);
        bench.conflicts(0, action, WE, 11, 11);
    }
    assert_eq!(bench.keys(), (2, vec![10, 11]));
}

/// SPC-4 table 65 and SBC-3 table 14.
#[test]
fn what_each_kind_allows() {
    let read = cdb([0x28, 0, 0, 0, 0, 0, 0, 0, 1]);
    let write = cdb([0x2a, 0, 0, 0, 0, 0, 0, 0, 1]);
    let reads = [
        read,
        cdb([0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        cdb([0x2f, 0, 0, 0, 0, 0, 0, 0, 1]),
        cdb([0x34]),
        cdb([0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24]),
        cdb([0x1a, 0, 0x3f, 0, 255]),
        cdb([0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 255]),
    ];
    let writes = [
        write,
        cdb([0x2e, 0, 0, 0, 0, 0, 0, 0, 1]),
        cdb([0x35]),
        cdb([0x41, 0, 0, 0, 0, 0, 0, 0, 1]),
        cdb([0x42]),
        cdb([0x89]),
        cdb([0x8b]),
        cdb([0x15, 0x10]),
        cdb([0x1b, 0, 0, 0, 0]),
    ];
    let free = [
        cdb([0x00]),
        cdb([0x03, 0, 0, 0, 18]),
        cdb([0x12, 0, 0, 0, 96]),
        cdb([0x25]),
        cdb([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32]),
        cdb([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16]),
        cdb([0x1b, 0, 0, 0, 1]),
        cdb([0x5e, 0, 0, 0, 0, 0, 0, 0, 8]),
    ];
    let everybody = [true; 3];
    let registrants = [true, true, false];
    let holder = [true, false, false];
    let table = [
        (WE, everybody, holder),
        (EA, holder, holder),
        (WERO, everybody, registrants),
        (EARO, registrants, registrants),
        (WEAR, everybody, registrants),
        (EAAR, registrants, registrants),
    ];
    for (kind, may_read, may_write) in table {
        let mut bench = Bench::reserved(kind);
        for cdb in reads {
            assert_eq!(bench.may(cdb, &[]), may_read, "type {kind}: {cdb:02x?}");
        }
        for cdb in writes {
            assert_eq!(bench.may(cdb, &[0; 512]), may_write, "type {kind}: {cdb:02x?}");
        }
        for cdb in free {
            assert_eq!(bench.may(cdb, &[]), everybody, "type {kind}: {cdb:02x?}");
        }
    }
}

#[test]
fn a_reservation_is_taken_once() {
    for kind in KINDS {
        let mut bench = Bench::reserved(kind);
        let of_all = matches!(kind, WEAR | EAAR);
        assert_eq!(bench.reservation(), Some((if of_all { 0 } else { 10 }, kind)));
        bench.done(0, RESERVE, kind, 10, 0);
        let other = if kind == WE { EA } else { WE };
        bench.conflicts(0, RESERVE, other, 10, 0);
        if of_all {
            bench.done(1, RESERVE, kind, 11, 0);
        } else {
            bench.conflicts(1, RESERVE, kind, 11, 0);
        }
        assert_eq!(bench.keys().0, 2, "neither RESERVE nor RELEASE counts");
    }
}

#[test]
fn scope_and_type_must_be_known() {
    let mut bench = Bench::registered();
    for wrong in [0, 2, 4, 9, 15, 0x13, 0xf1] {
        assert_eq!(codes(&bench.out(0, RESERVE, wrong, 10, 0)), INVALID_FIELD, "{wrong:02x}");
    }
    // REGISTER does not look at them.
    bench.done(0, REGISTER, 0xff, 10, 10);
}

#[test]
fn release() {
    for kind in KINDS {
        let mut bench = Bench::reserved(kind);
        let other = if kind == WE { EA } else { WE };
        assert_eq!(codes(&bench.out(0, RELEASE, other, 10, 0)), [5, 0x26, 4]);
        if matches!(kind, WE | EA | WERO | EARO) {
            bench.done(1, RELEASE, kind, 11, 0);
            assert!(bench.reservation().is_some(), "of somebody else's");
        }
        bench.done(0, RELEASE, kind, 10, 0);
        assert_eq!(bench.reservation(), None);
        let heard = (kind != WE && kind != EA).then_some(RELEASED);
        assert_eq!([0, 1, 2].map(|nexus| bench.attention(nexus)), [None, heard, None], "type {kind}");
        bench.done(0, RELEASE, kind, 10, 0);
    }
}

/// The holder goes: who is left hears of it, the holder itself does not.
#[test]
fn a_holder_that_unregisters_gives_up_what_it_held_alone() {
    for kind in KINDS {
        let mut bench = Bench::reserved(kind);
        bench.done(0, REGISTER, 0, 10, 0);
        let of_all = matches!(kind, WEAR | EAAR);
        assert_eq!(bench.reservation(), of_all.then_some((0, kind)));
        let heard = matches!(kind, WERO | EARO).then_some(RELEASED);
        assert_eq!([0, 1, 2].map(|nexus| bench.attention(nexus)), [None, heard, None], "type {kind}");
        bench.done(1, REGISTER, 0, 11, 0);
        assert_eq!(bench.reservation(), None, "nobody is left");
    }
}

#[test]
fn clear() {
    let mut bench = Bench::reserved(WE);
    bench.done(1, CLEAR, 0, 11, 0);
    assert_eq!((bench.attention(0), bench.attention(1), bench.attention(2)), (Some(PREEMPTED), None, None));
    assert_eq!((bench.keys(), bench.reservation()), ((3, vec![]), None));
}

#[test]
fn preempt_takes_the_reservation_over() {
    for kind in [WE, EA, WERO, EARO] {
        let mut bench = Bench::reserved(kind);
        bench.done(2, REGISTER, 0, 0, 12);
        bench.done(1, PREEMPT, WERO, 11, 10);
        assert_eq!(bench.reservation(), Some((11, WERO)));
        let heard = (kind != WERO).then_some(RELEASED);
        assert_eq!([0, 1, 2].map(|nexus| bench.attention(nexus)), [Some(UNREGISTERED), None, heard]);
        assert_eq!(bench.keys(), (4, vec![11, 12]));
        assert_eq!(bench.lun.poll_abort(), None);
    }
}

#[test]
fn preempt_of_others_leaves_the_reservation() {
    let mut bench = Bench::reserved(WERO);
    bench.done(2, REGISTER, 0, 0, 12);
    // SCOPE and TYPE are not looked at.
    bench.done(0, PREEMPT, 0xff, 10, 11);
    assert_eq!((bench.keys(), bench.reservation()), ((4, vec![10, 12]), Some((10, WERO))));
    assert_eq!([0, 1, 2].map(|nexus| bench.attention(nexus)), [None, Some(UNREGISTERED), None]);
    bench.conflicts(0, PREEMPT, WERO, 10, 99);
    assert_eq!(codes(&bench.out(0, PREEMPT, WERO, 10, 0)), [5, 0x26, 0]);
    assert_eq!(codes(&bench.out(2, PREEMPT, 0xff, 12, 10)), INVALID_FIELD);
    assert_eq!(bench.keys(), (4, vec![10, 12]));
}

#[test]
fn preempt_without_a_reservation_only_unregisters() {
    let mut bench = Bench::registered();
    bench.done(1, PREEMPT, EA, 11, 10);
    assert_eq!((bench.keys(), bench.reservation()), ((3, vec![11]), None));
    assert_eq!(bench.attention(0), Some(UNREGISTERED));
}

#[test]
fn preempt_of_what_all_hold() {
    let mut bench = Bench::reserved(WEAR);
    bench.done(2, REGISTER, 0, 0, 12);
    bench.done(1, PREEMPT, EA, 11, 10);
    assert_eq!((bench.keys().1, bench.reservation()), (vec![11, 12], Some((0, WEAR))), "one of many");
    bench.done(1, PREEMPT, EA, 11, 0);
    assert_eq!((bench.keys().1, bench.reservation()), (vec![11], Some((11, EA))), "all others");
    assert_eq!((bench.attention(0), bench.attention(2)), (Some(UNREGISTERED), Some(UNREGISTERED)));
}

#[test]
fn preempt_and_abort_names_whose_commands_end() {
    let mut bench = Bench::reserved(WE);
    let second_session = bench.lun.attach(port(0)).unwrap();
    bench.done(1, PREEMPT_AND_ABORT, WE, 11, 10);
    let mut aborted = [bench.lun.poll_abort().unwrap(), bench.lun.poll_abort().unwrap()];
    aborted.sort_by_key(|nexus| *nexus != bench.nexuses[0]);
    assert_eq!(aborted, [bench.nexuses[0], second_session]);
    assert_eq!(bench.lun.poll_abort(), None);
    assert_eq!(bench.reservation(), Some((11, WE)));
}

#[test]
fn a_session_that_is_over_has_nothing_to_abort() {
    let mut bench = Bench::reserved(WE);
    bench.done(1, PREEMPT_AND_ABORT, WE, 11, 10);
    bench.lun.detach(bench.nexuses[0]);
    assert_eq!(bench.lun.poll_abort(), None);
}

#[test]
fn flags_of_registrations_mean_nothing_elsewhere() {
    const SPEC_I_PT: u8 = 0x08;
    const OTHERS: u8 = 0x05;
    for (action, service_key) in
        [(RESERVE, 0), (RELEASE, 0), (PREEMPT, 11), (PREEMPT_AND_ABORT, 11), (CLEAR, 0)]
    {
        let mut bench = Bench::registered();
        assert_eq!(codes(&bench.out_with(action, 10, SPEC_I_PT, service_key)), [5, 0x26, 0]);
        let outcome = bench.out_with(action, 10, OTHERS, service_key);
        assert_eq!(outcome.status, Status::Good, "{action}: {outcome:02x?}");
    }
}

#[test]
fn parameter_lists() {
    let mut bench = Bench::with_nexuses(thin(), 1);
    for length in [0, 23, 25] {
        let cdb = cdb([0x5f, REGISTER, 0, 0, 0, 0, 0, 0, length]);
        assert_eq!(bench.failure(cdb, &vec![0; length.into()]), [5, 0x1a, 0]);
    }
    // SPEC_I_PT, ALL_TG_PT, APTPL
    for (action, flag) in
        [REGISTER, IGNORE].into_iter().flat_map(|action| [8, 4, 1].map(|flag| (action, flag)))
    {
        let outcome = bench.out_with(action, 0, flag, 0);
        assert_eq!((codes(&outcome), &outcome.sense[15..18]), ([5, 0x26, 0], &[0x80, 0, 20][..]));
    }
    for action in [7, 8, 31] {
        assert_eq!(bench.failure(cdb([0x5f, action, 0, 0, 0, 0, 0, 0, 24]), &list(0, 0)), INVALID_FIELD);
    }
    for action in 4..32 {
        assert_eq!(bench.failure(cdb([0x5e, action, 0, 0, 0, 0, 0, 0, 255]), &[]), INVALID_FIELD);
    }
    assert_eq!(bench.keys(), (0, vec![]));
}

#[test]
fn capabilities() {
    assert_eq!(Bench::new(thin()).persistent_in(2), [0, 8, 0, 0x80, 0xea, 0x01, 0, 0]);
}

#[test]
fn full_status() {
    let mut bench = Bench::reserved(WE);
    let port = |number: char| {
        let mut id = vec![0x45, 0, 0, 44];
        id.extend(format!("iqn.2026-01.example:host{number},i,0x40000000000{number}").bytes());
        id.resize(48, 0);
        id
    };
    let mut expected = vec![0, 0, 0, 2, 0, 0, 0, 144];
    expected.extend([0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 48]);
    expected.extend(port('0'));
    expected.extend([0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 48]);
    expected.extend(port('1'));
    assert_eq!(bench.persistent_in(3), expected);
    let mut of_all = Bench::reserved(EAAR);
    let status = of_all.persistent_in(3);
    assert_eq!(
        (status[8 + 12..8 + 14].to_vec(), status[80 + 12..80 + 14].to_vec()),
        (vec![1, 8], vec![1, 8])
    );
}

#[test]
fn registrations_outlive_sessions_and_resets() {
    let mut bench = Bench::reserved(EA);
    bench.lun.detach(bench.nexuses[0]);
    bench.lun.reset(Reset::Unit);
    bench.attention(1);
    bench.attention(2);
    let read = cdb([0x28, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bench.outcome_of(1, read, &[]).status, Status::ReservationConflict);
    bench.nexuses[0] = bench.lun.attach(port(0)).unwrap();
    bench.attention(0);
    assert!(matches!(bench.step(0, read, &[]), Step::Io(_)));
    // The same initiator from another port is somebody else.
    let mut other = port(0);
    other.isid[1] = 9;
    bench.nexuses[2] = bench.lun.attach(other).unwrap();
    bench.attention(2);
    assert_eq!(bench.outcome_of(2, read, &[]).status, Status::ReservationConflict);
}

#[test]
fn registrations_have_a_limit() {
    let mut bench = Bench::with_nexuses(thin(), 1);
    for number in 0..limits::REGISTRATIONS_MAX {
        let port = InitiatorPort { name: format!("iqn.2026-01.example:{number}"), isid: [1; 6] };
        let nexus = bench.lun.attach(port).unwrap();
        let first = std::mem::replace(&mut bench.nexuses[0], nexus);
        bench.attention(0);
        bench.done(0, REGISTER, 0, 0, 7);
        bench.nexuses[0] = first;
        bench.lun.detach(nexus);
    }
    assert_eq!(codes(&bench.out(0, REGISTER, 0, 0, 7)), [5, 0x55, 4]);
}

#[test]
fn simple_reservations() {
    for [reserve, release] in [[0x16, 0x17], [0x56, 0x57]] {
        let mut bench = Bench::with_nexuses(thin(), 2);
        let status = |bench: &mut Bench, nexus, cdb| bench.outcome_of(nexus, cdb, &[]).status;
        assert_eq!(status(&mut bench, 0, cdb([reserve])), Status::Good);
        assert_eq!(status(&mut bench, 0, cdb([reserve])), Status::Good);
        for free in [cdb([0x12, 0, 0, 0, 96]), cdb([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16]), cdb([release])] {
            assert_eq!(status(&mut bench, 1, free), Status::Good);
        }
        for kept in [cdb([reserve]), cdb([0x00]), cdb([0x25]), cdb([0x1a, 0, 0x3f, 0, 255]), cdb([0x28])] {
            assert_eq!(status(&mut bench, 1, kept), Status::ReservationConflict);
        }
        assert_eq!(status(&mut bench, 0, cdb([release])), Status::Good);
        assert_eq!(status(&mut bench, 1, cdb([reserve])), Status::Good);
        // It ends with its session, and with a reset.
        bench.lun.detach(bench.nexuses[1]);
        assert_eq!(status(&mut bench, 0, cdb([reserve])), Status::Good);
        bench.lun.reset(Reset::Unit);
        bench.nexuses[1] = bench.lun.attach(port(1)).unwrap();
        bench.attention(1);
        assert_eq!(status(&mut bench, 1, cdb([0x00])), Status::Good);
        assert_eq!(bench.failure(cdb([0x00]), &[]), [6, 0x29, 3]);
        assert_eq!(bench.failure(cdb([reserve, 0x10]), &[]), INVALID_FIELD);
    }
}

#[test]
fn the_two_kinds_do_not_mix() {
    let mut bench = Bench::registered();
    for simple in [0x16, 0x17] {
        assert_eq!(bench.outcome_of(0, cdb([simple]), &[]).status, Status::ReservationConflict);
    }
    let mut bench = Bench::with_nexuses(thin(), 2);
    bench.answer(cdb([0x16]));
    bench.conflicts(0, REGISTER, 0, 0, 10);
    bench.conflicts(1, REGISTER, 0, 0, 10);
}
