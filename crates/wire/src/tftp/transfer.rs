//! The sending side of one transfer, without socket, file or clock.
//!
//! The caller drains its socket into [`Transfer::handle_packet`], then calls [`Transfer::poll_output`] until
//! it says [`Output::WaitUntil`] or [`Output::Done`]. File content never passes through here: a
//! [`DataRun`] names a range of the file, and the caller reads it straight into its send buffer. The read may
//! take its time, since the timer starts at the first poll after the run, when the run has been sent.

use std::ops::Range;
use std::time::Duration;

use super::limits::{
    BLKSIZE_DEFAULT, DOUBT_WAIT, Limits, RTO_INITIAL, RTO_MAX, RUN_BYTES_MAX, TRIES_MAX,
    UNPROVEN_PACKETS_MAX, WINDOWSIZE_MAX,
};
use super::options::TransferOptions;
use super::packet::{ErrorCode, Packet, Request, data_header, error_packet, printable_text};

/// What is served. It must not change while the transfer lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentInfo {
    /// Size in bytes.
    pub len: u64,
}

/// Consecutive DATA packets, sent with one call: every packet is `blksize + 4` bytes, only the last of the
/// file is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRun {
    /// Number of the first block, not wrapped.
    pub first_block: u64,
    /// How many packets.
    pub count: u16,
    /// Payload bytes per packet.
    pub blksize: u16,
    /// Where the payload starts in the file.
    pub offset: u64,
    /// Payload bytes of all packets together; less than `count * blksize` at the end of the file, where the
    /// last packet may even have none.
    pub len: usize,
}

impl DataRun {
    /// Header and payload range (within the `len` bytes of the run) of each packet.
    pub fn packets(self) -> impl Iterator<Item = ([u8; 4], Range<usize>)> {
        let blksize = usize::from(self.blksize);
        (0..usize::from(self.count)).map(move |index| {
            let start = (index * blksize).min(self.len);
            let end = (start + blksize).min(self.len);
            (data_header(self.first_block.wrapping_add(index as u64)), start..end)
        })
    }
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has the whole file. Also when all was sent but the last ACK never came: some ROMs never
    /// send it, and it may be lost.
    Delivered {
        /// Size of the file.
        bytes: u64,
        /// Packets that were sent more than once.
        retransmits: u64,
    },
    /// The client only asked for the size (EDK2 ends that with ERROR 8, legacy ROMs with ERROR 0).
    SizeProbe,
    /// The client gave up.
    ClientError {
        /// Its reason.
        code: ErrorCode,
        /// Its words, printable and bounded.
        text: String,
    },
    /// The client went silent, or its port was closed.
    TimedOut {
        /// How much of the file was acknowledged.
        acked_bytes: u64,
    },
    /// We gave up, by [`Transfer::fail`].
    Failed {
        /// How much of the file was acknowledged.
        acked_bytes: u64,
    },
}

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this OACK or ERROR.
    SendPacket(Vec<u8>),
    /// Read this range and send it. A read that fails or comes short is a case for [`Transfer::fail`].
    SendData(DataRun),
    /// Nothing to send: wait for a packet, and at this time call [`Transfer::handle_timeout`].
    WaitUntil(Duration),
    /// The transfer is over.
    Done(Outcome),
}

/// What a request means that came again from the address and port of a live transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Its first answer was lost; this transfer answers again.
    Taken,
    /// This transfer is under way or over: the client started anew from the same port, or the network
    /// delayed a copy. Open another transfer; a client in the middle of this one ignores or refuses that.
    New,
}

/// One file on its way to one client.
///
/// Blocks count from 1 in 64 bits; the OACK, when there is one, counts as block 0. So `unacked` is the first
/// block without ACK, `next` what is sent next, and `end` the first block never sent.
#[derive(Debug)]
pub struct Transfer {
    len: u64,
    granted: TransferOptions,
    source: Source,
    unacked: u64,
    next: u64,
    end: u64,
    /// Blocks before this one were sent twice, so that a repeated ACK for them proves no loss.
    clean_from: u64,
    /// The `unacked` for which a doubtful report of a gap has shortened the wait.
    doubted: u64,
    tries: u8,
    rto: Duration,
    deadline: Option<Duration>,
    retransmits: u64,
    farewell: Option<Vec<u8>>,
    outcome: Option<Outcome>,
}

/// Whether the client's address is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// No valid ACK yet: it may be forged, and gets few packets.
    Unproven { packets: u8 },
    /// It acknowledged what we sent.
    Proven,
}

