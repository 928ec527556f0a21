//! Unit attentions: who hears of what, once.

use bootlace_wire::scsi::{Reset, limits};

use super::*;

const POWER_ON: [u8; 2] = [0x29, 0];

#[test]
fn a_new_session_hears_of_it_once() {
    let mut bench = Bench::new(thin());
    let nexus = bench.lun.attach(port(1)).unwrap();
    bench.nexuses.push(nexus);
    for unharmed in [cdb([0x12, 0, 0, 0, 96]), cdb([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16])] {
        assert_eq!(bench.outcome_of(1, unharmed, &[]).status, Status::Good);
    }
    let read = cdb([0x28, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(codes(&bench.outcome_of(1, read, &[])), [6, 0x29, 0]);
    assert!(matches!(bench.step(1, read, &[]), Step::Io(Io::Read(_))));
    assert_eq!(bench.attention(0), None);
}

#[test]
fn resets_reach_everybody_and_replace_what_waits() {
    let mut bench = Bench::with_nexuses(thin(), 2);
    let nexus = bench.lun.attach(port(2)).unwrap();
    bench.nexuses.push(nexus);
    bench.lun.reset(Reset::Unit);
    for nexus in 0..3 {
        assert_eq!(bench.attention(nexus), Some([0x29, 3]));
        assert_eq!(bench.attention(nexus), None);
    }
    bench.lun.reset(Reset::Target);
    assert_eq!(bench.attention(1), Some([0x29, 2]));
}

#[test]
fn a_reset_undoes_modes() {
    let mut bench = Bench::new(thin());
    let list = [0, 0, 0, 0, 0x0a, 10, 0, 0x10, 0x08, 0, 0, 0, 0, 0, 0, 0];
    bench.outcome_of(0, cdb([0x15, 0x10, 0, 0, 16]), &list);
    bench.lun.reset(Reset::Unit);
    bench.attention(0);
    assert_eq!(bench.answer(cdb([0x1a, 8, 0x0a, 0, 255]))[8], 0);
}

#[test]
fn others_hear_of_changed_modes_and_cleared_tasks() {
    let mut bench = Bench::with_nexuses(thin(), 3);
    let list = |protect| [0, 0, 0, 0, 0x0a, 10, 0, 0x10, protect, 0, 0, 0, 0, 0, 0, 0];
    bench.outcome_of(0, cdb([0x15, 0x10, 0, 0, 16]), &list(0x08));
    // The same again changes nothing.
    bench.outcome_of(0, cdb([0x15, 0x10, 0, 0, 16]), &list(0x08));
    bench.lun.task_set_cleared(bench.nexuses[0]);
    bench.lun.task_set_cleared(bench.nexuses[0]);
    assert_eq!(bench.attention(0), None);
    for nexus in [1, 2] {
        assert_eq!(bench.attention(nexus), Some([0x2a, 1]));
        assert_eq!(bench.attention(nexus), Some([0x2f, 0]));
        assert_eq!(bench.attention(nexus), None);
    }
}

#[test]
fn nexuses_have_a_limit_and_give_their_places_back() {
    let mut bench = Bench::new(thin());
    let more: Vec<_> = (1..limits::NEXUSES_MAX).map(|_| bench.lun.attach(port(1)).unwrap()).collect();
    assert_eq!(bench.lun.attach(port(2)), None);
    bench.lun.detach(more[0]);
    let again = bench.lun.attach(port(2)).unwrap();
    assert!(!more.contains(&again), "numbers are not used again");
    bench.nexuses = vec![again];
    assert_eq!(bench.attention(0), Some(POWER_ON));
}

#[test]
fn who_is_detached_is_not_served() {
    let mut bench = Bench::new(thin());
    bench.lun.detach(bench.nexuses[0]);
    assert_eq!(bench.failure(cdb([0x25]), &[]), [4, 0x44, 0]);
}
