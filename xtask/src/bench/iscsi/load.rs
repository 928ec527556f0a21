//! An iSCSI initiator that keeps a queue of commands full, as cheaply as it can: the target is what is measured.
//! iscsi-perf cannot write, and spends more than a fast target does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{RecvFlags, recv};

use super::super::wire::SERVER;
use super::login::{self, Agreed};

/// The header of every PDU (RFC 7143, 11.2).
pub(super) const HEAD: usize = 48;
const BLOCK_BYTES: u64 = 512;
/// What one read of the socket takes at most.
const RECEIVE_BYTES: usize = 1 << 20;
/// PDUs of this length are not looked at; of shorter ones many come with one read.
const THROWN_AWAY_BYTES_MIN: usize = 32 << 10;
/// A target that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const SCSI_COMMAND: u8 = 0x01;
const DATA_OUT: u8 = 0x05;
const SCSI_RESPONSE: u8 = 0x21;
const DATA_IN: u8 = 0x25;
const R2T: u8 = 0x31;
const NOP_IN: u8 = 0x20;
/// In the second byte of Data-In: the status is in it.
const WITH_STATUS: u8 = 0x01;
const NO_TAG: u32 = u32::MAX;
const CHECK_CONDITION: u8 = 0x02;
const UNIT_ATTENTION: u8 = 0x06;
const ATTENTIONS_MAX: u32 = 8;

/// What is asked of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// Which blocks come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Random,
    Sequential,
}

/// A load of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) order: Order,
    /// Bytes of one command.
    pub(super) bytes: u64,
    /// Commands that are under way at once.
    pub(super) depth: u32,
}

/// Where.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) target: String,
    /// Who has to be there; without, everybody may.
    pub(super) initiator: Option<String>,
    pub(super) lun: u8,
    pub(super) bytes: u64,
}

/// An initiator that has logged in.
pub(super) struct Session {
    stream: TcpStream,
    agreed: Agreed,
    lun: u8,
    load: Load,
    places: Places,
    /// Tags that no command has.
    free: Vec<u32>,
    /// By tag: the block at which its command begins.
    at: Vec<u32>,
    /// What is written.
    payload: Vec<u8>,
    /// What goes out next.
    send: Vec<u8>,
    /// Commands that were sent again.
    attentions: u32,
}

impl Session {
    /// Logs in; `seed` tells initiators from each other.
    pub(super) fn open(disk: &Disk, load: Load, seed: u64) -> Result<Self> {
        let stream = TcpStream::connect((SERVER, 3260)).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let agreed = login::log_in(&stream, disk, seed)?;
        Ok(Self {
            stream,
            agreed,
            lun: disk.lun,
            load,
            places: Places::new(disk, load, seed),
            free: (0..load.depth).collect(),
            at: vec![0; load.depth as usize],
            payload: vec![0x5a; load.bytes as usize],
            send: Vec::new(),
            attentions: 0,
        })
    }

    /// Loads the disk for a time, and waits for what is under way. Returns the commands that were done.
    pub(super) fn run(mut self, time: Duration) -> Result<u64> {
        let started = Instant::now();
        let mut received = vec![0; RECEIVE_BYTES];
        let (mut held, mut done) = (0, 0);
        loop {
            if started.elapsed() < time {
                self.fill();
            } else if self.free.len() == self.load.depth as usize {
                return Ok(done);
            }
            self.stream.write_all(&self.send).context("send")?;
            self.send.clear();
            let count = self.stream.read(&mut received[held..]).context("receive")?;
            ensure!(count > 0, "the target closed the connection");
            held += count;
            let mut begin = 0;
            while let Some(len) = pdu_len(&received[begin..held]) {
                done += self.take(&received[begin..begin + len])?;
                begin += len;
            }
            if let Some(missing) = missing_of_data_in(&received[begin..held]) {
                done += self.take(&received[begin..begin + HEAD])?;
                self.throw_away(&mut received, missing)?;
                begin = held;
            }
            received.copy_within(begin..held, 0);
            held -= begin;
        }
    }

    /// In the kernel (MSG_TRUNC of tcp(7)), so that large reads cost their initiator nearly nothing.
    fn throw_away(&self, buffer: &mut [u8], mut bytes: usize) -> Result<()> {
        while bytes > 0 {
            let most = bytes.min(buffer.len());
            let (_, count) = recv(&self.stream, &mut buffer[..most], RecvFlags::TRUNC).context("receive")?;
            ensure!(count > 0, "the target closed the connection");
            bytes -= count;
        }
        Ok(())
    }

