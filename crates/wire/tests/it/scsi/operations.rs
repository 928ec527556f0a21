//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.

use bootlace_wire::scsi::{Reason, decode};

use super::*;

fn report(options: u8, opcode: u8, action: u16, allocation: u16) -> Cdb {
    let [high, low] = action.to_be_bytes();
    let [room_high, room_low] = allocation.to_be_bytes();
    cdb([0xa3, 0x0c, options, opcode, high, low, 0, 0, room_high, room_low])
}

/// All operation codes with their service actions.
pub(super) fn supported() -> Vec<(u8, u16)> {
    let list = Bench::new(thin()).answer(report(0, 0, 0, 0xffff));
    list[4..].chunks(8).map(|one| (one[0], u16::from_be_bytes([one[2], one[3]]))).collect()
}

#[test]
fn the_list_is_of_what_is_understood() {
    let mut bench = Bench::new(thin());
    let list = bench.answer(report(0, 0, 0, 0xffff));
    assert_eq!(u32::from_be_bytes([list[0], list[1], list[2], list[3]]) as usize, list.len() - 4);
    let mut listed = [false; 256];
    for one in list[4..].chunks(8) {
        let (opcode, has_actions) = (one[0], one[5] & 1);
        assert_eq!(one[5] & !1, 0);
        let length = match opcode >> 5 {
            0 => 6,
            1 | 2 => 10,
            4 => 16,
            _ => 12,
        };
        assert_eq!(one[6..], [0, length]);
        assert!(has_actions == 1 || one[2..4] == [0, 0]);
        assert_eq!(
            decode(&cdb([opcode, one[3]])).err().filter(|sense| sense.reason == Reason::InvalidOpcode),
            None
        );
        listed[usize::from(opcode)] = true;
    }
    for opcode in 0..=255 {
        let outcome = bench.outcome_or_io(cdb([opcode]));
        let unknown = outcome.is_some_and(|outcome| {
            outcome.status == Status::CheckCondition && codes(&outcome) == INVALID_OPCODE
        });
        // Those with service actions know other ones than 0.
        let by_action = matches!(opcode, 0x9e | 0xa3);
        assert_eq!(unknown, !listed[usize::from(opcode)] || by_action, "{opcode:02x}");
    }
}

#[test]
fn timeouts_are_told_as_none() {
    let mut bench = Bench::new(thin());
    let list = bench.answer(report(0x80, 0, 0, 0xffff));
    assert_eq!((list.len() - 4) / 20, supported().len());
    for one in list[4..].chunks(20) {
        assert_eq!(one[5] & 2, 2);
        assert_eq!(one[8..], [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let one = bench.answer(report(0x81, 0x28, 0, 0xffff));
    assert_eq!((one[1], one.len()), (0x83, 4 + 10 + 12));
}

#[test]
fn one_command() {
    let mut bench = Bench::new(thin());
    let read = [0, 3, 0, 10, 0x28, 0x18, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0];
    assert_eq!(bench.answer(report(1, 0x28, 0, 255)), read);
    assert_eq!(bench.answer(report(3, 0x28, 0, 255)), read);
    assert_eq!(bench.answer(report(3, 0x28, 0, 4)), read[..4]);
    assert_eq!(bench.failure(report(2, 0x28, 0, 255), &[]), INVALID_FIELD);
    let capacity = [0, 3, 0, 16, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0];
    assert_eq!(bench.answer(report(2, 0x9e, 0x10, 255)), capacity);
    assert_eq!(bench.answer(report(3, 0x9e, 0x10, 255)), capacity);
    assert_eq!(bench.failure(report(1, 0x9e, 0x10, 255), &[]), INVALID_FIELD);
    assert_eq!(bench.failure(report(4, 0x28, 0, 255), &[]), INVALID_FIELD);
    for unknown in [report(1, 0xff, 0, 255), report(2, 0x9e, 0x11, 255), report(3, 0x28, 1, 255)] {
        assert_eq!(bench.answer(unknown), [0, 1, 0, 0]);
    }
}

#[test]
fn every_listed_command_has_its_usage() {
    let mut bench = Bench::new(thin());
    let list = bench.answer(report(0, 0, 0, 0xffff));
    for one in list[4..].chunks(8) {
        let options = if one[5] & 1 == 1 { 2 } else { 1 };
        let usage = bench.answer(report(options, one[0], one[3].into(), 255));
        assert_eq!((usage[1], usage[3], usage.len()), (3, one[7], 4 + usize::from(one[7])));
        assert_eq!(usage[4], one[0]);
        assert!(options == 1 || usage[5] & 0x1f == one[3]);
    }
    // What tells initiators whether DPO and FUA may be set.
    for opcode in [0x28, 0x2a, 0x88, 0x8a, 0x89, 0x8b, 0xa8, 0xaa] {
        assert_eq!(bench.answer(report(1, opcode, 0, 255))[5] & 0x18, 0x18);
    }
}

#[test]
fn unmap_is_of_thin_disks() {
    assert_eq!(Bench::new(thin()).answer(report(1, 0x42, 0, 255))[1], 3);
    assert_eq!(Bench::new(thick()).answer(report(1, 0x42, 0, 255))[1], 1);
}

#[test]
fn task_management() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.answer(cdb([0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4])), [0xd8, 0, 0, 0]);
    let extended = bench.answer(cdb([0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 255]));
    assert_eq!((extended.len(), &extended[..4]), (16, &[0xd8, 0, 0, 12][..]));
    assert_eq!(bench.failure(cdb([0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 3]), &[]), INVALID_FIELD);
}
