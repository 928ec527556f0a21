use bootlace_wire::iscsi::{Cause, Collected, Event, Fault, Task, limits};
use bootlace_wire::scsi::{Outcome, Status, Transfer};

use super::{Answer, Bench, NONE, header};

const READ: u8 = 0xc0;
const WRITE: u8 = 0xa0;
/// Write, with more data behind the command.
const WRITE_MORE: u8 = 0x20;

fn good() -> Outcome {
    Outcome::good(Vec::new())
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at / 4) as u8).collect()
}

/// A write that is announced with data in its PDU, and of which the disk wants as many bytes.
fn write(bench: &mut Bench, flags: u8, announced: u32, data: &[u8]) -> Collected {
    let events = bench.command(flags, 1, announced, &[0x2a], data);
    assert!(matches!(events[..], [Event::Command(_)]), "{events:?}");
    bench.connection.expect(Task(1), Transfer::Out(u64::from(announced)))
}

fn read(bench: &mut Bench, announced: u32, data: &[u8]) -> Vec<Answer> {
    bench.command(READ, 1, announced, &[0x28], &[]);
    bench.connection.expect(Task(1), Transfer::In(data.len() as u64));
    bench.connection.respond(Task(1), &good(), data);
    bench.answers()
}

#[test]
fn reads_are_split_by_segments_and_bursts() {
    let mut bench = Bench::with("MaxRecvDataSegmentLength=1024 MaxBurstLength=2560");
    let answers = read(&mut bench, 4096, &bytes(4096));
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| (answer.flags(), answer.word(36), answer.word(40), answer.data.len()))
        .collect();
    assert_eq!(
        seen,
        [(0, 0, 0, 1024), (0, 1, 1024, 1024), (0x80, 2, 2048, 512), (0, 3, 2560, 1024), (0x81, 4, 3584, 512)]
    );
    let data: Vec<u8> = answers.iter().flat_map(|answer| answer.data.clone()).collect();
    assert_eq!(data, bytes(4096));
    // Only the last one has a status and its number.
    assert_eq!([answers[0].word(24), answers[4].word(24)], [0, 101]);
    assert!(answers.iter().all(|answer| answer.opcode() == 0x25 && answer.word(16) == 1));
}

#[test]
fn a_read_with_a_residual_has_a_response_of_its_own() {
    for (announced, sent, flag, count) in
        [(10_000, 512, 0x82, 9488), (200, 200, 0x84, 312), (0, 0, 0x84, 512)]
    {
        let mut bench = Bench::with("");
        let answers = read(&mut bench, announced, &bytes(512));
        let data: Vec<u8> =
            answers.iter().filter(|a| a.opcode() == 0x25).flat_map(|a| a.data.clone()).collect();
        assert_eq!(data, bytes(512)[..sent]);
        let last = answers.last().unwrap();
        assert_eq!((last.opcode(), last.flags(), last.word(44)), (0x21, flag, count), "{announced}");
        assert_eq!(last.word(36), answers.len() as u32 - 1, "ExpDataSN");
    }
}

#[test]
fn sense_data_have_their_length_in_front() {
    let mut bench = Bench::with("");
    bench.command(READ, 1, 512, &[0x28], &[]);
    bench.connection.expect(Task(1), Transfer::None);
    let outcome = Outcome { status: Status::CheckCondition, sense: vec![0x70; 18], data_in: Vec::new() };
    bench.connection.respond(Task(1), &outcome, &[]);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.flags(), answer.header.0[3]), (0x21, 0x82, 2));
    assert_eq!((answer.word(44), &answer.data[..3]), (512, &[0, 18, 0x70][..]));
}

#[test]
fn immediate_data_are_enough() {
    let mut bench = Bench::with("");
    assert_eq!(write(&mut bench, WRITE, 1024, &bytes(1024)), Collected::Whole);
    let data = bench.connection.data(Task(1));
    assert_eq!((data.announced, data.bytes), (1024, bytes(1024).as_slice()));
    bench.connection.respond(Task(1), &good(), &[]);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.flags(), answer.word(44)), (0x21, 0x80, 0));
}

#[test]
fn the_rest_is_asked_for_in_bursts() {
    let mut bench = Bench::with("MaxBurstLength=1024 FirstBurstLength=512");
    assert_eq!(write(&mut bench, WRITE, 2048, &bytes(2048)[..512]), Collected::Waiting);
    let all = bytes(2048);
    for (number, offset, length) in [(0, 512, 1024), (1, 1536, 512)] {
        let ask = bench.answer();
        assert_eq!((ask.opcode(), ask.flags(), ask.word(16)), (0x31, 0x80, 1));
        assert_eq!([ask.word(36), ask.word(40), ask.word(44)], [number, offset, length]);
        let burst = &all[offset as usize..][..length as usize];
        let (head, tail) = burst.split_at(256);
        let tag = ask.word(20);
        assert_eq!(bench.data_out(0, (1, tag), (0, offset), head), []);
        let events = bench.data_out(0x80, (1, tag), (1, offset + 256), tail);
        let over = offset + length == 2048;
        assert_eq!(events, if over { vec![Event::Data(Task(1))] } else { vec![] });
    }
    assert_eq!(bench.connection.data(Task(1)).bytes, all);
}

