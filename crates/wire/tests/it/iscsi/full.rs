use std::time::Duration;

use bootlace_wire::iscsi::{
    Authentication, Cause, Collected, Digest, Digests, Event, Function, ManagementResponse, Task,
};
use bootlace_wire::scsi::{Outcome, Transfer};

use super::{Bench, NONE, TARGET, header};

fn good() -> Outcome {
    Outcome::good(Vec::new())
}

/// Ends a command without data.
fn respond(bench: &mut Bench, task: u32) {
    assert_eq!(bench.connection.expect(Task(task), Transfer::None), Collected::Whole);
    bench.connection.respond(Task(task), &good(), &[]);
}

#[test]
fn commands_outside_of_the_window_are_dropped() {
    let mut bench = Bench::with("");
    for number in [0, 129, u32::MAX, 0x8000_0001] {
        bench.number = number;
        assert_eq!(bench.command(0x80, 5, 0, &[0], &[]), [], "{number}");
    }
    assert!(bench.answers().is_empty());
    bench.number = 1;
    assert_eq!(bench.command(0x80, 5, 0, &[0], &[]).len(), 1);
    respond(&mut bench, 5);
    let answer = bench.answer();
    assert_eq!([answer.word(28), answer.word(32)], [2, 129]);
}

#[test]
fn a_gap_ends_the_connection() {
    let mut bench = Bench::with("");
    bench.number = 2;
    assert_eq!(bench.command(0x80, 5, 0, &[0], &[]), [Event::Closed(Cause::Protocol)]);
}

#[test]
fn immediate_commands_have_no_number() {
    let mut bench = Bench::with("");
    let mut head = header(0x41, 0x80, &[(16, 5), (24, 1)]);
    head[32] = 0;
    assert_eq!(bench.send(head, &[]).len(), 1);
    respond(&mut bench, 5);
    assert_eq!(bench.answer().word(28), 1);
    assert_eq!(bench.command(0x80, 6, 0, &[0], &[]).len(), 1);
}

#[test]
fn the_window_shrinks_by_what_waits_and_never_goes_back() {
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
    for task in 0..128 {
        bench.command(0xa0, task, 512, &[0x2a], &[]);
        assert_eq!(bench.connection.expect(Task(task), Transfer::Out(512)), Collected::Waiting);
    }
    let last = bench.answers().pop().expect("an R2T");
    assert_eq!([last.word(28), last.word(32)], [129, 128]);
    assert_eq!(bench.command(0x80, 500, 0, &[0], &[]), []);
    bench.connection.respond(Task(3), &good(), &[]);
    assert_eq!(bench.answer().word(32), 129);
}

#[test]
fn commands_without_a_number_take_places_as_well() {
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
    for task in 0..128 {
        let events = bench.send(header(0x41, 0xa0, &[(16, task), (20, 512), (24, 1)]), &[]);
        assert_eq!(events.len(), 1);
        assert_eq!(bench.connection.expect(Task(task), Transfer::Out(512)), Collected::Waiting);
    }
    bench.answers();
    for opcode in [0x41, 0x01] {
        assert_eq!(bench.send(header(opcode, 0x80, &[(16, 500), (24, 1)]), &[]), []);
        let answer = bench.answer();
        assert_eq!((answer.opcode(), answer.header.0[3], answer.word(16)), (0x21, 0x28, 500));
    }
    bench.connection.respond(Task(0), &good(), &[]);
    assert_eq!(bench.send(header(0x01, 0x80, &[(16, 500), (24, 2)]), &[]).len(), 1);
}

#[test]
fn pings_are_echoed() {
    let mut bench = Bench::with("");
    let before = bench.send(header(0x40, 0x80, &[(8, 0), (16, 9), (20, NONE), (24, 1)]), b"are you there");
    assert!(before.is_empty());
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.word(16), answer.word(20)), (0x20, 9, NONE));
    assert_eq!((answer.word(28), answer.data.as_slice()), (1, &b"are you there"[..]));
    // What looks like an answer to a ping of ours gets none.
    bench.send(header(0x40, 0x80, &[(16, NONE), (20, 1), (24, 1)]), &[]);
    assert!(bench.answers().is_empty());
}

