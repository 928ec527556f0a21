use std::num::NonZeroU16;
use std::time::Duration;

use bootlace_wire::iscsi::{Authentication, Cause, Event, Refusal, limits};

use super::{Bench, LINUX, NONE, TARGET, chap, header};

/// How the target answered the last request of a login that begins with these keys.
fn refused(flags: u8, keys: &str) -> u16 {
    let mut bench = Bench::new(Authentication::None);
    let answer = bench.login(flags, keys);
    assert_eq!(answer.data, b"");
    answer.status()
}

fn named(rest: &str) -> String {
    format!("InitiatorName=iqn.2026-01.example:host TargetName={TARGET} {rest}").trim_end().into()
}

#[test]
fn ipxe_without_chap() {
    let mut bench = Bench::new(Authentication::None);
    let answer = bench.login(0x81, &named("SessionType=Normal AuthMethod=None"));
    assert_eq!((answer.flags(), answer.text().as_str()), (0x81, "TargetPortalGroupTag=1 AuthMethod=None"));
    let answer = bench.login(
        0x87,
        "HeaderDigest=None DataDigest=None MaxConnections=1 InitialR2T=Yes ImmediateData=No \
         MaxRecvDataSegmentLength=8192 MaxBurstLength=262144 DefaultTime2Wait=0 DefaultTime2Retain=0 \
         MaxOutstandingR2T=1 DataPDUInOrder=Yes DataSequenceInOrder=Yes ErrorRecoveryLevel=0",
    );
    assert_eq!(answer.flags(), 0x87);
    assert_eq!(
        answer.text(),
        "HeaderDigest=None DataDigest=None MaxConnections=1 InitialR2T=Yes ImmediateData=No \
         MaxBurstLength=262144 DefaultTime2Wait=0 DefaultTime2Retain=0 MaxOutstandingR2T=1 \
         DataPDUInOrder=Yes DataSequenceInOrder=Yes ErrorRecoveryLevel=0 MaxRecvDataSegmentLength=262144"
    );
    // The TSIH comes with the last answer.
    assert_eq!(answer.header.0[14..16], [0, 7]);
}

#[test]
fn open_iscsi_without_chap() {
    let mut bench = Bench::new(Authentication::None);
    let answer = bench.login(0x87, &named(LINUX));
    assert_eq!(answer.flags(), 0x87);
    assert_eq!(
        answer.text(),
        "TargetPortalGroupTag=1 HeaderDigest=None DataDigest=None DefaultTime2Wait=2 DefaultTime2Retain=0 \
         IFMarker=No OFMarker=No ErrorRecoveryLevel=0 InitialR2T=No ImmediateData=Yes MaxBurstLength=1048576 \
         FirstBurstLength=262144 MaxOutstandingR2T=1 MaxConnections=1 DataPDUInOrder=Yes \
         DataSequenceInOrder=Yes MaxRecvDataSegmentLength=262144"
    );
}

#[test]
fn libiscsi_with_discovery() {
    let mut bench = Bench::new(Authentication::None);
    let answer = bench.login(
        0x81,
        "InitiatorName=iqn.2026-01.example:host InitiatorAlias=libiscsi SessionType=Discovery AuthMethod=CHAP,None",
    );
    // A discovery session has no portal group.
    assert_eq!((answer.flags(), answer.text().as_str()), (0x81, "AuthMethod=None"));
    let answer =
        bench.login(0x87, "HeaderDigest=None,CRC32C DataDigest=None MaxRecvDataSegmentLength=262144");
    assert_eq!(answer.text(), "HeaderDigest=None DataDigest=None MaxRecvDataSegmentLength=8192");
}

#[test]
fn security_may_be_followed_by_full_feature_at_once() {
    let mut bench = Bench::new(Authentication::None);
    let answer = bench.login(0x83, &named("AuthMethod=None"));
    assert_eq!((answer.flags(), answer.status()), (0x83, 0));
    // Nobody said otherwise: segments have 8192 bytes.
    let events = bench.send(header(0x40, 0x80, &[(16, 9), (20, NONE), (24, 1)]), &[0; 8193]);
    assert_eq!(events, [Event::Closed(Cause::Protocol)]);
}

#[test]
fn numbers_begin_with_those_of_the_initiator() {
    let mut bench = Bench::new(Authentication::None);
    bench.number = u32::MAX;
    let first = bench.login(0x81, &named("AuthMethod=None"));
    assert_eq!([first.word(24), first.word(28), first.word(32)], [100, u32::MAX, 126]);
    let second = bench.login(0x87, "HeaderDigest=None");
    assert_eq!([second.word(24), second.word(28)], [101, u32::MAX]);
    let events = bench.command(0x80, 1, 0, &[0], &[]);
    assert!(matches!(events[..], [Event::Command(_)]), "{events:?}");
}

