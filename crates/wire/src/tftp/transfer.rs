//! The sending side of one transfer, without socket, file or clock.
//!
//! The caller drains its socket into [`Transfer::handle_packet`], then calls [`Transfer::poll_output`] until
//! it says [`Output::WaitUntil`] or [`Output::Done`]. File content never passes through here: a
//! [`DataRun`] names a range of the file, and the caller reads it straight into its send buffer. The read may
//! take its time, since the timer starts at the first poll after the run, when the run has been sent.

use std::time::Duration;

use super::limits::{
    BLKSIZE_DEFAULT, DOUBT_WAIT, Limits, RTO_INITIAL, RTO_MAX, RUN_BYTES_MAX, STALL_MAX, TRIES_MAX,
    UNPROVEN_PACKETS_MAX, WINDOWSIZE_MAX,
};
use super::options::TransferOptions;
use super::output::{ContentInfo, DataRun, Outcome, Output, Repeat};
use super::packet::{ErrorCode, Packet, Request, error_packet, printable_text};

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
    /// Since when nothing new was acknowledged; `None` until the wait for it begins.
    stalled: Option<Duration>,
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
            stalled: None,
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
            Source::Proven => self.tries >= TRIES_MAX || now >= self.stalled_until(now),
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
            let latest = self.stalled_until(now);
            let deadline = now.saturating_add(self.rto).min(latest);
            return Output::WaitUntil(*self.deadline.get_or_insert(deadline));
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
        } else if self.source != Source::Proven {
            Outcome::Unproven
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
        self.stalled = None;
    }

    /// When the client counts as gone unless something new is acknowledged. Asking begins the wait.
    fn stalled_until(&mut self, now: Duration) -> Duration {
        self.stalled.get_or_insert(now).saturating_add(STALL_MAX)
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