#[test]
fn status_numbers_count_answers_only() {
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
    bench.command(0xa0, 1, 512, &[0x2a], &[]);
    bench.connection.expect(Task(1), Transfer::Out(512));
    let asked = bench.answer();
    bench.command(0x80, 2, 0, &[0], &[]);
    respond(&mut bench, 2);
    bench.command(0x80, 3, 0, &[0], &[]);
    respond(&mut bench, 3);
    let numbers: Vec<u32> = bench.answers().iter().map(|answer| answer.word(24)).collect();
    // The login had 100.
    assert_eq!((asked.opcode(), asked.word(24), numbers), (0x31, 101, vec![101, 102]));
}

#[test]
fn aborted_commands_have_no_answer() {
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
    bench.command(0xa0, 1, 512, &[0x2a], &[]);
    bench.connection.expect(Task(1), Transfer::Out(512));
    let tag = bench.answer().word(20);
    let events = bench.send(header(0x42, 0x81, &[(16, 2), (20, 1), (24, bench.number)]), &[]);
    assert_eq!(events, [Event::Aborted(Task(1))]);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.header.0[2], answer.word(16)), (0x22, 0, 2));
    // Its data are on the way, and are swallowed.
    assert_eq!(bench.data_out(0x80, (1, tag), (0, 0), &[0; 512]), []);
    bench.connection.respond(Task(1), &good(), &[]);
    assert!(bench.answers().is_empty());
    // It is gone.
    bench.send(header(0x42, 0x81, &[(16, 3), (20, 1), (24, bench.number)]), &[]);
    assert_eq!(bench.answer().header.0[2], 1);
}

#[test]
fn a_command_is_told_from_a_later_one_of_the_same_tag() {
    let mut bench = Bench::with("");
    let request = |events: Vec<Event>| match events[..] {
        [Event::Command(request)] => request,
        _ => panic!("{events:?}"),
    };
    let first = request(bench.command(0x80, 1, 0, &[0x35], &[]));
    assert!(bench.connection.holds(&first));
    // It is aborted before its answer, and its tag is used again.
    bench.send(header(0x42, 0x81, &[(16, 2), (20, 1), (24, bench.number)]), &[]);
    assert!(!bench.connection.holds(&first));
    let second = request(bench.command(0x80, 1, 0, &[0x35], &[]));
    assert!(!bench.connection.holds(&first) && bench.connection.holds(&second));
}

#[test]
fn larger_management_is_for_the_service() {
    for (code, function) in [
        (2, Function::AbortTaskSet),
        (4, Function::ClearTaskSet),
        (5, Function::UnitReset),
        (6, Function::TargetReset),
        (7, Function::TargetReset),
    ] {
        let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
        bench.command(0xa0, 1, 512, &[0x2a], &[]);
        bench.connection.expect(Task(1), Transfer::Out(512));
        bench.answer();
        let events = bench.send(header(0x42, 0x80 | code, &[(16, 2), (20, NONE), (24, 2)]), &[]);
        assert_eq!(events, [Event::Management { task: Task(2), function, lun: [0; 8] }]);
        bench.connection.managed(Task(2), ManagementResponse::Complete);
        assert_eq!(bench.answer().opcode(), 0x22);
        bench.connection.respond(Task(1), &good(), &[]);
        assert!(bench.answers().is_empty(), "the command is gone");
    }
    // For a logical unit that is not there.
    let mut bench = Bench::with("ImmediateData=No InitialR2T=Yes");
    bench.command(0xa0, 1, 512, &[0x2a], &[]);
    bench.connection.expect(Task(1), Transfer::Out(512));
    let tag = bench.answer().word(20);
    assert_eq!(
        bench.send(header(0x42, 0x85, &[(8, 0x0001_0000), (16, 2), (20, NONE), (24, 2)]), &[]).len(),
        1
    );
    bench.connection.managed(Task(2), ManagementResponse::NoUnit);
    assert_eq!(bench.answer().header.0[2], 2);
    assert_eq!(bench.data_out(0x80, (1, tag), (0, 0), &[0; 512]), [Event::Data(Task(1))]);

    for (code, response) in [(3, 5), (8, 4), (99, 5)] {
        let mut bench = Bench::with("");
        assert_eq!(bench.send(header(0x42, 0x80 | code, &[(16, 2), (20, NONE), (24, 1)]), &[]), []);
        assert_eq!(bench.answer().header.0[2], response);
    }
}

#[test]
fn logout_ends_it_and_recovery_does_not() {
    let mut bench = Bench::with("");
    assert_eq!(bench.send(header(0x46, 0x82, &[(16, 2), (24, 1)]), &[]), []);
    assert_eq!(bench.answer().header.0[2], 2);
    assert_eq!(bench.send(header(0x46, 0x80, &[(16, 3), (24, 1)]), &[]), [Event::Closed(Cause::Logout)]);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.header.0[2], answer.word(16)), (0x26, 0, 3));
}

