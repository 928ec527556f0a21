//! Commands that move blocks: each length of each, their bounds, and what they leave to the image.

use bootlace_wire::scsi::{Compare, Durability, Extent, Space, Transfer};

use super::*;

const fn extent(block: u64, blocks: u64) -> Extent {
    Extent { block, blocks }
}

/// The four layouts, for an opcode of 10 bytes; 12 and 16 bytes have the same lower bits.
fn layouts(opcode_10: u8, flags: u8, block: u32, blocks: u16) -> [Cdb; 3] {
    let [a, b, c, d] = block.to_be_bytes();
    let [e, f] = blocks.to_be_bytes();
    [
        cdb([opcode_10, flags, a, b, c, d, 0, e, f, 0]),
        cdb([opcode_10 | 0x80, flags, a, b, c, d, 0, 0, e, f, 0, 0]),
        cdb([opcode_10 & 0x1f | 0x80, flags, 0, 0, 0, 0, a, b, c, d, 0, 0, e, f, 0, 0]),
    ]
}

const READ: u8 = 0x28;
const WRITE: u8 = 0x2a;
const WRITE_VERIFY: u8 = 0x2e;
const VERIFY: u8 = 0x2f;

#[test]
fn every_length_reads_the_same() {
    let mut bench = Bench::new(thin());
    for cdb in layouts(READ, 0x18, 0x0001_0203, 5) {
        assert_eq!(bench.lun.expected(LUN_0, &cdb), Transfer::In(5 * 512));
        assert_eq!(bench.io(cdb, &[]), Io::Read(extent(0x1_0203, 5)));
    }
    assert_eq!(bench.io(cdb([0x08, 0x01, 2, 3, 5, 0]), &[]), Io::Read(extent(0x1_0203, 5)));
    assert_eq!(bench.io(cdb([0x08, 0, 0, 0, 0, 0]), &[]), Io::Read(extent(0, 256)));
}

#[test]
fn every_length_writes_the_same() {
    let mut bench = Bench::new(thin());
    let data = [1; 1024];
    for (flags, durability) in
        [(0, Durability::Cached), (0x08, Durability::Stable), (0x10, Durability::Cached)]
    {
        for cdb in layouts(WRITE, flags, 7, 2) {
            assert_eq!(bench.lun.expected(LUN_0, &cdb), Transfer::Out(1024));
            assert_eq!(bench.io(cdb, &data), Io::Write(extent(7, 2), durability));
        }
    }
    assert_eq!(bench.io(cdb([0x0a, 0, 0, 7, 2, 0]), &data), Io::Write(extent(7, 2), Durability::Cached));
    for cdb in layouts(WRITE_VERIFY, 0x02, 7, 2) {
        assert_eq!(bench.lun.expected(LUN_0, &cdb), Transfer::Out(1024));
        assert_eq!(bench.io(cdb, &data), Io::WriteVerify(extent(7, 2), Compare::Data));
    }
}

#[test]
fn verify_compares_as_it_is_told() {
    let mut bench = Bench::new(thin());
    let ways = [
        (0x00, Transfer::None, Compare::Medium),
        (0x02, Transfer::Out(1024), Compare::Data),
        (0x06, Transfer::Out(512), Compare::OneBlock),
    ];
    for (flags, transfer, compare) in ways {
        for cdb in layouts(VERIFY, flags, 7, 2) {
            assert_eq!(bench.lun.expected(LUN_0, &cdb), transfer);
            let data = vec![0; if let Transfer::Out(bytes) = transfer { bytes as usize } else { 0 }];
            assert_eq!(bench.io(cdb, &data), Io::Verify(extent(7, 2), compare));
        }
    }
    for cdb in layouts(VERIFY, 0x04, 7, 2) {
        assert_eq!(bench.failure(cdb, &[]), INVALID_FIELD);
    }
}

