use std::time::Duration;

use bootlace_wire::iscsi::{Authentication, Cause, Event, limits};

use super::{Bench, NONE, TARGET, header};

fn finder(targets: usize, keys: &str) -> Bench {
    let mut bench = Bench::new(Authentication::None);
    bench.admission.targets = (0..targets).map(|number| format!("{TARGET}{number}")).collect();
    let first = "InitiatorName=iqn.2026-01.example:host SessionType=Discovery";
    assert_eq!(bench.login(0x87, &format!("{first} {keys}")).flags(), 0x87);
    bench
}

fn ask(bench: &mut Bench, flags: u8, tag: u32, text: &str) -> super::Answer {
    let number = bench.number;
    bench.number += 1;
    let events = bench.send(header(0x04, flags, &[(16, 2), (20, tag), (24, number)]), text.as_bytes());
    assert!(events.is_empty(), "{events:?}");
    bench.answer()
}

#[test]
fn all_targets_are_listed_that_the_initiator_may_see() {
    let mut bench = finder(2, "");
    let answer = ask(&mut bench, 0x80, NONE, "SendTargets=All\0");
    assert_eq!((answer.opcode(), answer.flags(), answer.word(20)), (0x24, 0x80, NONE));
    let one = |number: u8| format!("TargetName={TARGET}{number} TargetAddress=10.188.0.10:3260,1");
    assert_eq!(answer.text(), format!("{} {}", one(0), one(1)));
    assert_eq!(ask(&mut bench, 0x80, NONE, &format!("SendTargets={TARGET}1\0")).text(), one(1));
    assert_eq!(ask(&mut bench, 0x80, NONE, "SendTargets=iqn.other\0").text(), "");
    assert_eq!(ask(&mut bench, 0x80, NONE, "X-example=1\0").text(), "X-example=NotUnderstood");
}

#[test]
fn a_normal_session_lists_its_own_target() {
    let mut bench = Bench::with("");
    let own = format!("TargetName={TARGET} TargetAddress=10.188.0.10:3260,1");
    assert_eq!(ask(&mut bench, 0x80, NONE, "SendTargets=\0").text(), own);
    assert_eq!(ask(&mut bench, 0x80, NONE, &format!("SendTargets={TARGET}\0")).text(), own);
    assert_eq!(ask(&mut bench, 0x80, NONE, "SendTargets=All\0").text(), "SendTargets=Reject");
}

#[test]
fn a_long_list_comes_in_parts() {
    let mut bench = finder(20, "MaxRecvDataSegmentLength=512");
    let mut answer = ask(&mut bench, 0x80, NONE, "SendTargets=All\0");
    let mut text = Vec::new();
    loop {
        assert!(answer.data.len() <= 512);
        text.extend(&answer.data);
        if answer.flags() == 0x80 {
            break;
        }
        assert_eq!(answer.flags(), 0x40);
        let tag = answer.word(20);
        assert_ne!(tag, NONE);
        answer = ask(&mut bench, 0x80, tag, "");
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("TargetName=").count(), 20);
    assert!(text.ends_with("19\0TargetAddress=10.188.0.10:3260,1\0"));
}

#[test]
fn a_question_may_come_in_parts() {
    let mut bench = finder(1, "");
    let answer = ask(&mut bench, 0x40, NONE, "SendTar");
    assert_eq!((answer.flags(), answer.data.len()), (0, 0));
    let tag = answer.word(20);
    assert!(ask(&mut bench, 0x80, tag, "gets=All\0").text().starts_with("TargetName="));
}

#[test]
fn a_new_question_takes_the_place_of_one_that_has_not_ended() {
    let mut bench = finder(1, "");
    assert_eq!(ask(&mut bench, 0x40, NONE, "SendTar").flags(), 0);
    assert_eq!(ask(&mut bench, 0x80, NONE, "X-example=1\0").text(), "X-example=NotUnderstood");
}

#[test]
fn a_session_may_declare_another_length() {
    let mut bench = Bench::with("");
    let declared = "MaxRecvDataSegmentLength=512\0InitiatorAlias=me\0";
    assert_eq!(ask(&mut bench, 0x80, NONE, declared).text(), "");
    bench.send(header(0x40, 0x80, &[(16, 9), (20, NONE), (24, bench.number)]), &[1; 600]);
    assert_eq!(bench.answer().data.len(), 512);
    let refused = ask(&mut bench, 0x80, NONE, "MaxRecvDataSegmentLength=1\0");
    assert_eq!(refused.text(), "MaxRecvDataSegmentLength=Reject");
    // The answer that follows obeys already.
    let mut bench = finder(20, "");
    let answer = ask(&mut bench, 0x80, NONE, "MaxRecvDataSegmentLength=512\0SendTargets=All\0");
    assert_eq!((answer.flags(), answer.data.len()), (0x40, 512));
    assert!(answer.text().starts_with("TargetName="));
}

#[test]
fn what_is_no_text_is_rejected() {
    let mut bench = finder(1, "");
    let answer = ask(&mut bench, 0x80, NONE, "nothing");
    assert_eq!((answer.opcode(), answer.header.0[2], answer.data.len()), (0x3f, 0x09, 48));
}

#[test]
fn who_looks_for_targets_has_little_room_and_a_minute() {
    let mut bench = finder(1, "");
    let until = bench.connection.poll_timeout().expect("a time");
    assert_eq!(until, limits::DISCOVERY_MAX);
    let mut long = header(0x04, 0x80, &[(16, 2), (20, NONE), (24, 1)]);
    long[6..8].copy_from_slice(&(limits::LOGIN_SEGMENT_BYTES_MAX as u16 + 1).to_be_bytes());
    assert_eq!(bench.bytes(&long), [Event::Closed(Cause::Protocol)]);

    let mut bench = Bench::new(Authentication::None);
    let first = "InitiatorName=iqn.2026-01.example:host SessionType=Discovery";
    let answer = bench.login(0x87, first);
    assert!(answer.text().contains("MaxRecvDataSegmentLength=8192"), "{}", answer.text());
    bench.connection.handle_timeout(until - Duration::from_nanos(1));
    assert_eq!(bench.connection.poll_event(), None);
    bench.connection.handle_timeout(until);
    assert_eq!(bench.connection.poll_event(), Some(Event::Closed(Cause::Timeout)));
}

#[test]
fn discovery_has_no_commands() {
    let mut bench = finder(1, "");
    assert_eq!(bench.command(0x80, 1, 0, &[0], &[]), []);
    let answer = bench.answer();
    assert_eq!((answer.opcode(), answer.header.0[2]), (0x3f, 0x05));
    // It goes on.
    let events = bench.send(header(0x46, 0x80, &[(16, 3), (24, bench.number)]), &[]);
    assert!(matches!(events[..], [Event::Closed(_)]), "{events:?}");
}
