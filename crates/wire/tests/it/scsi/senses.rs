//! Sense data in both formats, and what an image's failure becomes.

use bootlace_wire::scsi::{
    Detail, Extent, Io, IoError, IoResult, Outcome, Reason, Sense, SenseFormat, Status,
};

use super::*;

#[test]
fn fixed_format() {
    let bytes =
        Sense { reason: Reason::ReadError, detail: Detail::Information(0x1234) }.encode(SenseFormat::Fixed);
    assert_eq!(bytes, [0xf0, 0, 3, 0, 0, 0x12, 0x34, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0]);
    let too_large = Sense { reason: Reason::ReadError, detail: Detail::Information(1 << 32) };
    assert_eq!(too_large.encode(SenseFormat::Fixed)[..7], [0x70, 0, 3, 0, 0, 0, 0]);
    let field = Sense::cdb_bit(1, 7).encode(SenseFormat::Fixed);
    assert_eq!(field, [0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xcf, 0, 1]);
    assert_eq!(Sense::parameter(300).encode(SenseFormat::Fixed)[12..], [0x26, 0, 0, 0x80, 1, 44]);
}

#[test]
fn descriptor_format() {
    let bytes = Sense { reason: Reason::Miscompare, detail: Detail::Information(1 << 40) };
    let expected = [0x72, 0xe, 0x1d, 0, 0, 0, 0, 12, 0, 10, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    assert_eq!(bytes.encode(SenseFormat::Descriptor), expected);
    let field = Sense::cdb(9).encode(SenseFormat::Descriptor);
    assert_eq!(field, [0x72, 5, 0x24, 0, 0, 0, 0, 8, 2, 6, 0, 0, 0xc0, 0, 9, 0]);
    let plain = Sense::from(Reason::PowerOn).encode(SenseFormat::Descriptor);
    assert_eq!(plain, [0x72, 6, 0x29, 0, 0, 0, 0, 0]);
}

#[test]
fn what_an_image_cannot_do_has_a_reason() {
    let bench = Bench::new(thin());
    let write = Io::Write(Extent { block: 8, blocks: 1 }, bootlace_wire::scsi::Durability::Cached);
    let failed = |error| codes(&bench.lun.finish(&write, &IoResult::Failed(error)));
    assert_eq!(failed(IoError::Read(None)), [3, 0x11, 0]);
    assert_eq!(failed(IoError::Write(Some(8))), [3, 0x0c, 0]);
    // Not a medium error, on which file systems give up for good.
    assert_eq!(failed(IoError::NoSpace), [7, 0x27, 7]);
    assert_eq!(failed(IoError::ReadOnly), [7, 0x27, 0]);
    assert_eq!(failed(IoError::Unavailable), [2, 4, 0]);
    let at = bench.lun.finish(&write, &IoResult::Failed(IoError::Write(Some(0x1_0203))));
    assert_eq!(at.sense[..7], [0xf0, 0, 3, 0, 1, 2, 3]);
    let differs = bench.lun.finish(&write, &IoResult::Miscompare(485));
    assert_eq!((codes(&differs), &differs.sense[3..7]), ([0xe, 0x1d, 0], &[0, 0, 1, 0xe5][..]));
    assert_eq!(bench.lun.finish(&write, &IoResult::Done), Outcome::good(Vec::new()));
    assert_eq!(codes(&bench.lun.refuse(Reason::ServiceDeliveryError)), [0xb, 0x47, 5]);
}

#[test]
fn request_sense_reports_an_attention_and_then_nothing() {
    let mut bench = Bench::new(thin());
    let nexus = bench.lun.attach(port(9)).unwrap();
    bench.nexuses.push(nexus);
    let descriptor = bench.outcome_of(1, cdb([0x03, 1, 0, 0, 255]), &[]);
    assert_eq!((descriptor.status, &descriptor.data_in[..4]), (Status::Good, &[0x72, 6, 0x29, 0][..]));
    let fixed = bench.outcome_of(1, cdb([0x03, 0, 0, 0, 14]), &[]);
    assert_eq!(fixed.data_in, [0x70, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.attention(1), None);
}
