//! Whatever initiators send, a target stays a sound one: what it sends are whole PDUs, its numbers never go back, it
//! asks for no data but those of a command, and gives no session to who did not prove anything. Shared with the fuzz
//! target.

use std::num::NonZeroU16;
use std::time::Duration;

use bootlace_wire::iscsi::{
    Admission, Authentication, Challenge, Chap, Collected, Connection, Credentials, Digests, Event,
    ManagementResponse, Pdu, Portal, Request, Secret, Serial, Task, limits,
};
use bootlace_wire::scsi::{Outcome, Status, Transfer};

/// Who never sends the right response has to prove something.
fn authentication(control: u8) -> Authentication {
    if control & 1 == 0 {
        return Authentication::None;
    }
    let secret = |bytes: &[u8]| Secret::new(bytes).expect("a secret");
    Authentication::Chap(Chap {
        initiator: Credentials { name: "host".into(), secret: secret(b"nobody-has-this") },
        target: Some(Credentials { name: "disk".into(), secret: secret(b"nor-knows-that") }),
    })
}

pub(crate) fn check(bytes: &[u8]) {
    let Some((&control, input)) = bytes.split_first() else { return };
    let challenge = Challenge { identifier: 1, bytes: [control; 16] };
    let portal = Portal { address: "[fd00::1]:3260".into() };
    let mut connection = Connection::new(portal, challenge, Duration::ZERO);
    // Checksums hide where PDUs end.
    let plain = !input.windows(6).any(|window| window == b"CRC32C");
    let mut last = None;
    let mut at = 0;
    loop {
        let used = connection.handle_bytes(&input[at..]);
        at += used;
        let event = connection.poll_event();
        let over = used == 0 && event.is_none();
        if let Some(event) = event {
            act(&mut connection, control, event);
        }
        let mut output = Vec::new();
        connection.poll_output(&mut output);
        if plain {
            sound(&output, &mut last);
        }
        if over {
            break;
        }
    }
    // Only as much as one PDU can have waits for more.
    assert!(input.len() - at < limits::PDU_BYTES_MAX || connection.handle_bytes(&input[at..]) == 0);
}

fn act(connection: &mut Connection, control: u8, event: Event) {
    match event {
        Event::Login(who) => {
            assert!(!who.initiator.is_empty() && who.initiator.len() <= limits::NAME_BYTES_MAX);
            let targets = vec!["iqn.2026-01.example:disk".to_owned(); 1 + usize::from(control)];
            connection.admit(Admission { authentication: authentication(control), targets });
        }
        Event::Ready => {
            assert_eq!(control & 1, 0, "a session without a proof");
            connection.establish(NonZeroU16::MIN);
        }
        Event::Command(request) => {
            let blocks = u64::from(request.cdb[8]) * 512;
            let transfer = match request.cdb[0] {
                0x28 => Transfer::In(blocks),
                0x2a => Transfer::Out(blocks),
                _ => Transfer::None,
            };
            if connection.expect(request.task, transfer) == Collected::Whole {
                respond(connection, &request, transfer);
            }
        }
        Event::Data(task) => {
            let data = connection.data(task);
            assert!(data.bytes.len() as u64 <= data.announced);
            connection.respond(task, &Outcome::good(Vec::new()), &[]);
        }
        Event::Fault(task, _) => {
            let outcome =
                Outcome { status: Status::CheckCondition, sense: vec![0x70; 18], data_in: Vec::new() };
            connection.respond(task, &outcome, &[]);
        }
        Event::Management { task, .. } => connection.managed(task, ManagementResponse::Complete),
        Event::Aborted(_) | Event::Closed(_) => {}
    }
}

fn respond(connection: &mut Connection, request: &Request, transfer: Transfer) {
    let data = match transfer {
        Transfer::In(bytes) => vec![0x5a; bytes as usize],
        Transfer::Out(bytes) => {
            let data = connection.data(request.task);
            assert_eq!(data.bytes.len() as u64, bytes.min(data.announced), "{request:?}");
            Vec::new()
        }
        Transfer::None => Vec::new(),
    };
    connection.respond(request.task, &Outcome::good(Vec::new()), &data);
}

/// Whole PDUs, whose ExpCmdSN and MaxCmdSN go on.
fn sound(output: &[u8], last: &mut Option<(Serial, Serial)>) {
    let mut rest = output;
    while !rest.is_empty() {
        let pdu = Pdu::parse(rest, Digests::default(), u32::MAX).expect("a length").expect("a whole PDU");
        let word = |at: usize| u32::from_be_bytes(pdu.header.0[at..at + 4].try_into().expect("four bytes"));
        let opcode = pdu.header.0[0];
        assert!(opcode & 0x20 != 0, "{opcode:#x} is no answer");
        let now = (Serial(word(28)), Serial(word(32)));
        // A login may begin again with other numbers as long as nobody is known.
        if let (Some((command, command_max)), false) = (*last, opcode == 0x23) {
            assert!(now.0.order(command).is_ge() && now.1.order(command_max).is_ge(), "{now:?}");
        }
        assert!(now.1.0.wrapping_sub(now.0.0).wrapping_add(1) <= limits::COMMANDS_MAX, "{now:?}");
        if opcode == 0x31 {
            assert!(Task(word(16)) != Task(u32::MAX) || word(44) > 0);
            assert!(word(44) > 0 && word(44) <= limits::BURST_BYTES_MAX);
        }
        *last = Some(now);
        rest = &rest[pdu.bytes..];
    }
}
