//! What a target sends: headers, their numbers and their digests.

use super::digest::Digests;
use super::pdu::{BHS_BYTES, NO_TAG};
use super::serial::Serial;

/// What a target can send (RFC 7143, section 11.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Answer {
    NopIn = 0x20,
    Response = 0x21,
    TaskManagement = 0x22,
    Login = 0x23,
    Text = 0x24,
    DataIn = 0x25,
    Logout = 0x26,
    ReadyToTransfer = 0x31,
    Asynchronous = 0x32,
    Reject = 0x3f,
}

/// Why a PDU is rejected (section 11.17.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Rejection {
    DataDigest = 0x02,
    Snack = 0x03,
    NotSupported = 0x05,
    TaskInProgress = 0x07,
    InvalidField = 0x09,
}

/// A header that is being made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head(pub(super) [u8; BHS_BYTES]);

impl Head {
    /// With the F bit, which most have.
    pub(super) fn new(answer: Answer) -> Self {
        let mut bytes = [0; BHS_BYTES];
        bytes[0] = answer as u8;
        bytes[1] = 0x80;
        Self(bytes)
    }

    /// Sets a byte.
    pub(super) fn byte(mut self, at: usize, value: u8) -> Self {
        self.0[at] = value;
        self
    }

    /// Sets bytes.
    pub(super) fn bytes(mut self, at: usize, value: &[u8]) -> Self {
        self.0[at..at + value.len()].copy_from_slice(value);
        self
    }

    /// Sets a number of 32 bits.
    pub(super) fn word(self, at: usize, value: u32) -> Self {
        self.bytes(at, &value.to_be_bytes())
    }
}

/// The sequence numbers of a session with one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// The next StatSN.
    pub(super) status: Serial,
    /// ExpCmdSN.
    pub(super) command: Serial,
    /// MaxCmdSN.
    pub(super) command_max: Serial,
}

/// Whether a PDU carries a status, which takes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusNumber {
    /// It does.
    Take,
    /// It does not, and tells the next one (R2T, NOP-In that nobody asked for).
    Tell,
    /// It does not, and the field is reserved (Data-In).
    Leave,
}

/// Bytes on their way to the initiator.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    pub(super) digests: Digests,
}

impl Output {
    /// Appends one PDU.
    pub(super) fn push(&mut self, head: Head, numbers: &mut Numbers, status: StatusNumber, data: &[u8]) {
        let head = match status {
            StatusNumber::Leave => head,
            StatusNumber::Take | StatusNumber::Tell => head.word(24, numbers.status.0),
        };
        if status == StatusNumber::Take {
            numbers.status = numbers.status.plus(1);
        }
        let mut head = head.word(28, numbers.command.0).word(32, numbers.command_max.0);
        let [_, high, middle, low] = (data.len() as u32).to_be_bytes();
        head.0[5..8].copy_from_slice(&[high, middle, low]);
        let start = self.bytes.len();
        self.bytes.extend(head.0);
        self.digests.header.append(&mut self.bytes, start);
        if data.is_empty() {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(data);
        self.bytes.resize(start + data.len().next_multiple_of(4), 0);
        self.digests.data.append(&mut self.bytes, start);
    }

    /// Makes room at once for what is about to come: a buffer that grows has up to twice as much.
    pub(super) fn reserve(&mut self, data: usize, pieces: usize) {
        /// A header, both digests, and padding.
        const AROUND_BYTES: usize = BHS_BYTES + 4 + 4 + 3;
        self.bytes.reserve(data + pieces * AROUND_BYTES);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Changes the bytes for an empty buffer.
    pub(super) fn swap(&mut self, with: &mut Vec<u8>) {
        with.clear();
        std::mem::swap(&mut self.bytes, with);
    }
}

/// A Reject, whose data are the header that is rejected.
pub(super) fn reject(reason: Rejection) -> Head {
    Head::new(Answer::Reject).byte(2, reason as u8).word(16, NO_TAG)
}