    /// Commands until the queue is full, or the target's window.
    fn fill(&mut self) {
        while self.agreed.command.wrapping_sub(self.agreed.command_max) as i32 <= 0 {
            let Some(tag) = self.free.pop() else { return };
            self.at[tag as usize] = self.places.next();
            self.command(tag);
        }
    }

    fn command(&mut self, tag: u32) {
        let (kind, bytes) = (self.load.kind, self.load.bytes as u32);
        let immediate = match kind {
            Kind::Read => 0,
            Kind::Write => bytes.min(self.agreed.immediate_max),
        };
        let (code, flags) = match kind {
            Kind::Read => (0x28, 0xc1),
            Kind::Write => (0x2a, 0xa1),
        };
        let mut head = [0; HEAD];
        head[0] = SCSI_COMMAND;
        head[1] = flags;
        head[5..8].copy_from_slice(&immediate.to_be_bytes()[1..]);
        head[9] = self.lun;
        put(&mut head, 16, tag);
        put(&mut head, 20, bytes);
        put(&mut head, 24, self.agreed.command);
        put(&mut head, 28, self.agreed.status);
        head[32] = code;
        put(&mut head, 34, self.at[tag as usize]);
        let blocks = (u64::from(bytes) / BLOCK_BYTES) as u16;
        head[39..41].copy_from_slice(&blocks.to_be_bytes());
        self.agreed.command = self.agreed.command.wrapping_add(1);
        self.send.extend(head);
        self.send.extend(&self.payload[..immediate as usize]);
    }

    /// Takes a PDU; returns how many commands it ended.
    fn take(&mut self, pdu: &[u8]) -> Result<u64> {
        let (opcode, flags) = (pdu[0] & 0x3f, pdu[1]);
        if opcode != R2T && !(opcode == DATA_IN && flags & WITH_STATUS == 0) {
            self.agreed.status = word(pdu, 24).wrapping_add(1);
        }
        self.agreed.command_max = word(pdu, 32);
        match opcode {
            DATA_IN if flags & WITH_STATUS == 0 => return Ok(0),
            // A target tells every initiator first that it has been switched on (SAM-5, 5.14).
            SCSI_RESPONSE if is_unit_attention(pdu) && self.attentions < ATTENTIONS_MAX => {
                self.attentions += 1;
                self.command(word(pdu, 16));
                return Ok(0);
            }
            DATA_IN | SCSI_RESPONSE => ensure!(pdu[3] == 0, "a command ended with status {:#04x}", pdu[3]),
            R2T => {
                self.data_out(pdu);
                return Ok(0);
            }
            NOP_IN if word(pdu, 16) == NO_TAG => {
                self.pong(pdu);
                return Ok(0);
            }
            other => bail!("the target sent a PDU of type {other:#04x}"),
        }
        let tag = word(pdu, 16);
        ensure!(tag < self.load.depth && !self.free.contains(&tag), "an answer to no command");
        self.free.push(tag);
        Ok(1)
    }

    /// What the target asks for, in PDUs that it takes.
    fn data_out(&mut self, r2t: &[u8]) {
        let (mut offset, mut left) = (word(r2t, 40), word(r2t, 44));
        let mut number = 0;
        while left > 0 {
            let bytes = left.min(self.agreed.segment_max);
            left -= bytes;
            let mut head = [0; HEAD];
            head[0] = DATA_OUT;
            head[1] = if left == 0 { 0x80 } else { 0 };
            head[5..8].copy_from_slice(&bytes.to_be_bytes()[1..]);
            // The LUN, the task's tag and the transfer's stand where they stand in the R2T.
            head[8..24].copy_from_slice(&r2t[8..24]);
            put(&mut head, 28, self.agreed.status);
            put(&mut head, 36, number);
            put(&mut head, 40, offset);
            self.send.extend(head);
            self.send.extend(&self.payload[..bytes as usize]);
            (offset, number) = (offset + bytes, number + 1);
        }
    }

    fn pong(&mut self, ping: &[u8]) {
        if word(ping, 20) == NO_TAG {
            return;
        }
        let mut head = [0; HEAD];
        head[0] = 0x40;
        head[1] = 0x80;
        head[8..16].copy_from_slice(&ping[8..16]);
        put(&mut head, 16, NO_TAG);
        put(&mut head, 20, word(ping, 20));
        put(&mut head, 24, self.agreed.command);
        put(&mut head, 28, self.agreed.status);
        self.send.extend(head);
    }
}