impl Transfer {
    /// Starts to serve `content` to who sent `request`.
    pub fn new(request: &Request<'_>, content: ContentInfo, limits: &Limits) -> Self {
        let granted = request.options.grant(content.len, limits);
        // With nothing granted the answer is DATA 1, never an empty OACK (RFC 2347).
        let first = u64::from(granted.is_empty());
        let mut transfer = Self {
            len: content.len,
            granted,
            source: Source::Unproven { packets: 0 },
            unacked: first,
            next: first,
            end: first,
            clean_from: 0,
            doubted: 0,
            tries: 0,
            rto: RTO_INITIAL,
            deadline: None,
            retransmits: 0,
            farewell: None,
            outcome: None,
        };
        transfer.restart_timer();
        transfer
    }

    /// What was granted, for logs.
    pub fn granted(&self) -> &TransferOptions {
        &self.granted
    }

    /// How much of the file was acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.unacked.saturating_sub(1).saturating_mul(u64::from(self.blksize())).min(self.len)
    }

    /// Packets that were sent more than once.
    pub fn retransmits(&self) -> u64 {
        self.retransmits
    }

    /// Takes a packet from the client's address and port. What does not belong here changes nothing.
    pub fn handle_packet(&mut self, datagram: &[u8]) {
        if self.outcome.is_some() {
            return;
        }
        match Packet::decode(datagram) {
            Ok(Packet::Ack(block)) => self.handle_ack(block),
            Ok(Packet::Error { code, text }) => self.handle_error(code, text),
            Ok(Packet::Rrq(_) | Packet::Wrq(_) | Packet::Data { .. } | Packet::Oack(_)) | Err(_) => {}
        }
    }

    /// The client's request arrived again.
    pub fn handle_repeated_request(&mut self) -> Repeat {
        match self.source {
            Source::Unproven { packets } if self.outcome.is_none() => {
                if packets < UNPROVEN_PACKETS_MAX {
                    self.resend();
                }
                Repeat::Taken
            }
            _ => Repeat::New,
        }
    }

    /// The time that [`Output::WaitUntil`] named has come; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        let due = self.deadline.is_some_and(|deadline| now >= deadline);
        if !due || self.outcome.is_some() {
            return;
        }
        self.tries += 1;
        let spent = match self.source {
            Source::Unproven { packets } => packets >= UNPROVEN_PACKETS_MAX,
            Source::Proven => self.tries >= TRIES_MAX,
        };
        if spent {
            return self.give_up();
        }
        self.rto = (self.rto * 2).clamp(self.rto_first(), self.rto_max());
        self.resend();
    }

    /// The network said that nobody listens on the client's port.
    pub fn handle_unreachable(&mut self) {
        if self.outcome.is_none() {
            self.give_up();
        }
    }

    /// Ends the transfer with an error of ours, such as a failed read.
    pub fn fail(&mut self, code: ErrorCode, text: &str) {
        if self.outcome.is_some() {
            return;
        }
        if self.may_send() {
            self.farewell = Some(error_packet(code, text));
        }
        self.outcome = Some(Outcome::Failed { acked_bytes: self.acked_bytes() });
    }

    /// What to do now; `now` must be taken after what the last call asked for has been sent.
    pub fn poll_output(&mut self, now: Duration) -> Output {
        if let Some(packet) = self.farewell.take() {
            return Output::SendPacket(packet);
        }
        if let Some(outcome) = &self.outcome {
            return Output::Done(outcome.clone());
        }
        let limit = self.send_limit();
        if self.next >= limit {
            return Output::WaitUntil(*self.deadline.get_or_insert(now.saturating_add(self.rto)));
        }
        self.deadline = None;
        if self.next == 0 {
            self.count_sent(1);
            return Output::SendPacket(Packet::Oack(self.granted).to_vec());
        }
        let run = self.run_to(limit);
        self.count_sent(u64::from(run.count));
        Output::SendData(run)
    }

    fn handle_ack(&mut self, block: u16) {
        // The window is far smaller than the 65536 numbers, so at most one block in it has this number.
        let ahead = u64::from(block.wrapping_sub(self.unacked as u16).wrapping_add(1));
        if ahead == 0 {
            return self.handle_gap();
        }
        let acked = self.unacked + ahead - 1;
        if acked >= self.end {
            return;
        }
        self.source = Source::Proven;
        self.unacked = acked + 1;
        self.restart_timer();
        if self.unacked > self.last_block() {
            self.outcome = Some(self.delivered());
        } else {
            self.next = self.next.max(self.unacked);
            self.handle_gap();
        }
    }

    /// An ACK that is not for the newest block says that the client saw a gap behind it (RFC 7440 section 4).
    ///
    /// Or that it saw a copy: EDK2 repeats its ACK for every packet that comes out of order or twice. If
    /// each of those brought the window again, its copies would bring the next, until the end of the file.
    /// So a report about blocks that were sent twice only shortens the wait, and that once per block.
    ///
    /// Without a window there is no gap, just the Sorcerer's Apprentice (RFC 1123 section 4.2.3.1).
    fn handle_gap(&mut self) {
        if self.windowsize() == 1 || self.source != Source::Proven || self.unacked >= self.end {
            return;
        }
        if self.unacked > self.clean_from {
            self.resend();
        } else if self.doubted != self.unacked {
            self.doubted = self.unacked;
            self.rto = DOUBT_WAIT;
            self.deadline = None;
        }
    }

    fn handle_error(&mut self, code: ErrorCode, text: &[u8]) {
        let only_oack_sent = self.unacked == 0;
        let ends_probe = matches!(code, ErrorCode::OptionsRefused | ErrorCode::Undefined);
        self.outcome = Some(if only_oack_sent && ends_probe && self.granted.tsize.is_some() {
            Outcome::SizeProbe
        } else if code == ErrorCode::UnknownTransfer && self.all_sent() {
            // It closed its port after the last block; its ACK was lost and we repeated ourselves.
            self.delivered()
        } else {
            Outcome::ClientError { code, text: printable_text(text) }
        });
    }

    /// Goes back to the first block without ACK.
    fn resend(&mut self) {
        self.clean_from = self.end;
        self.next = self.unacked;
        self.deadline = None;
    }

    fn give_up(&mut self) {
        self.outcome = Some(if self.all_sent() {
            self.delivered()
        } else {
            Outcome::TimedOut { acked_bytes: self.acked_bytes() }
        });
    }

    fn delivered(&self) -> Outcome {
        Outcome::Delivered { bytes: self.len, retransmits: self.retransmits }
    }

    /// The last block went to a client that is known to listen.
    fn all_sent(&self) -> bool {
        self.source == Source::Proven && self.end > self.last_block()
    }

    fn restart_timer(&mut self) {
        self.tries = 0;
        self.rto = self.rto_first();
        self.deadline = None;
    }

    fn rto_first(&self) -> Duration {
        self.asked_timeout().unwrap_or(RTO_INITIAL).min(self.rto_max())
    }

    fn asked_timeout(&self) -> Option<Duration> {
        self.granted.timeout.map(|secs| Duration::from_secs(u64::from(secs)))
    }

    /// A client may ask for a longer wait than ours, but not before its address is proven: forged requests
    /// must not hold their place for minutes.
    fn rto_max(&self) -> Duration {
        match self.source {
            Source::Unproven { .. } => RTO_MAX,
            Source::Proven => RTO_MAX.max(self.asked_timeout().unwrap_or(RTO_MAX)),
        }
    }

    fn blksize(&self) -> u16 {
        self.granted.blksize.unwrap_or(BLKSIZE_DEFAULT)
    }

    fn windowsize(&self) -> u16 {
        self.granted.windowsize.unwrap_or(1)
    }

    /// The block that ends the file; it is empty when the size is a multiple of the block size.
    fn last_block(&self) -> u64 {
        self.len / u64::from(self.blksize()) + 1
    }

    fn may_send(&self) -> bool {
        !matches!(self.source, Source::Unproven { packets } if packets >= UNPROVEN_PACKETS_MAX)
    }

    /// The first block that may not be sent yet. The first flight is one packet: an address that proved
    /// nothing gets no window.
    fn send_limit(&self) -> u64 {
        let window = match self.source {
            Source::Unproven { .. } => 1,
            Source::Proven => u64::from(self.windowsize()),
        };
        self.unacked.saturating_add(window).min(self.last_block() + 1)
    }

    fn run_to(&self, limit: u64) -> DataRun {
        let blksize = self.blksize();
        let fitting = (RUN_BYTES_MAX / (usize::from(blksize) + 4)).clamp(1, usize::from(WINDOWSIZE_MAX));
        let count = (limit - self.next).min(fitting as u64);
        let offset = (self.next - 1) * u64::from(blksize);
        let len = (count * u64::from(blksize)).min(self.len - offset);
        DataRun { first_block: self.next, count: count as u16, blksize, offset, len: len as usize }
    }

    fn count_sent(&mut self, count: u64) {
        if let Source::Unproven { packets } = &mut self.source {
            *packets = packets.saturating_add(1);
        }
        self.retransmits += count.min(self.end.saturating_sub(self.next));
        self.next += count;
        self.end = self.end.max(self.next);
    }
}