#[test]
fn unasked_data_come_behind_the_command() {
    let mut bench = Bench::with("FirstBurstLength=1024");
    let all = bytes(2048);
    assert_eq!(write(&mut bench, WRITE_MORE, 2048, &all[..512]), Collected::Waiting);
    assert!(bench.answers().is_empty());
    assert_eq!(bench.data_out(0x80, (1, NONE), (0, 512), &all[512..1024]), []);
    let ask = bench.answer();
    assert_eq!([ask.word(40), ask.word(44)], [1024, 1024]);
    let tag = ask.word(20);
    assert_eq!(bench.data_out(0x80, (1, tag), (0, 1024), &all[1024..]), [Event::Data(Task(1))]);
    assert_eq!(bench.connection.data(Task(1)).bytes, all);
}

#[test]
fn fewer_unasked_data_than_agreed_are_a_fault() {
    let mut bench = Bench::with("FirstBurstLength=1024");
    write(&mut bench, WRITE_MORE, 2048, &[]);
    let events = bench.data_out(0x80, (1, NONE), (0, 0), &[0; 512]);
    assert_eq!(events, [Event::Fault(Task(1), Fault::TooFewUnasked)]);
}

#[test]
fn data_out_of_order_are_a_fault() {
    let asked = |flags: u8, tag: u32, number: u32, offset: u32, length: usize| {
        let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
        write(&mut bench, WRITE, 1024, &[]);
        let right = bench.answer().word(20);
        bench.data_out(flags, (1, right.wrapping_add(tag)), (number, offset), &vec![0; length])
    };
    let fault = [Event::Fault(Task(1), Fault::Sequence)];
    assert_eq!(asked(0x80, 0, 0, 0, 1024), [Event::Data(Task(1))]);
    // DataSN, offset, transfer tag, length, the end too early, no end.
    assert_eq!(asked(0x80, 0, 1, 0, 1024), fault);
    assert_eq!(asked(0x80, 0, u32::MAX, 0, 1024), fault);
    assert_eq!(asked(0x80, 0, 0, 512, 512), fault);
    assert_eq!(asked(0x80, 1, 0, 0, 1024), fault);
    assert_eq!(asked(0x80, 0, 0, 0, 1025), fault);
    assert_eq!(asked(0x80, 0, 0, 0, 512), fault);
    assert_eq!(asked(0x00, 0, 0, 0, 1024), fault);

    let mut bench = Bench::with("");
    write(&mut bench, WRITE_MORE, 1024, &[]);
    assert_eq!(bench.data_out(0, (1, NONE), (1, 0), &[0; 512]), fault);
}

#[test]
fn a_command_that_wants_no_data_does_not_wait_for_them() {
    let mut bench = Bench::with("");
    bench.command(WRITE_MORE, 1, 2048, &[0x2a], &[0; 512]);
    assert_eq!(bench.connection.expect(Task(1), Transfer::None), Collected::Whole);
    assert_eq!(bench.connection.data(Task(1)).bytes, b"");
    bench.connection.respond(Task(1), &good(), &[]);
    let answer = bench.answer();
    assert_eq!((answer.flags(), answer.word(44)), (0x82, 2048));
    assert_eq!(bench.data_out(0x80, (1, NONE), (0, 512), &[0; 1536]), []);
    assert!(bench.answers().is_empty());
}

#[test]
fn lengths_of_writes_may_differ() {
    // Announced, wanted by the command; what it gets, flag and residual.
    for (announced, wanted, kept, flag, count) in
        [(1024, 512, 512, 0x82, 512), (512, 1024, 512, 0x84, 512), (0, 512, 0, 0x84, 512)]
    {
        let mut bench = Bench::with("");
        bench.command(WRITE, 1, announced, &[0x2a], &bytes(announced as usize));
        assert_eq!(bench.connection.expect(Task(1), Transfer::Out(wanted)), Collected::Whole);
        let data = bench.connection.data(Task(1));
        assert_eq!((data.announced, data.bytes.len()), (u64::from(announced), kept));
        bench.connection.respond(Task(1), &good(), &[]);
        let answer = bench.answer();
        assert_eq!((answer.flags(), answer.word(44)), (flag, count));
    }
}

#[test]
fn data_that_were_not_agreed_on_end_the_connection() {
    let closed = [Event::Closed(Cause::Protocol)];
    let mut bench = Bench::with("ImmediateData=No");
    assert_eq!(bench.command(WRITE, 1, 512, &[0x2a], &[0; 512]), closed);
    let mut bench = Bench::with("InitialR2T=Yes");
    assert_eq!(bench.command(WRITE_MORE, 1, 1024, &[0x2a], &[0; 512]), closed);
    let mut bench = Bench::with("FirstBurstLength=512");
    assert_eq!(bench.command(WRITE, 1, 1024, &[0x2a], &[0; 1024]), closed);
    let mut bench = Bench::with("");
    assert_eq!(bench.command(WRITE, 1, 512, &[0x2a], &[0; 1024]), closed);
    let mut bench = Bench::with("");
    assert_eq!(bench.command(READ, 1, 512, &[0x28], &[0; 512]), closed);
}

