//! MODE SENSE and MODE SELECT.

use super::*;

const CACHING: [u8; 20] = [0x08, 18, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const CONTROL: [u8; 12] = [0x0a, 10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0];
const EXCEPTIONS: [u8; 12] = [0x1c, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const DESCRIPTOR: [u8; 8] = [0, 0x20, 0, 0, 0, 0, 2, 0];

fn sense_6(flags: u8, page: u8) -> Cdb {
    cdb([0x1a, flags, page, 0, 255, 0])
}

/// A MODE SELECT(6) of one page without a block descriptor.
fn select(bench: &mut Bench, page: &[u8]) -> Outcome {
    let list = [&[0; 4][..], page].concat();
    bench.outcome_of(0, cdb([0x15, 0x10, 0, 0, list.len() as u8]), &list)
}

fn control(sense: u8, protect: u8) -> [u8; 12] {
    let mut page = CONTROL;
    page[2] = sense;
    page[4] = protect;
    page
}

#[test]
fn all_pages() {
    let mut bench = Bench::new(thin());
    let pages = [&CACHING[..], &CONTROL, &EXCEPTIONS].concat();
    let expected = [&[55, 0, 0x10, 8][..], &DESCRIPTOR, &pages].concat();
    assert_eq!(bench.answer(sense_6(0, 0x3f)), expected);
    assert_eq!(bench.answer(cdb([0x1a, 0, 0x3f, 0xff, 255])), expected);
    assert_eq!(bench.answer(cdb([0x1a, 0, 0x3f, 0, 4])), expected[..4]);
    assert_eq!(bench.answer(sense_6(0x08, 0x3f)), [&[47, 0, 0x10, 0][..], &pages].concat());
}

#[test]
fn one_page_and_the_long_form() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.answer(sense_6(0x08, 0x08)), [&[23, 0, 0x10, 0][..], &CACHING].concat());
    let long = |flags| cdb([0x5a, flags, 0x0a, 0, 0, 0, 0, 1, 0]);
    let header = [0, 26, 0, 0x10, 0, 0, 0, 8];
    assert_eq!(bench.answer(long(0)), [&header[..], &DESCRIPTOR, &CONTROL].concat());
    let header = [0, 34, 0, 0x10, 1, 0, 0, 16];
    let descriptor = [0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    assert_eq!(bench.answer(long(0x10)), [&header[..], &descriptor, &CONTROL].concat());
}

#[test]
fn values_that_can_change_and_those_from_the_start() {
    let mut bench = Bench::new(thin());
    let mut mask = [0; 12];
    mask[..5].copy_from_slice(&[0x0a, 10, 0x04, 0, 0x08]);
    assert_eq!(bench.answer(sense_6(0x08, 0x4a))[4..], mask);
    let mut fixed = [0; 20];
    fixed[..2].copy_from_slice(&[0x08, 18]);
    assert_eq!(bench.answer(sense_6(0x08, 0x48))[4..], fixed);
    assert_eq!(select(&mut bench, &control(0, 0x08)).status, Status::Good);
    assert_eq!(bench.answer(sense_6(0x08, 0x0a))[4..], control(0, 0x08));
    assert_eq!(bench.answer(sense_6(0x08, 0x8a))[4..], CONTROL);
    assert_eq!(bench.failure(sense_6(0x08, 0xca), &[]), [5, 0x39, 0]);
}

#[test]
fn pages_that_are_not_there() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.failure(sense_6(0, 0x02), &[]), INVALID_FIELD);
    assert_eq!(bench.failure(cdb([0x1a, 0, 0x0a, 5, 255]), &[]), INVALID_FIELD);
    assert_eq!(bench.failure(cdb([0x1a, 0, 0x3f, 1, 255]), &[]), INVALID_FIELD);
}

