//! A transfer in scripted time, its output as short text.

use std::time::Duration;

use bootlace_wire::tftp::{
    ContentInfo, ErrorCode, Limits, Outcome, Output, Packet, Repeat, Request, Transfer, raw_options,
};

/// Limits of an Ethernet interface.
pub(crate) const ETHERNET: Limits = Limits { blksize_max: 1468, windowsize_max: 32 };

/// Decodes an RRQ with these options, written as `blksize 1468 tsize 0`.
pub(crate) fn request<R>(options: &str, then: impl FnOnce(&Request<'_>) -> R) -> R {
    let mut rrq = b"\0\x01file\0octet\0".to_vec();
    for word in options.split_whitespace() {
        rrq.extend(word.as_bytes());
        rrq.push(0);
    }
    let Ok(Packet::Rrq(request)) = Packet::decode(&rrq) else { panic!("no RRQ: {options}") };
    then(&request)
}

/// A transfer and its clock.
pub(crate) struct Script {
    pub(crate) transfer: Transfer,
    pub(crate) now: Duration,
}

impl Script {
    pub(crate) fn new(options: &str, len: u64) -> Self {
        let transfer = request(options, |r| Transfer::new(r, ContentInfo { len }, &ETHERNET));
        Self { transfer, now: Duration::from_secs(1000) }
    }

    /// All packets that are due now, then what comes after them: `OACK tsize 9; DATA 1-4; wait 1s`.
    pub(crate) fn flight(&mut self) -> String {
        let mut said = Vec::new();
        loop {
            match self.transfer.poll_output(self.now) {
                Output::SendPacket(packet) => said.push(describe(&packet)),
                Output::SendData(run) if run.count == 1 => said.push(format!("DATA {}", run.first_block)),
                Output::SendData(run) => {
                    let last = run.first_block + u64::from(run.count) - 1;
                    said.push(format!("DATA {}-{last}", run.first_block));
                }
                Output::WaitUntil(at) => {
                    said.push(format!("wait {:?}", at - self.now));
                    return said.join("; ");
                }
                Output::Done(outcome) => {
                    said.push(format!("done {outcome:?}"));
                    return said.join("; ");
                }
            }
        }
    }

    pub(crate) fn ack(&mut self, block: u16) -> String {
        self.transfer.handle_packet(&Packet::Ack(block).to_vec());
        self.flight()
    }

    pub(crate) fn error(&mut self, code: ErrorCode, text: &[u8]) -> String {
        self.transfer.handle_packet(&Packet::Error { code, text }.to_vec());
        self.flight()
    }

    pub(crate) fn repeat(&mut self) -> (Repeat, String) {
        (self.transfer.handle_repeated_request(), self.flight())
    }

    /// Lets time pass, then says what is due.
    pub(crate) fn after_secs(&mut self, secs: u64) -> String {
        self.now += Duration::from_secs(secs);
        self.transfer.handle_timeout(self.now);
        self.flight()
    }

    pub(crate) fn outcome(&mut self) -> Option<Outcome> {
        match self.transfer.poll_output(self.now) {
            Output::Done(outcome) => Some(outcome),
            _ => None,
        }
    }
}

fn describe(packet: &[u8]) -> String {
    match Packet::decode(packet) {
        Ok(Packet::Oack(_)) => {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            raw_options(packet)
                .fold("OACK".into(), |said, (name, value)| format!("{said} {} {}", text(name), text(value)))
        }
        Ok(Packet::Error { code, text }) => format!("ERROR {} {}", code.number(), text.escape_ascii()),
        other => panic!("never sent by a server: {other:?}"),
    }
}