#[test]
fn texts_may_be_split() {
    let mut bench = Bench::new(Authentication::None);
    let split = |bench: &mut Bench, flags, text: &[u8]| {
        bench.send(header(0x43, flags, &[(16, 1), (24, 1), (28, 100)]), text);
        bench.answer()
    };
    let text = named("AuthMethod=None");
    let text = text.replace(' ', "\0");
    let (head, tail) = text.split_at(20);
    let answer = split(&mut bench, 0x40, head.as_bytes());
    assert_eq!((answer.flags(), answer.data.len(), answer.status()), (0, 0, 0));
    let answer = split(&mut bench, 0x81, tail.as_bytes());
    assert_eq!((answer.flags(), answer.text().as_str()), (0x81, "TargetPortalGroupTag=1 AuthMethod=None"));
}

#[test]
fn what_is_no_login_is_refused() {
    for (flags, keys, status) in [
        (0x87, "TargetName=iqn.x InitialR2T=Yes".to_owned(), 0x0207),
        (0x87, "InitiatorName=iqn.x InitialR2T=Yes".to_owned(), 0x0207),
        (0x87, named("SessionType=Strange"), 0x0209),
        (0x87, named("InitialR2T=No InitialR2T=No"), 0x0200),
        (0x87, named("no-equals-sign"), 0x0200),
        (0x87, format!("InitiatorName={} TargetName={TARGET}", "x".repeat(224)), 0x0200),
        // Backwards, to the stage that there is not, to itself, and both T and C.
        (0x84, named(""), 0x020b),
        (0x86, named(""), 0x020b),
        (0x85, named(""), 0x020b),
        (0xc7, named(""), 0x020b),
        (0x8f, named(""), 0x020b),
        // No method that both know.
        (0x81, named("AuthMethod=KRB5"), 0x0201),
    ] {
        assert_eq!(refused(flags, &keys), status, "{flags:#x} {keys}");
    }
}

#[test]
fn the_service_refuses() {
    let mut bench = Bench::new(Authentication::None);
    let mut head = header(0x43, 0x87, &[(16, 1), (24, 1)]);
    let text = named("").replace(' ', "\0");
    head[7] = text.len() as u8;
    let mut bytes = [&head[..], text.as_bytes()].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    assert_eq!(bench.connection.handle_bytes(&bytes), bytes.len());
    assert!(matches!(bench.connection.poll_event(), Some(Event::Login(_))));
    // Nothing is read before the service said something.
    assert_eq!(bench.connection.handle_bytes(&bytes), 0);
    bench.connection.refuse(Refusal::Forbidden);
    assert_eq!(bench.connection.poll_event(), Some(Event::Closed(Cause::Refused(Refusal::Forbidden))));
    assert_eq!(bench.answer().status(), 0x0202);
    // It is over for good.
    assert_eq!(bench.connection.handle_bytes(&bytes), 0);
    bench.connection.establish(NonZeroU16::MIN);
    assert!(bench.answers().is_empty());
}

#[test]
fn a_key_is_negotiated_once() {
    let mut bench = Bench::new(Authentication::None);
    bench.login(0x04, &named("MaxBurstLength=512"));
    assert_eq!(bench.login(0x87, "MaxBurstLength=1024").status(), 0x0200);
}

#[test]
fn the_session_stays_the_same_one() {
    let mut bench = Bench::new(Authentication::None);
    bench.login(0x04, &named(""));
    let events = bench.send(header(0x43, 0x87, &[(16, 1), (24, 1), (28, 101)]), &[]);
    assert_eq!(events, [Event::Closed(Cause::Refused(Refusal::Request))]);
}

#[test]
fn a_login_ends_by_its_time_or_its_length() {
    let mut bench = Bench::new(Authentication::None);
    let until = bench.connection.poll_timeout().expect("a time");
    assert_eq!(until, limits::LOGIN_MAX);
    bench.connection.handle_timeout(until - Duration::from_nanos(1));
    assert_eq!(bench.connection.poll_event(), None);
    bench.connection.handle_timeout(until);
    assert_eq!(bench.connection.poll_event(), Some(Event::Closed(Cause::Timeout)));

    let mut bench = Bench::new(Authentication::Chap(chap()));
    bench.login(0x00, &named("AuthMethod=CHAP"));
    let answers = (1..).map(|_| bench.login(0x00, "X-example=1").status()).take_while(|status| *status == 0);
    assert!(answers.count() < limits::LOGIN_REQUESTS_MAX as usize);
}

#[test]
fn a_session_has_no_login_time() {
    let mut bench = Bench::with("");
    assert_eq!(bench.connection.poll_timeout(), None);
    bench.connection.handle_timeout(Duration::from_secs(1_000));
    assert_eq!(bench.connection.poll_event(), None);
}

#[test]
fn nothing_but_a_login_begins_a_connection() {
    let mut bench = Bench::new(Authentication::None);
    assert_eq!(bench.command(0x80, 1, 0, &[0], &[]), [Event::Closed(Cause::Protocol)]);
}

#[test]
fn a_segment_is_refused_before_it_comes() {
    let mut bench = Bench::new(Authentication::None);
    let mut head = header(0x43, 0x87, &[]);
    head[5] = 0xff;
    assert_eq!(bench.bytes(&head), [Event::Closed(Cause::Protocol)]);
}