/// The length of the PDU that begins here, if all of it is there.
pub(super) fn pdu_len(bytes: &[u8]) -> Option<usize> {
    let len = bytes.get(..HEAD).map(whole_len)?;
    (bytes.len() >= len).then_some(len)
}

fn whole_len(head: &[u8]) -> usize {
    let data = (word(head, 4) & 0x00ff_ffff) as usize;
    HEAD + usize::from(head[4]) * 4 + data.next_multiple_of(4)
}

/// How much of a large Data-In has not come yet. Its head tells all that counts.
fn missing_of_data_in(bytes: &[u8]) -> Option<usize> {
    let len = bytes.get(..HEAD).filter(|head| head[0] & 0x3f == DATA_IN).map(whole_len)?;
    (len >= THROWN_AWAY_BYTES_MIN).then(|| len - bytes.len())
}

/// Whether a response's sense, of which fixed format is asked here, has this key.
fn is_unit_attention(response: &[u8]) -> bool {
    // Behind the head there is the length of the sense in two bytes.
    let key = response.get(HEAD + 2 + 2).map(|byte| byte & 0x0f);
    response[3] == CHECK_CONDITION && key == Some(UNIT_ATTENTION)
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

pub(super) fn put(head: &mut [u8; HEAD], at: usize, word: u32) {
    head[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

/// Where commands begin, in logical blocks.
struct Places {
    order: Order,
    /// In units of one command.
    next: u64,
    count: u64,
    blocks_each: u64,
}

impl Places {
    fn new(disk: &Disk, load: Load, seed: u64) -> Self {
        let count = disk.bytes / load.bytes;
        // Connections do not read in step.
        let next = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let next = if load.order == Order::Sequential { next % count } else { next | 1 };
        Self { order: load.order, next, count, blocks_each: load.bytes / BLOCK_BYTES }
    }

    fn next(&mut self) -> u32 {
        let unit = match self.order {
            Order::Sequential => {
                self.next = (self.next + 1) % self.count;
                self.next
            }
            Order::Random => {
                // xorshift64 (Marsaglia).
                self.next ^= self.next << 13;
                self.next ^= self.next >> 7;
                self.next ^= self.next << 17;
                self.next % self.count
            }
        };
        (unit * self.blocks_each) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(order: Order) -> Vec<u32> {
        let load = Load { kind: Kind::Read, order, bytes: 4096, depth: 1 };
        let disk = Disk { target: "iqn.2026-01.example:x".into(), initiator: None, lun: 1, bytes: 1 << 20 };
        let mut places = Places::new(&disk, load, 0);
        (0..600).map(|_| places.next()).collect()
    }

    #[test]
    fn places_are_on_the_disk_and_reach_all_of_it() {
        let sequential = places(Order::Sequential);
        assert_eq!(sequential[..3], [8, 16, 24]);
        assert_eq!(sequential[254..257], [2040, 0, 8]);
        let random = places(Order::Random);
        assert!(random.iter().all(|at| *at <= 2040 && at % 8 == 0));
        let different: std::collections::BTreeSet<_> = random.iter().collect();
        assert!(different.len() > 200, "{} of 256 places", different.len());
    }

    #[test]
    fn a_large_answer_is_counted_by_its_head() {
        let mut pdu = vec![0; HEAD];
        pdu[0] = DATA_IN;
        pdu[5] = 1;
        assert_eq!(missing_of_data_in(&pdu), Some(1 << 16));
        pdu.extend([0; 100]);
        assert_eq!(missing_of_data_in(&pdu), Some((1 << 16) - 100));
        assert_eq!(missing_of_data_in(&pdu[..HEAD - 1]), None);
        pdu[5] = 0;
        assert_eq!(missing_of_data_in(&pdu), None);
        (pdu[0], pdu[5]) = (R2T, 1);
        assert_eq!(missing_of_data_in(&pdu), None);
    }

    #[test]
    fn a_pdu_ends_with_its_padding() {
        let mut pdu = vec![0; HEAD];
        assert_eq!(pdu_len(&pdu), Some(HEAD));
        pdu[7] = 5;
        assert_eq!(pdu_len(&pdu), None);
        pdu.extend([0; 9]);
        assert_eq!(pdu_len(&pdu), Some(HEAD + 8));
        assert_eq!(pdu_len(&pdu[..20]), None);
    }
}
