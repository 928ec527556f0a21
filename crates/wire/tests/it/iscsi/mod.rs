//! The target's side of iSCSI as initiators meet it. Headers are written out from RFC 7143, section 11.

mod chap;
mod data;
mod full;
mod login;
mod text;

use std::num::NonZeroU16;
use std::time::Duration;

use bootlace_wire::iscsi::{
    Admission, Authentication, Challenge, Chap, Connection, Credentials, Digests, Event, Header, Pdu, Portal,
    Secret,
};

pub(crate) const TARGET: &str = "iqn.2026-01.example:disk";
pub(crate) const CHALLENGE: Challenge = Challenge { identifier: 0x2a, bytes: *b"0123456789abcdef" };
const TSIH: u16 = 7;
const NONE: u32 = 0xffff_ffff;

/// The keys that open-iscsi sends in its only request when there is no CHAP.
const LINUX: &str = "HeaderDigest=None DataDigest=None DefaultTime2Wait=2 DefaultTime2Retain=0 IFMarker=No \
    OFMarker=No ErrorRecoveryLevel=0 InitialR2T=No ImmediateData=Yes MaxBurstLength=16776192 \
    FirstBurstLength=262144 MaxOutstandingR2T=1 MaxConnections=1 DataPDUInOrder=Yes DataSequenceInOrder=Yes \
    MaxRecvDataSegmentLength=262144";

/// A PDU from the target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    header: Header,
    data: Vec<u8>,
}

impl Answer {
    fn opcode(&self) -> u8 {
        self.header.0[0]
    }

    fn flags(&self) -> u8 {
        self.header.0[1]
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.header.0[at..at + 4].try_into().unwrap())
    }

    /// Status class and detail of a login.
    fn status(&self) -> u16 {
        u16::from_be_bytes([self.header.0[36], self.header.0[37]])
    }

    /// Its keys, with spaces where NULs are.
    fn text(&self) -> String {
        String::from_utf8(self.data.clone()).unwrap().trim_end_matches('\0').replace('\0', " ")
    }
}

/// An initiator with its connection.
struct Bench {
    connection: Connection,
    unread: Vec<u8>,
    digests: Digests,
    /// CmdSN of the next command that is not immediate.
    number: u32,
    admission: Admission,
}