#[test]
fn write_protection_by_the_initiator() {
    let mut bench = Bench::new(thin());
    let write = cdb([0x2a, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(select(&mut bench, &control(0, 0x08)).status, Status::Good);
    assert_eq!(bench.answer(sense_6(0x08, 0x08))[2], 0x90);
    assert_eq!(bench.failure(write, &[0; 512]), [7, 0x27, 0]);
    assert_eq!(select(&mut bench, &control(0, 0)).status, Status::Good);
    assert!(matches!(bench.io(write, &[0; 512]), Io::Write(..)));
    let read_only = Disk { access: Access::ReadOnly, ..thin() };
    assert_eq!(Bench::new(read_only).answer(sense_6(0x08, 0x08))[2], 0x90);
}

#[test]
fn sense_data_of_descriptor_format() {
    let mut bench = Bench::new(thin());
    assert_eq!(select(&mut bench, &control(0x04, 0)).status, Status::Good);
    let outcome = bench.outcome_of(0, cdb([0xff]), &[]);
    assert_eq!(outcome.sense, [0x72, 5, 0x20, 0, 0, 0, 0, 0]);
}

#[test]
fn what_cannot_change_is_refused_whole() {
    let mut bench = Bench::new(thin());
    const PARAMETER: [u8; 3] = [5, 0x26, 0];
    const LENGTH: [u8; 3] = [5, 0x1a, 0];
    let mut no_cache = CACHING;
    no_cache[2] = 0;
    let both = [&control(0, 0x08)[..], &no_cache].concat();
    assert_eq!(codes(&select(&mut bench, &both)), PARAMETER);
    assert_eq!(bench.answer(sense_6(0x08, 0x0a))[4..], CONTROL, "not even the good page");
    assert_eq!(codes(&select(&mut bench, &[0x02, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), PARAMETER);
    assert_eq!(codes(&select(&mut bench, &[0x0a, 8, 0, 0x10, 0, 0, 0, 0, 0, 0])), PARAMETER);
    assert_eq!(codes(&select(&mut bench, &CONTROL[..11])), LENGTH);
    assert_eq!(codes(&select(&mut bench, &CONTROL[..1])), LENGTH);
    // PS may be as MODE SENSE told it.
    let mut saved = CONTROL;
    saved[0] |= 0x80;
    assert_eq!(select(&mut bench, &saved).status, Status::Good);
}

#[test]
fn block_descriptors_of_a_select() {
    let mut bench = Bench::new(thin());
    let mut send = |descriptor: [u8; 8]| {
        let list = [&[0, 0, 0, 8][..], &descriptor, &CONTROL].concat();
        bench.outcome_of(0, cdb([0x15, 0x10, 0, 0, list.len() as u8]), &list)
    };
    assert_eq!(send(DESCRIPTOR).status, Status::Good);
    assert_eq!(send([0, 0, 0, 0, 0, 0, 2, 0]).status, Status::Good);
    assert_eq!(codes(&send([0, 0, 0, 9, 0, 0, 2, 0])), [5, 0x26, 0]);
    assert_eq!(codes(&send([0, 0x20, 0, 0, 0, 0, 0x10, 0])), [5, 0x26, 0]);
}

#[test]
fn select_wants_page_format_and_saves_nothing() {
    let mut bench = Bench::new(thin());
    assert_eq!(bench.failure(cdb([0x15, 0x00]), &[]), INVALID_FIELD);
    assert_eq!(bench.failure(cdb([0x15, 0x11]), &[]), INVALID_FIELD);
    assert_eq!(bench.answer(cdb([0x15, 0x10])), []);
    assert_eq!(bench.failure(cdb([0x55, 0x10, 0, 0, 0, 0, 0, 0, 5]), &[0; 5]), [5, 0x1a, 0]);
    let list = [&[0; 8][..], &control(0, 0x08)].concat();
    assert_eq!(bench.outcome_of(0, cdb([0x55, 0x10, 0, 0, 0, 0, 0, 0, 20]), &list).status, Status::Good);
    assert_eq!(bench.answer(sense_6(0x08, 0x0a))[4..], control(0, 0x08));
}