#[test]
fn data_that_come_unasked_are_bounded() {
    let mut bench = Bench::with("");
    let (first, all) = (limits::FIRST_BURST_BYTES_MAX, 2 * limits::FIRST_BURST_BYTES_MAX);
    // Of some the data are in the PDU, of others on their way; the room of those that were asked for more is another one.
    let room = limits::UNASKED_BYTES_MAX / u64::from(first) + limits::SOLICITED_BYTES_MAX / u64::from(all);
    for task in 0..room as u32 {
        let (flags, data) = if task < 40 { (WRITE, first) } else { (WRITE_MORE, 0) };
        let events = bench.command(flags, task, all, &[0x2a], &vec![0; data as usize]);
        assert!(matches!(events[..], [Event::Command(_)]), "{task}: {events:?}");
        bench.connection.expect(Task(task), Transfer::Out(u64::from(all)));
    }
    assert!(bench.answers().iter().all(|answer| answer.opcode() == 0x31));
    assert_eq!(bench.command(WRITE_MORE, 500, all, &[0x2a], &[0; 512]), []);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.header.0[3], answer.word(16)), (0x21, 0x28, 500));
    assert_eq!((answer.flags(), answer.word(44)), (0x82, all));
    assert_eq!(bench.data_out(0x80, (500, NONE), (0, 512), &vec![0; first as usize - 512]), []);
    assert!(bench.answers().is_empty());
    // What brings no data has its place.
    assert_eq!(bench.command(READ, 501, 512, &[0x28], &[]).len(), 1);
    bench.connection.respond(Task(0), &good(), &[]);
    assert_eq!(bench.command(WRITE, 500, all, &[0x2a], &vec![0; first as usize]).len(), 1);
}

#[test]
fn data_that_were_used_make_room_before_the_answer() {
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
    let all = limits::SOLICITED_BYTES_MAX as u32;
    for task in [1, 2] {
        bench.command(WRITE, task, all, &[0x2a], &[]);
        bench.connection.expect(Task(task), Transfer::Out(u64::from(all)));
    }
    assert_eq!(bench.answer().word(16), 1);
    bench.connection.forget_data(Task(1));
    assert_eq!(bench.connection.data(Task(1)).bytes, b"");
    assert_eq!(bench.answer().word(16), 2);
    bench.connection.respond(Task(1), &good(), &[]);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.word(16), answer.word(44)), (0x21, 1, 0));
}

#[test]
fn short_writes_do_not_overtake_a_long_one() {
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes MaxBurstLength=512");
    let all = limits::SOLICITED_BYTES_MAX as u32;
    for (task, bytes) in [(1, 1024), (2, all), (3, 512), (4, 512)] {
        bench.command(WRITE, task, bytes, &[0x2a], &[]);
        bench.connection.expect(Task(task), Transfer::Out(u64::from(bytes)));
    }
    let first = bench.answer();
    assert_eq!(first.word(16), 1);
    // Who has room goes on.
    bench.data_out(0x80, (1, first.word(20)), (0, 0), &[0; 512]);
    assert_eq!(bench.answer().word(16), 1);
    bench.connection.respond(Task(1), &good(), &[]);
    let asked: Vec<(u8, u32)> = bench.answers().iter().map(|ask| (ask.opcode(), ask.word(16))).collect();
    assert_eq!(asked, [(0x21, 1), (0x31, 2)]);
}

#[test]
fn memory_for_data_is_bounded_and_commands_wait_in_order() {
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes MaxBurstLength=512");
    let half = (limits::SOLICITED_BYTES_MAX / 2) as u32;
    for task in 1..=3 {
        bench.command(WRITE, task, half, &[0x2a], &[]);
        bench.connection.expect(Task(task), Transfer::Out(u64::from(half)));
    }
    let asked: Vec<u32> = bench.answers().iter().map(|ask| ask.word(16)).collect();
    assert_eq!(asked, [1, 2]);
    bench.connection.respond(Task(2), &good(), &[]);
    let asked: Vec<(u8, u32)> = bench.answers().iter().map(|ask| (ask.opcode(), ask.word(16))).collect();
    assert_eq!(asked, [(0x21, 2), (0x31, 3)]);
    // What is aborted makes room as well.
    bench.command(WRITE, 4, half, &[0x2a], &[]);
    bench.connection.expect(Task(4), Transfer::Out(u64::from(half)));
    assert!(bench.answers().is_empty());
    bench.send(header(0x42, 0x81, &[(16, 9), (20, 1), (24, bench.number)]), &[]);
    let asked: Vec<(u8, u32)> = bench.answers().iter().map(|ask| (ask.opcode(), ask.word(16))).collect();
    assert_eq!(asked, [(0x22, 9), (0x31, 4)]);
    // One may be longer than the limit by itself.
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
    bench.command(WRITE, 1, 3 * half, &[0x2a], &[]);
    bench.connection.expect(Task(1), Transfer::Out(3 * u64::from(half)));
    assert_eq!(bench.answer().opcode(), 0x31);
}
