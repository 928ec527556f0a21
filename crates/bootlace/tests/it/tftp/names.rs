//! Names as firmware writes them, and what must not be served.

use bootlace::counters::Counter;
use bootlace_core::event::FileOutcome;
use bootlace_wire::tftp::TransferOptions;

use super::{SCRIPT, Server, is_sent};

#[test]
fn names_are_found_however_firmware_writes_them() {
    let server = Server::new();
    let bytes = server.file("Boot/BCD", 100);
    let names: [&[u8]; 6] = [
        b"Boot/BCD",
        b"\\Boot\\BCD",
        b"/Boot/BCD",
        b"//Boot//BCD",
        b"Boot/BCD\xff\xff",
        b"tftp://10.188.0.10/Boot/BCD",
    ];
    for name in names {
        assert_eq!(server.client().get(name, TransferOptions::default()), bytes, "{}", name.escape_ascii());
        let event = server.event();
        assert_eq!(event.name.as_str(), "Boot/BCD");
        assert!(is_sent(&event.outcome, 100), "{event:?}");
    }
}

#[test]
fn nothing_outside_is_served_and_the_error_says_why() {
    let server = Server::new();
    let cases: [(&[u8], u16, &str); 7] = [
        (b"../shadow", 2, "file name goes to a parent directory"),
        (b"..\\..\\shadow", 2, "file name goes to a parent directory"),
        (b"Boot/../../shadow", 2, "file name goes to a parent directory"),
        (b"", 2, "empty file name"),
        (&[b'x'; 300], 2, "file name too long"),
        (b"Boot", 2, "a folder, and folders are not listed"),
        (b"pxelinux.cfg/default", 1, "no such file"),
    ];
    for (name, code, text) in cases {
        let client = server.client();
        client.read(name, TransferOptions::default());
        assert_eq!(client.receive().error(), (code, text.to_owned()), "{}", name.escape_ascii());
        let outcome = server.outcome();
        match code {
            1 => assert!(matches!(outcome, FileOutcome::Absent(_)), "{outcome:?}"),
            _ => assert!(matches!(outcome, FileOutcome::Refused(_)), "{outcome:?}"),
        }
    }
}

#[test]
fn uploads_and_odd_modes_are_refused_by_the_request_port() {
    let server = Server::new();
    let cases: [(&[u8], u16, &str); 3] = [
        (b"\0\x02x\0octet\0", 2, "this server does not accept uploads"),
        (b"\0\x01x\0mail\0", 4, "mail mode is not supported"),
        (b"\0\x01x\0binary\0", 4, "unknown transfer mode"),
    ];
    for (request, code, text) in cases {
        let client = server.client();
        client.ask(request);
        let answer = client.receive();
        assert_eq!(answer.error(), (code, text.to_owned()));
        assert_eq!(answer.from, server.addr);
    }
}

#[test]
fn strangers_and_noise_get_no_answer_and_are_counted() {
    let server = Server::new();
    server.file("x", 1);
    let stranger = super::Client::new(server.addr, std::net::Ipv4Addr::new(127, 0, 1, 1));
    stranger.read(b"x", TransferOptions::default());
    stranger.ask(b"\0\x02x\0octet\0");
    let noisy = server.client();
    for noise in [&b""[..], b"\0", b"\0\x03\0\x01data", b"\0\x04\0\x01", b"\0\x05\0\0no\0", b"\0\x01unended"]
    {
        noisy.ask(noise);
    }
    server.settle();
    assert_eq!(server.counted(Counter::TftpForeign), 2);
    assert_eq!(server.counted(Counter::TftpIgnored), 6);
    assert!(stranger.has_nothing() && noisy.has_nothing());
}

#[test]
fn the_decision_for_a_script_is_its_event() {
    let server = Server::new();
    assert_eq!(server.client().get(b"script", TransferOptions::default()), SCRIPT.as_bytes());
    let event = server.events.recv_timeout(super::LIMIT).unwrap();
    assert!(matches!(event, bootlace_core::event::EventKind::Script(_)), "{event:?}");
    server.client().read(b"none", TransferOptions::default());
    assert_eq!(server.event().name.as_str(), "none", "nothing was said of the script's delivery");
}
