//! No sequence of events breaks a transfer: it stays within its file, its window and what an unproven source
//! may get, and it ends. Shared with the fuzz target.

use std::time::Duration;

use bootlace_wire::tftp::{
    ContentInfo, ErrorCode, Limits, Mode, Output, Packet, Request, Transfer, TransferOptions, limits,
};

/// Reads numbers off the input; zero when it is used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A file of any magnitude, small ones as likely as huge ones.
    fn len(&mut self) -> u64 {
        let bits = u64::from_be_bytes(std::array::from_fn(|_| self.byte()));
        bits >> (self.byte() % 64)
    }

    /// A request for any of the options, with values as a decoder would let them through.
    fn options(&mut self) -> TransferOptions {
        let asked = self.byte();
        let has = |bit: u8| asked & (1 << bit) != 0;
        TransferOptions {
            blksize: has(0).then(|| self.word().clamp(limits::BLKSIZE_MIN, limits::BLKSIZE_MAX)),
            tsize: has(1).then_some(0),
            timeout: has(2).then(|| self.byte().max(1)),
            windowsize: has(3).then(|| (self.word() >> (asked >> 4)).max(1)),
        }
    }
}

/// Runs the transfer and the events that `bytes` stand for.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let options = input.options();
    let len = input.len();
    let limits = Limits {
        blksize_max: input.word().clamp(limits::BLKSIZE_MIN, limits::BLKSIZE_MAX),
        windowsize_max: u16::from(input.byte() % 64) + 1,
    };
    let request = Request { name: b"file", mode: Mode::Octet, options };
    let first = u64::from(options.is_empty());
    let mut watched = Watched {
        transfer: Transfer::new(&request, ContentInfo { len }, &limits),
        len,
        limits,
        unacked: first,
        end: first,
        proven: false,
        packets_unproven: 0,
        acked_bytes: 0,
        now: Duration::ZERO,
    };
    watched.drain();
    while !input.0.is_empty() {
        watched.apply_next(&mut input);
        watched.drain();
    }
    watched.check_end();
}

/// A transfer with everything that must hold of it.
struct Watched {
    transfer: Transfer,
    len: u64,
    limits: Limits,
    /// As an observer on the wire counts: the first block without ACK, and the first never sent.
    unacked: u64,
    end: u64,
    proven: bool,
    packets_unproven: u32,
    acked_bytes: u64,
    now: Duration,
}

impl Watched {
    fn apply_next(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            // ACKs around the window are what moves a transfer.
            0..=159 => {
                let around = (self.unacked as u16).wrapping_sub(2);
                self.ack(around.wrapping_add(u16::from(input.byte() % 70)));
            }
            160..=175 => self.ack(input.word()),
            176..=223 => {
                self.now += Duration::from_millis(u64::from(input.word() % 9000));
                self.transfer.handle_timeout(self.now);
            }
            224..=239 => drop(self.transfer.handle_repeated_request()),
            240..=251 => {
                let noise: [u8; 3] = std::array::from_fn(|_| input.byte());
                self.transfer.handle_packet(&noise);
            }
            252 => self.transfer.handle_unreachable(),
            253 => self.transfer.fail(ErrorCode::Undefined, "read failed"),
            code => {
                let error = Packet::Error { code: u16::from(code % 9).into(), text: b"no" };
                self.transfer.handle_packet(&error.to_vec());
            }
        }
    }

    fn ack(&mut self, block: u16) {
        if let Some(acked) = (self.unacked..self.end).find(|&sent| sent as u16 == block) {
            self.unacked = acked + 1;
            self.proven = true;
        }
        self.transfer.handle_packet(&Packet::Ack(block).to_vec());
    }

    /// Polls until nothing is due.
    fn drain(&mut self) {
        for _ in 0..=limits::WINDOWSIZE_MAX {
            match self.transfer.poll_output(self.now) {
                Output::SendPacket(packet) => {
                    assert!(packet.len() < 100, "an OACK or ERROR is short");
                    self.end = self.end.max(1);
                    self.count_packets(1);
                }
                Output::SendData(run) => {
                    let packets = usize::from(run.count);
                    assert!(run.offset + run.len as u64 <= self.len);
                    assert!(run.len <= packets * usize::from(run.blksize));
                    assert!(run.len + 4 * packets <= limits::RUN_BYTES_MAX);
                    assert!(run.blksize <= self.limits.blksize_max.max(limits::BLKSIZE_DEFAULT));
                    assert!(run.first_block >= self.unacked);
                    assert_eq!(run.packets().map(|(_, range)| range.len()).sum::<usize>(), run.len);
                    self.end = self.end.max(run.first_block + u64::from(run.count));
                    assert!(self.end - self.unacked <= u64::from(self.limits.windowsize_max));
                    self.count_packets(u32::from(run.count));
                }
                Output::WaitUntil(_) | Output::Done(_) => return self.check_progress(),
            }
        }
        panic!("more packets than a window has");
    }

    fn count_packets(&mut self, count: u32) {
        if !self.proven {
            self.packets_unproven += count;
            assert!(self.packets_unproven <= u32::from(limits::UNPROVEN_PACKETS_MAX));
        }
    }

    fn check_progress(&mut self) {
        let acked_bytes = self.transfer.acked_bytes();
        assert!((self.acked_bytes..=self.len).contains(&acked_bytes));
        self.acked_bytes = acked_bytes;
    }

    /// Left alone the transfer ends, and then nothing moves it.
    fn check_end(&mut self) {
        for _ in 0..2 * limits::TRIES_MAX {
            self.now += Duration::from_secs(255);
            self.transfer.handle_timeout(self.now);
            self.drain();
        }
        let end = self.transfer.poll_output(self.now);
        assert!(matches!(end, Output::Done(_)));
        self.ack(self.unacked as u16);
        self.transfer.fail(ErrorCode::Undefined, "late");
        assert_eq!(self.transfer.poll_output(self.now), end);
    }
}
