//! Model clients: how firmware and loaders behave on the wire, as far as a server can tell.

use std::time::Duration;

use bootlace_wire::tftp::{Packet, TransferOptions, raw_options};

/// What a client does differently from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// RFC 1350 without options; acknowledges again whatever old block arrives.
    Plain,
    /// Blocks of 8 bytes, otherwise as plain: files past 65535 blocks.
    TinyBlocks,
    /// Acknowledges the last block in order for every DATA packet.
    Ipxe,
    /// Refuses an OACK with anything but `tsize` and `blksize`, and one without `tsize`.
    Pxelinux,
    /// Window of 4; acknowledges every packet out of order; waits 4 s, six times.
    Edk2,
    /// Window of 16; reports a gap once, as RFC 7440 section 4 describes.
    Rfc7440,
}

impl Style {
    pub(crate) const ALL: [Self; 6] =
        [Self::Plain, Self::TinyBlocks, Self::Ipxe, Self::Pxelinux, Self::Edk2, Self::Rfc7440];

    fn options(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::TinyBlocks => "blksize 8",
            Self::Ipxe => "blksize 1432 tsize 0",
            Self::Pxelinux => "tsize 0 blksize 1408",
            Self::Edk2 => "blksize 1468 windowsize 4",
            Self::Rfc7440 => "blksize 1024 windowsize 16 timeout 2",
        }
    }

    fn wait(self) -> Duration {
        Duration::from_millis(match self {
            Self::Edk2 => 4000,
            Self::Ipxe => 500,
            _ => 1500,
        })
    }

    fn tries_max(self) -> u32 {
        if self == Self::Edk2 { 6 } else { 20 }
    }
}

/// How far a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Asking,
    Receiving,
    Complete,
    GaveUp,
}

/// One client that fetches one file.
pub(crate) struct Client {
    style: Style,
    pub(crate) state: State,
    pub(crate) received: Vec<u8>,
    options: TransferOptions,
    expected: u64,
    /// Blocks since the last ACK, for windows.
    unacked: u16,
    gap_reported: bool,
    last_sent: Vec<u8>,
    tries: u32,
    pub(crate) deadline: Duration,
}

impl Client {
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            state: State::Asking,
            received: Vec::new(),
            options: TransferOptions::default(),
            expected: 1,
            unacked: 0,
            gap_reported: false,
            last_sent: Vec::new(),
            tries: 0,
            deadline: Duration::ZERO,
        }
    }

    pub(crate) fn start(&mut self, now: Duration) -> Vec<u8> {
        let mut rrq = b"\0\x01file\0octet\0".to_vec();
        for word in self.style.options().split_whitespace() {
            rrq.extend(word.as_bytes());
            rrq.push(0);
        }
        self.say(now, rrq)
    }

    /// Sends the last packet again, until it is tired of it.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Option<Vec<u8>> {
        if now < self.deadline || matches!(self.state, State::Complete | State::GaveUp) {
            return None;
        }
        self.tries += 1;
        if self.tries > self.style.tries_max() {
            self.state = State::GaveUp;
            return None;
        }
        self.deadline = now + self.style.wait();
        Some(self.last_sent.clone())
    }

    pub(crate) fn handle_packet(&mut self, now: Duration, packet: &[u8]) -> Option<Vec<u8>> {
        if self.state == State::GaveUp {
            return None;
        }
        match Packet::decode(packet).unwrap() {
            Packet::Oack(options) if self.expected == 1 => {
                self.check_oack(packet, &options);
                self.options = options;
                self.state = State::Receiving;
                Some(self.ack(now, 0))
            }
            Packet::Oack(_) => None,
            Packet::Data { block, bytes } => self.handle_data(now, block, bytes),
            other => panic!("a server never sends {other:?} here"),
        }
    }

    fn check_oack(&self, packet: &[u8], options: &TransferOptions) {
        let asked = self.style.options();
        for (name, _) in raw_options(packet) {
            let name = str::from_utf8(name).unwrap();
            assert!(asked.split_whitespace().any(|word| word == name), "unrequested option {name}");
        }
        assert_eq!(self.style == Style::Pxelinux || self.style == Style::Ipxe, options.tsize.is_some());
    }

    fn handle_data(&mut self, now: Duration, block: u16, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.state == State::Asking {
            assert!(self.style == Style::Plain, "DATA before the OACK of {:?}", self.style);
            self.state = State::Receiving;
        }
        if block != self.expected as u16 || self.state == State::Complete {
            return self.handle_out_of_order(now, block);
        }
        self.received.extend(bytes);
        self.expected += 1;
        self.unacked += 1;
        self.gap_reported = false;
        self.tries = 0;
        self.deadline = now + self.style.wait();
        let last = bytes.len() < usize::from(self.options.blksize.unwrap_or(512));
        if last {
            self.state = State::Complete;
        }
        let window_full = self.unacked == self.options.windowsize.unwrap_or(1);
        (last || window_full).then(|| self.ack(now, block))
    }

    fn handle_out_of_order(&mut self, now: Duration, block: u16) -> Option<Vec<u8>> {
        let in_order = (self.expected - 1) as u16;
        match self.style {
            Style::Plain | Style::TinyBlocks | Style::Pxelinux => {
                let behind = in_order.wrapping_sub(block);
                (behind < 0x8000).then(|| Packet::Ack(block).to_vec())
            }
            Style::Ipxe => Some(Packet::Ack(in_order).to_vec()),
            Style::Edk2 => Some(self.ack(now, in_order)),
            Style::Rfc7440 if self.gap_reported => None,
            Style::Rfc7440 => {
                self.gap_reported = true;
                Some(self.ack(now, in_order))
            }
        }
    }

    fn ack(&mut self, now: Duration, block: u16) -> Vec<u8> {
        self.unacked = 0;
        self.say(now, Packet::Ack(block).to_vec())
    }

    fn say(&mut self, now: Duration, packet: Vec<u8>) -> Vec<u8> {
        self.last_sent.clone_from(&packet);
        self.deadline = now + self.style.wait();
        packet
    }
}
