//! INQUIRY, REPORT LUNS and READ CAPACITY.

use bootlace_wire::scsi::{DataOut, Geometry, Step};

use super::*;

fn inquiry(page: Option<u8>, allocation: u16) -> Cdb {
    let [high, low] = allocation.to_be_bytes();
    cdb([0x12, page.is_some().into(), page.unwrap_or(0), high, low, 0])
}

#[test]
fn standard_data() {
    let mut expected = vec![0x00, 0x00, 6, 0x12, 91, 0, 0, 0x02];
    expected.extend(b"BOOTLACEDISK            0001");
    expected.resize(58, 0);
    expected.extend([0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0, 0x09, 0x60]);
    expected.resize(96, 0);
    let mut bench = Bench::new(thin());
    assert_eq!(bench.answer(inquiry(None, 255)), expected);
    assert_eq!(bench.answer(inquiry(None, 5)), expected[..5]);
    assert_eq!(bench.answer(inquiry(None, 0)), []);
}

#[test]
fn a_page_without_evpd_is_an_error_that_points_to_it() {
    let mut bench = Bench::new(thin());
    let outcome = bench.outcome_of(0, cdb([0x12, 0, 0x80, 0, 0xff, 0]), &[]);
    assert_eq!(codes(&outcome), INVALID_FIELD);
    assert_eq!(outcome.sense[15..18], [0xc0, 0, 2]);
    assert_eq!(bench.failure(inquiry(Some(0xb3), 255), &[]), INVALID_FIELD);
}

