//! UNMAP and GET LBA STATUS.

use bootlace_wire::scsi::{Extent, IoResult, Provisioned, Run, Transfer};

use super::*;

fn unmap(length: u16) -> Cdb {
    let [high, low] = length.to_be_bytes();
    cdb([0x42, 0, 0, 0, 0, 0, 0, high, low, 0])
}

fn list(ranges: &[(u64, u32)]) -> Vec<u8> {
    let bytes = ranges.len() as u16 * 16;
    let mut list = [(bytes + 6).to_be_bytes(), bytes.to_be_bytes()].concat();
    list.resize(8, 0);
    for (block, blocks) in ranges {
        list.extend(block.to_be_bytes());
        list.extend(blocks.to_be_bytes());
        list.extend([0; 4]);
    }
    list
}

fn send(bench: &mut Bench, ranges: &[(u64, u32)]) -> Step {
    let list = list(ranges);
    bench.step(0, unmap(list.len() as u16), &list)
}

fn refused(step: Step) -> [u8; 3] {
    match step {
        Step::Done(outcome) => codes(&outcome),
        Step::Io(io) => panic!("{io:?}"),
    }
}

#[test]
fn ranges_are_given_back() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.lun.expected(LUN_0, &unmap(40)), Transfer::Out(40));
    let extents = vec![Extent { block: 8, blocks: 16 }, Extent { block: BLOCKS - 1, blocks: 1 }];
    assert_eq!(send(&mut bench, &[(8, 16), (3, 0), (BLOCKS - 1, 1)]), Step::Io(Io::Unmap(extents)));
}

#[test]
fn no_ranges_are_no_error() {
    let mut bench = Bench::new(thin());
    let done = Step::Done(Outcome::good(Vec::new()));
    assert_eq!(bench.step(0, unmap(0), &[]), done);
    for ranges in [&[][..], &[(0, 0)], &[(BLOCKS, 0)], &[(7, 0); 256]] {
        assert_eq!(send(&mut bench, ranges), done);
    }
}

#[test]
fn bad_lists_change_nothing() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.failure(unmap(7), &[0; 7]), [5, 0x1a, 0]);
    for beyond in [(BLOCKS, 1), (BLOCKS - 1, 2), (u64::MAX, 1), (u64::MAX, u32::MAX), (BLOCKS + 1, 0)] {
        assert_eq!(refused(send(&mut bench, &[(0, 1), beyond])), OUT_OF_RANGE);
    }
    assert_eq!(refused(send(&mut bench, &[(0, 1); 257])), [5, 0x26, 0]);
    assert_eq!(refused(send(&mut bench, &[(0, 1 << 20), (0, 1)])), [5, 0x26, 0]);
    assert_eq!(bench.failure(cdb([0x42, 1, 0, 0, 0, 0, 0, 0, 24]), &list(&[(0, 1)])), INVALID_FIELD);
    // A range that the list's own length cuts off is none.
    let mut cut = list(&[(8, 8), (16, 8)]);
    cut[3] = 31;
    let step = bench.step(0, unmap(cut.len() as u16), &cut);
    assert_eq!(step, Step::Io(Io::Unmap(vec![Extent { block: 8, blocks: 8 }])));
}

#[test]
fn a_thick_disk_keeps_its_space() {
    let mut bench = Bench::new(thick());
    assert_eq!(refused(send(&mut bench, &[(0, 1)])), INVALID_OPCODE);
    assert_eq!(bench.failure(cdb([0x41, 0x08, 0, 0, 0, 0, 0, 0, 1]), &[0; 512]), INVALID_FIELD);
    assert!(matches!(bench.io(cdb([0x41, 0, 0, 0, 0, 0, 0, 0, 1]), &[0; 512]), Io::Zero(..)));
}

fn status(block: u64, allocation: u32) -> Cdb {
    let mut bytes = cdb([0x9e, 0x12]);
    bytes[2..10].copy_from_slice(&block.to_be_bytes());
    bytes[10..14].copy_from_slice(&allocation.to_be_bytes());
    bytes
}

#[test]
fn lba_status() {
    let mut bench = Bench::new(thin());
    let io = bench.io(status(5, 40), &[]);
    let extent = Extent { block: 5, blocks: BLOCKS - 5 };
    assert_eq!(io, Io::LbaStatus { extent, runs_max: 2, allocation: 40 });
    let runs = vec![
        Run { blocks: 3, state: Provisioned::Mapped },
        Run { blocks: u32::MAX, state: Provisioned::Deallocated },
        Run { blocks: 1, state: Provisioned::Mapped },
    ];
    let answer = bench.lun.finish(&io, &IoResult::LbaStatus(runs)).data_in;
    let mut expected = vec![0, 0, 0, 36, 0, 0, 0, 0];
    expected.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 0]);
    // The last one ends with the disk.
    expected.extend([0, 0, 0, 0, 0, 0, 0, 8, 0x00, 0x1f, 0xff, 0xf8, 1, 0, 0, 0]);
    assert_eq!(answer, expected);
    assert_eq!(codes(&bench.lun.finish(&io, &IoResult::Done)), [4, 0x44, 0]);
    for block in [BLOCKS, BLOCKS + 1, 1 << 63, u64::MAX] {
        assert_eq!(bench.failure(status(block, 24), &[]), OUT_OF_RANGE);
    }
}

#[test]
fn lba_status_in_little_room_is_cut() {
    let mut bench = Bench::new(thin());
    let io = bench.io(status(0, 12), &[]);
    let runs = vec![Run { blocks: 9, state: Provisioned::Mapped }];
    assert_eq!(
        bench.lun.finish(&io, &IoResult::LbaStatus(runs)).data_in,
        [0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0]
    );
}