#[test]
fn what_we_do_not_do_is_rejected() {
    let mut bench = Bench::with("");
    for (head, reason) in [
        (header(0x10, 0x80, &[(24, 1)]), 0x03),
        (header(0x5c, 0x80, &[(24, 1)]), 0x05),
        (header(0x41, 0xe0, &[(16, 1), (24, 1)]), 0x05),
    ] {
        assert_eq!(bench.send(head, &[]), []);
        let answer = bench.answer();
        assert_eq!((answer.opcode(), answer.header.0[2], answer.word(16)), (0x3f, reason, NONE));
        assert_eq!(answer.data, head);
    }
    // A task tag that is in use.
    bench.command(0xa0, 1, 512, &[0x2a], &[]);
    bench.connection.expect(Task(1), Transfer::Out(512));
    bench.answer();
    assert_eq!(bench.command(0x80, 1, 0, &[0], &[]), []);
    assert_eq!(bench.answer().header.0[2], 0x07);
}

#[test]
fn ipxe_hears_nothing_that_it_did_not_ask_for() {
    let mut bench = Bench::new(Authentication::None);
    let mut head = header(0x43, 0x87, &[(16, 1), (24, 1)]);
    head[8..14].copy_from_slice(&[0x40, 0, 0x27, 0x23, 1, 2]);
    bench.send(head, format!("InitiatorName=iqn.x\0TargetName={TARGET}\0").as_bytes());
    assert_eq!(bench.answer().flags(), 0x87);
    bench.connection.ask_logout(Duration::from_secs(5));
    assert!(bench.answers().is_empty());
    assert_eq!(bench.send(header(0x10, 0x80, &[(24, 1)]), &[]), [Event::Closed(Cause::Protocol)]);
    assert!(bench.answers().is_empty());
}

#[test]
fn others_are_asked_to_log_out() {
    let mut bench = Bench::with("");
    bench.connection.ask_logout(Duration::from_secs(5));
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.word(16), answer.header.0[36]), (0x32, NONE, 1));
    assert_eq!(answer.header.0[42..44], [0, 5]);
}

#[test]
fn digests_are_on_both_sides() {
    let mut bench = Bench::with("HeaderDigest=CRC32C DataDigest=CRC32C,None");
    bench.digests = Digests { header: Digest::Crc32c, data: Digest::Crc32c };
    // Padding counts.
    assert_eq!(bench.send(header(0x40, 0x80, &[(16, 9), (20, NONE), (24, 1)]), b"hello"), []);
    assert_eq!(bench.answer().data, b"hello");

    let mut bytes = header(0x40, 0x80, &[(16, 9), (20, NONE), (24, 1)]).to_vec();
    bytes[7] = 4;
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend(b"data");
    bytes.extend([0; 4]);
    assert_eq!(bench.bytes(&bytes), [Event::Closed(Cause::Digest)]);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.header.0[2]), (0x3f, 0x02));

    let mut bench = Bench::with("HeaderDigest=CRC32C");
    let mut bytes = header(0x40, 0x80, &[(16, 9), (20, NONE), (24, 1)]).to_vec();
    // The length cannot be believed, however long.
    bytes[5] = 0xff;
    bytes.extend([0; 4]);
    assert_eq!(bench.bytes(&bytes), [Event::Closed(Cause::Digest)]);
    assert!(bench.answers().is_empty());
}

#[test]
fn bytes_come_in_any_pieces() {
    let mut bench = Bench::with("");
    let mut bytes = Vec::new();
    for number in 1..4_u32 {
        let mut head = header(0x40, 0x80, &[(16, number), (20, NONE), (24, 1)]);
        head[7] = 5;
        bytes.extend(head);
        bytes.extend(b"12345\0\0\0");
    }
    for byte in &bytes {
        assert_eq!(bench.bytes(&[*byte]), []);
    }
    let single = bench.answers();
    assert_eq!(bench.bytes(&bytes), []);
    let batch = bench.answers();
    let echoes = |answers: &[super::Answer]| {
        answers.iter().map(|answer| (answer.word(16), answer.data.clone())).collect::<Vec<_>>()
    };
    assert_eq!(single.len(), 3);
    assert_eq!(echoes(&single), echoes(&batch));
}