#[test]
fn nothing_lies_beyond_the_end() {
    let mut bench = Bench::new(thin());
    let end = BLOCKS as u32;
    for opcode in [READ, WRITE, WRITE_VERIFY, VERIFY] {
        for (block, blocks) in [(end, 1), (end - 1, 2), (end + 1, 0), (0x8000_0000, 1), (u32::MAX, u16::MAX)]
        {
            for cdb in layouts(opcode, 0, block, blocks) {
                assert_eq!(bench.lun.expected(LUN_0, &cdb), Transfer::None, "{cdb:02x?}");
                assert_eq!(bench.failure(cdb, &[]), OUT_OF_RANGE, "{cdb:02x?}");
            }
        }
        for cdb in layouts(opcode, 0, end, 0) {
            assert_eq!(bench.answer(cdb), []);
        }
    }
    let overflow = cdb([0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(bench.failure(overflow, &[]), OUT_OF_RANGE);
    for opcode in [0x35, 0x34] {
        assert_eq!(bench.failure(cdb([opcode, 0, 0, 0x20, 0, 1, 0, 0, 0]), &[]), OUT_OF_RANGE);
        assert_eq!(bench.failure(cdb([opcode, 0, 0, 0x1f, 0xff, 0xff, 0, 0, 2]), &[]), OUT_OF_RANGE);
    }
}

#[test]
fn a_transfer_is_as_long_as_the_limits_say() {
    let mut bench = Bench::new(thin());
    let of = |opcode, blocks: u32| {
        let [a, b, c, d] = blocks.to_be_bytes();
        cdb([opcode, 0, 0, 0, 0, 0, a, b, c, d])
    };
    assert_eq!(bench.io(of(0xa8, 65_536), &[]), Io::Read(extent(0, 65_536)));
    assert_eq!(bench.failure(of(0xa8, 65_537), &[]), INVALID_FIELD);
    assert_eq!(bench.lun.expected(LUN_0, &of(0xaa, 65_537)), Transfer::None);
    assert_eq!(bench.failure(of(0xaa, 65_537), &[]), INVALID_FIELD);
}

#[test]
fn protection_information_is_refused() {
    let mut bench = Bench::new(thin());
    for opcode in [READ, WRITE, WRITE_VERIFY, VERIFY] {
        for protect in 1..8 {
            for cdb in layouts(opcode, protect << 5, 0, 1) {
                assert_eq!(bench.failure(cdb, &[0; 512]), INVALID_FIELD, "{cdb:02x?}");
            }
        }
    }
    for opcode in [0x89, 0x8b, 0x93] {
        assert_eq!(
            bench.failure(cdb([opcode, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), &[0; 1024]),
            INVALID_FIELD
        );
    }
}

#[test]
fn who_announces_less_moves_less() {
    let mut bench = Bench::new(thin());
    let [two_blocks, ..] = layouts(WRITE, 0, 7, 2);
    assert_eq!(bench.io(two_blocks, &[0; 512]), Io::Write(extent(7, 1), Durability::Cached));
    assert_eq!(bench.io(two_blocks, &[0; 1000]), Io::Write(extent(7, 1), Durability::Cached));
    assert_eq!(bench.answer(two_blocks), [], "nothing was announced, so nothing is written");
    // What was announced must have come.
    let lost = DataOut { announced: 1024, bytes: &[0; 512] };
    let Step::Done(outcome) = bench.lun.start(bench.nexuses[0], LUN_0, &two_blocks, lost) else {
        panic!("no write")
    };
    assert_eq!(codes(&outcome), [0xb, 0x47, 5]);
    // More is not looked at.
    let more = DataOut { announced: 4096, bytes: &[0; 1024] };
    let step = bench.lun.start(bench.nexuses[0], LUN_0, &two_blocks, more);
    assert_eq!(step, Step::Io(Io::Write(extent(7, 2), Durability::Cached)));
}

#[test]
fn compare_and_write_is_all_or_nothing() {
    let mut bench = Bench::new(thin());
    let command = |blocks| cdb([0x89, 0x08, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, blocks]);
    assert_eq!(bench.lun.expected(LUN_0, &command(2)), Transfer::Out(2048));
    assert_eq!(bench.io(command(2), &[0; 2048]), Io::CompareAndWrite(extent(9, 2), Durability::Stable));
    assert_eq!(
        bench.io(command(255), &[0; 255 * 1024]),
        Io::CompareAndWrite(extent(9, 255), Durability::Stable)
    );
    assert_eq!(bench.failure(command(2), &[0; 1024]), INVALID_FIELD);
    assert_eq!(bench.failure(command(2), &[0; 4096]), INVALID_FIELD);
    assert_eq!(bench.answer(command(0)), []);
}

#[test]
fn orwrite() {
    let mut bench = Bench::new(thin());
    let command = cdb([0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1]);
    assert_eq!(bench.io(command, &[0; 512]), Io::OrWrite(extent(9, 1), Durability::Cached));
}

#[test]
fn write_same() {
    let mut bench = Bench::new(thin());
    let (zeros, ones) = ([0; 512], [1; 512]);
    let ten = |flags| cdb([0x41, flags, 0, 0, 0, 9, 0, 0, 100]);
    let sixteen = |flags| cdb([0x93, flags, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 100]);
    for command in [ten, sixteen] {
        assert_eq!(bench.lun.expected(LUN_0, &command(0)), Transfer::Out(512));
        assert_eq!(bench.io(command(0), &ones), Io::WriteSame(extent(9, 100)));
        assert_eq!(bench.io(command(0), &zeros), Io::Zero(extent(9, 100), Space::Keep));
        // Only zeros read the same when their space is given back.
        assert_eq!(bench.io(command(0x08), &ones), Io::WriteSame(extent(9, 100)));
        assert_eq!(bench.io(command(0x08), &zeros), Io::Zero(extent(9, 100), Space::MayRelease));
        for wrong in [&[0; 256][..], &[0; 1024], &[]] {
            assert_eq!(bench.failure(command(0x08), wrong), INVALID_FIELD);
        }
        // ANCHOR, PBDATA, LBDATA
        for flags in [0x10, 0x18, 0x04, 0x02] {
            assert_eq!(bench.failure(command(flags), &zeros), INVALID_FIELD);
        }
    }
    assert_eq!(bench.lun.expected(LUN_0, &sixteen(0x09)), Transfer::None);
    assert_eq!(bench.io(sixteen(0x09), &[]), Io::Zero(extent(9, 100), Space::MayRelease));
    assert_eq!(bench.io(sixteen(0x01), &[]), Io::Zero(extent(9, 100), Space::Keep));
}

#[test]
fn write_same_of_no_blocks_goes_on_to_the_end() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.io(cdb([0x41]), &[0; 512]), Io::Zero(extent(0, BLOCKS), Space::Keep));
    let near_the_end = cdb([0x93, 0x08, 0, 0, 0, 0, 0, 0x1f, 0xff, 0xfd]);
    assert_eq!(bench.io(near_the_end, &[1; 512]), Io::WriteSame(extent(BLOCKS - 3, 3)));
    assert_eq!(bench.answer(cdb([0x93, 0x01, 0, 0, 0, 0, 0, 0x20, 0, 0])), [], "there is nothing at the end");
    assert_eq!(bench.failure(cdb([0x41, 0, 0, 0x20, 0, 1]), &[0; 512]), OUT_OF_RANGE);
}

#[test]
fn long_patterns_are_refused_and_long_zeros_are_not() {
    let mut bench = Bench::new(thin());
    let command = |blocks: u32| {
        let [a, b, c, d] = blocks.to_be_bytes();
        cdb([0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
    };
    assert_eq!(bench.io(command(65_536), &[1; 512]), Io::WriteSame(extent(0, 65_536)));
    assert_eq!(bench.failure(command(65_537), &[1; 512]), INVALID_FIELD);
    assert_eq!(bench.failure(command(0), &[1; 512]), INVALID_FIELD);
    assert_eq!(bench.io(command(65_537), &[0; 512]), Io::Zero(extent(0, 65_537), Space::Keep));
}

#[test]
fn flush_and_prefetch() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.io(cdb([0x35]), &[]), Io::Flush);
    assert_eq!(bench.io(cdb([0x91, 2]), &[]), Io::Flush);
    assert_eq!(bench.answer(cdb([0x34, 2, 0, 0, 0, 0, 3, 0, 1])), []);
    assert_eq!(bench.answer(cdb([0x90])), []);
}

#[test]
fn a_read_only_disk_is_not_written() {
    let mut bench = Bench::new(Disk { access: Access::ReadOnly, ..thin() });
    let writes = layouts(WRITE, 0, 0, 1).into_iter().chain(layouts(WRITE_VERIFY, 0, 0, 1));
    let others = [
        cdb([0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        cdb([0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    let trims =
        [cdb([0x41, 0, 0, 0, 0, 0, 0, 0, 1]), cdb([0x42, 0, 0, 0, 0, 0, 0, 0, 24]), cdb([0x0a, 0, 0, 0, 1])];
    for cdb in writes.chain(others).chain(trims) {
        assert_eq!(bench.lun.expected(LUN_0, &cdb), Transfer::None);
        assert_eq!(bench.failure(cdb, &[]), [7, 0x27, 0], "{cdb:02x?}");
    }
    let [read, ..] = layouts(READ, 0, 0, 1);
    assert_eq!(bench.io(read, &[]), Io::Read(extent(0, 1)));
}

#[test]
fn naca_is_refused_where_the_control_byte_is() {
    let mut bench = Bench::new(thin());
    let with = |opcode: u8, control: usize| {
        let mut bytes = cdb([opcode]);
        bytes[control] = 0x04;
        bytes
    };
    for (opcode, control) in [(0x00, 5), (0x28, 9), (0xa8, 11), (0x88, 15)] {
        let outcome = bench.outcome_of(0, with(opcode, control), &[]);
        assert_eq!(codes(&outcome), INVALID_FIELD);
        assert_eq!(outcome.sense[15..18], [0xca, 0, control as u8]);
    }
}