/// A header from its parts; the rest is zero.
fn header(opcode: u8, flags: u8, words: &[(usize, u32)]) -> [u8; 48] {
    let mut bytes = [0; 48];
    (bytes[0], bytes[1]) = (opcode, flags);
    for (at, value) in words {
        bytes[*at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

impl Bench {
    fn new(authentication: Authentication) -> Self {
        let portal = Portal { address: "10.188.0.10:3260".into() };
        Self {
            connection: Connection::new(portal, CHALLENGE, Duration::ZERO),
            unread: Vec::new(),
            digests: Digests::default(),
            number: 1,
            admission: Admission { authentication, targets: vec![TARGET.into()] },
        }
    }

    /// Logged in as open-iscsi does, with other keys where `change` has them.
    fn with(change: &str) -> Self {
        let mut bench = Self::new(Authentication::None);
        let key = |pair: &str| pair.split('=').next().unwrap().to_owned();
        let changed: Vec<String> = change.split_whitespace().map(key).collect();
        let kept = LINUX.split_whitespace().filter(|pair| !changed.contains(&key(pair)));
        let keys: Vec<&str> = kept.chain(change.split_whitespace()).collect();
        let first = format!("InitiatorName=iqn.2026-01.example:host TargetName={TARGET} SessionType=Normal");
        let answer = bench.login(0x87, &format!("{first} {}", keys.join(" ")));
        assert_eq!((answer.status(), answer.flags()), (0, 0x87), "{}", answer.text());
        bench
    }

    /// Sends bytes; a decision about the login is made as the bench was told.
    fn bytes(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.unread.extend_from_slice(bytes);
        let mut events = Vec::new();
        loop {
            let used = self.connection.handle_bytes(&self.unread);
            self.unread.drain(..used);
            let Some(event) = self.connection.poll_event() else { break };
            match event {
                Event::Login(_) => self.connection.admit(self.admission.clone()),
                Event::Ready => self.connection.establish(NonZeroU16::new(TSIH).unwrap()),
                event => events.push(event),
            }
        }
        events
    }

    /// Sends one PDU.
    fn send(&mut self, mut header: [u8; 48], data: &[u8]) -> Vec<Event> {
        header[5..8].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
        let mut bytes = header.to_vec();
        if self.digests.header.bytes() > 0 {
            bytes.extend(crc32c::crc32c(&header).to_le_bytes());
        }
        if !data.is_empty() {
            let mut data = data.to_vec();
            data.resize(data.len().next_multiple_of(4), 0);
            bytes.extend(&data);
            if self.digests.data.bytes() > 0 {
                bytes.extend(crc32c::crc32c(&data).to_le_bytes());
            }
        }
        self.bytes(&bytes)
    }

    fn answers(&mut self) -> Vec<Answer> {
        let mut bytes = Vec::new();
        self.connection.poll_output(&mut bytes);
        let mut answers = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some(pdu) = Pdu::parse(rest, self.digests, u32::MAX).expect("a sound stream") {
            answers.push(Answer { header: pdu.header, data: pdu.data.to_vec() });
            rest = &rest[pdu.bytes..];
        }
        assert!(rest.is_empty(), "{rest:?}");
        answers
    }

    fn answer(&mut self) -> Answer {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// A login request: its flags and its keys, with spaces between.
    fn login(&mut self, flags: u8, keys: &str) -> Answer {
        let mut text = keys.replace(' ', "\0").into_bytes();
        text.push(0);
        let mut header = header(0x43, flags, &[(16, 1), (24, self.number), (28, 100)]);
        header[8..14].copy_from_slice(&[0, 2, 0x3d, 0, 0, 1]);
        self.send(header, &text);
        self.answer()
    }

    /// A SCSI command: flags, bytes that it announces, its CDB, and data.
    fn command(&mut self, flags: u8, task: u32, announced: u32, cdb: &[u8], data: &[u8]) -> Vec<Event> {
        let mut header = header(0x01, flags, &[(16, task), (20, announced), (24, self.number), (28, 0)]);
        header[32..32 + cdb.len()].copy_from_slice(cdb);
        self.number = self.number.wrapping_add(1);
        self.send(header, data)
    }

    /// Data-Out: for a task and a transfer tag, with DataSN and offset.
    fn data_out(
        &mut self,
        flags: u8,
        (task, tag): (u32, u32),
        (number, offset): (u32, u32),
        data: &[u8],
    ) -> Vec<Event> {
        self.send(header(0x05, flags, &[(16, task), (20, tag), (36, number), (40, offset)]), data)
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes()).expect("a secret")
}

/// Both ways.
fn chap() -> Chap {
    Chap {
        initiator: Credentials { name: "host".into(), secret: secret("host-secret-1") },
        target: Some(Credentials { name: "disk".into(), secret: secret("disk-secret-2") }),
    }
}

/// Good conversations, as the corpus of mutants: a control byte, then what an initiator sends.
pub(crate) fn conversations() -> Vec<Vec<u8>> {
    let request = |flags: u8, text: &str| {
        let text = text.replace(' ', "\0") + "\0";
        let mut head = header(0x43, flags, &[(16, 1), (24, 1), (28, 100)]).to_vec();
        head[5..8].copy_from_slice(&(text.len() as u32).to_be_bytes()[1..]);
        head.extend(text.as_bytes());
        head.resize(head.len().next_multiple_of(4), 0);
        head
    };
    let who = format!("InitiatorName=iqn.2026-01.example:host TargetName={TARGET}");
    let linux = request(0x87, &format!("{who} {LINUX}"));
    let proof = request(0x81, &format!("{who} AuthMethod=CHAP,None CHAP_A=7,5"));
    let finder =
        request(0x83, "InitiatorName=iqn.2026-01.example:host SessionType=Discovery AuthMethod=None");
    let mut read = header(0x01, 0xc0, &[(16, 2), (20, 4096), (24, 1)]);
    read[32..42].copy_from_slice(&[0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
    let mut write = header(0x01, 0xa0, &[(16, 3), (20, 1024), (24, 2)]);
    write[32..42].copy_from_slice(&[0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    let mut data = header(0x05, 0x80, &[(16, 3), (20, 1)]).to_vec();
    data[6] = 4;
    data.extend([0xa5; 1024]);
    let abort = header(0x02, 0x81, &[(16, 4), (20, 3), (24, 3)]);
    let ping = header(0x40, 0x80, &[(16, 5), (20, NONE), (24, 3)]);
    let leave = header(0x46, 0x80, &[(16, 6), (24, 3)]);
    let mut targets = header(0x04, 0x80, &[(16, 2), (20, NONE), (24, 1)]).to_vec();
    targets[7] = 16;
    targets.extend(b"SendTargets=All\0");
    vec![
        [&[0][..], &linux, &read, &write, &data, &abort, &ping, &leave].concat(),
        [&[1][..], &proof].concat(),
        [&[2][..], &finder, &targets, &leave].concat(),
    ]
}