#[test]
fn every_listed_page_is_there() {
    let mut bench = Bench::new(thin());
    let list = bench.answer(inquiry(Some(0), 255));
    assert_eq!(list, [0, 0, 0, 6, 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
    for &page in &list[4..] {
        let bytes = bench.answer(inquiry(Some(page), 0xffff));
        assert_eq!(bytes[..2], [0, page]);
        assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len() - 4, "{page:02x}");
    }
}

#[test]
fn serial_number() {
    assert_eq!(Bench::new(thin()).answer(inquiry(Some(0x80), 255)), *b"\x00\x80\x00\x04b7f3");
    let mut long = thin();
    long.identity.serial = "9".repeat(1000);
    assert_eq!(Bench::new(long).answer(inquiry(Some(0x80), 0xffff)).len(), 4 + 252);
}

#[test]
fn device_identification() {
    let mut expected = vec![0, 0x83, 0, 100];
    expected.extend([0x01, 0x03, 0, 8, 0x31, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    expected.extend(b"\x02\x01\0\x0cBOOTLACEb7f3");
    expected.extend([0x51, 0x94, 0, 4, 0, 0, 0, 1]);
    expected.extend(b"\x53\x98\0\x20iqn.2026-01.example:m1,t,0x0001\0");
    expected.extend(b"\x53\xa8\0\x18iqn.2026-01.example:m1\0\0");
    assert_eq!(Bench::new(thin()).answer(inquiry(Some(0x83), 255)), expected);
}

#[test]
fn block_limits() {
    let mut expected = vec![0; 64];
    expected[..4].copy_from_slice(&[0, 0xb0, 0, 0x3c]);
    expected[4..8].copy_from_slice(&[0, 255, 0, 8]);
    expected[8..12].copy_from_slice(&65_536_u32.to_be_bytes());
    assert_eq!(Bench::new(thick()).answer(inquiry(Some(0xb0), 255)), expected);
    expected[20..24].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    expected[24..28].copy_from_slice(&256_u32.to_be_bytes());
    expected[28..32].copy_from_slice(&8_u32.to_be_bytes());
    expected[32] = 0x80;
    assert_eq!(Bench::new(thin()).answer(inquiry(Some(0xb0), 255)), expected);
}

#[test]
fn characteristics_and_provisioning() {
    let mut bench = Bench::new(thin());
    let characteristics = bench.answer(inquiry(Some(0xb1), 255));
    assert_eq!(characteristics[..6], [0, 0xb1, 0, 0x3c, 0, 1]);
    assert!(characteristics[6..].iter().all(|&byte| byte == 0));
    assert_eq!(bench.answer(inquiry(Some(0xb2), 255)), [0, 0xb2, 0, 4, 0, 0xe4, 2, 0]);
    assert_eq!(Bench::new(thick()).answer(inquiry(Some(0xb2), 255)), [0, 0xb2, 0, 4, 0, 0, 0, 0]);
}

#[test]
fn capacity() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.answer(cdb([0x25])), [0x00, 0x1f, 0xff, 0xff, 0, 0, 2, 0]);
    assert_eq!(bench.failure(cdb([0x25, 0, 0, 0, 0, 1]), &[]), INVALID_FIELD);
    let capacity_16 = |allocation| cdb([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, allocation]);
    let mut expected = vec![0, 0, 0, 0, 0x00, 0x1f, 0xff, 0xff, 0, 0, 2, 0, 0, 3, 0xc0, 0];
    expected.resize(32, 0);
    assert_eq!(bench.answer(capacity_16(32)), expected);
    assert_eq!(bench.answer(capacity_16(12)), expected[..12]);
    expected[14] = 0;
    assert_eq!(Bench::new(thick()).answer(capacity_16(255)), expected);
}

/// 2^32 blocks have a last one that 32 bits can tell, but it means that they cannot.
#[test]
fn a_large_disk_sends_initiators_to_the_long_form() {
    let of = |blocks| {
        let geometry = Geometry { blocks, ..thin().geometry };
        Bench::new(Disk { geometry, ..thin() }).answer(cdb([0x25]))[..4].to_vec()
    };
    assert_eq!(of(0xffff_ffff), [0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(of(1 << 32), [0xff; 4]);
    assert_eq!(of(1 << 40), [0xff; 4]);
}

#[test]
fn luns() {
    let report = |select, allocation| cdb([0xa0, 0, select, 0, 0, 0, 0, 0, 0, allocation]);
    let mut bench = Bench::new(thin());
    let one = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(bench.answer(report(0, 255)), one);
    assert_eq!(bench.answer(report(2, 16)), one);
    assert_eq!(bench.answer(report(1, 255)), [0; 8]);
    assert_eq!(bench.failure(report(3, 255), &[]), INVALID_FIELD);
    assert_eq!(bench.failure(report(0, 15), &[]), INVALID_FIELD);
}

#[test]
fn a_unit_that_is_not_there_says_so() {
    let mut bench = Bench::new(thin());
    let mut ask =
        |cdb: Cdb| match bench.lun.start(bench.nexuses[0], [0, 1, 0, 0, 0, 0, 0, 0], &cdb, DataOut::NONE) {
            Step::Done(outcome) => outcome,
            Step::Io(io) => panic!("{io:?}"),
        };
    let data = ask(inquiry(None, 255)).data_in;
    assert_eq!((data[0], data.len()), (0x7f, 96));
    assert_eq!(ask(cdb([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16])).data_in.len(), 16);
    let sense = ask(cdb([0x03, 0, 0, 0, 18])).data_in;
    assert_eq!((sense[2], sense[12]), (5, 0x25));
    for refused in [cdb([0x00]), cdb([0x28, 0, 0, 0, 0, 0, 0, 0, 1]), inquiry(Some(0), 255), cdb([0xff])] {
        assert_eq!(codes(&ask(refused)), [5, 0x25, 0]);
    }
}

#[test]
fn the_flat_form_of_lun_0_is_lun_0() {
    let mut bench = Bench::new(thin());
    let Step::Done(outcome) =
        bench.lun.start(bench.nexuses[0], [0x40, 0, 0, 0, 0, 0, 0, 0], &cdb([0x25]), DataOut::NONE)
    else {
        panic!("an answer")
    };
    assert_eq!(outcome.data_in.len(), 8);
}
