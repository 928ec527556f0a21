//! The receiving side of a TFTP transfer, with the habits of each client that makes one.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_wire::tftp::{ErrorCode, Mode, Packet, Request, TransferOptions, error_packet, raw_options};

use crate::action::Action;
use crate::limits::{FILE_BYTES_MAX, LOOK_BYTES_MAX};
use crate::text::shown;

/// Whether a client asks for the size, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizing {
    /// It does not.
    Unasked,
    /// Along with the file.
    WithFile,
    /// By a transfer of its own that ends with this error, as PXE 2.1 has it.
    Probe(ErrorCode),
}

/// How a client transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) blksize: Option<u16>,
    pub(crate) windowsize: Option<u16>,
    pub(crate) sizing: Sizing,
    /// The client fails when the server grants no options at all (GRUB).
    pub(crate) needs_oack: bool,
    /// Silence before a packet is sent again.
    pub(crate) wait: Duration,
    /// Times that a packet is sent.
    pub(crate) tries: u8,
}

/// How a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TftpError {
    /// Nothing came at all.
    Silent,
    /// Nothing more came.
    Stalled {
        received: u64,
    },
    NotFound(String),
    Refused {
        code: u16,
        text: String,
    },
    Options(&'static str),
    Size {
        said: u64,
        came: u64,
    },
}

/// What a transfer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) bytes: u64,
    pub(crate) beginning: Vec<u8>,
}

#[derive(Debug)]
enum Phase {
    /// The size is asked for.
    Probing,
    /// The file is asked for; nothing came yet.
    Asking,
    /// Blocks come.
    Receiving,
}

/// A transfer.
#[derive(Debug)]
pub(crate) struct Download {
    manner: Manner,
    server: SocketAddrV4,
    name: Vec<u8>,
    phase: Phase,
    /// The port that the server sends from, once it did.
    peer: Option<SocketAddrV4>,
    asked: TransferOptions,
    blksize: u64,
    windowsize: u64,
    said: Option<u64>,
    /// Blocks that came in order.
    blocks: u64,
    acked: u64,
    received: u64,
    beginning: Vec<u8>,
    /// What is sent again when nothing comes, and to whom.
    last: (SocketAddrV4, Vec<u8>),
    tries: u8,
    until: Duration,
}

const TFTP_PORT: u16 = 69;
const BLKSIZE_DEFAULT: u64 = 512;

type Ended = Option<Result<Received, TftpError>>;

impl Download {
    pub(crate) fn start(
        manner: Manner,
        (server, port): (Ipv4Addr, u16),
        name: &[u8],
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Self {
        let server = SocketAddrV4::new(server, if port == 0 { TFTP_PORT } else { port });
        let mut download = Self {
            manner,
            server,
            // A name ends where a C string does.
            name: name.split(|&b| b == 0).next().unwrap_or_default().to_vec(),
            phase: Phase::Asking,
            peer: None,
            asked: TransferOptions::default(),
            blksize: BLKSIZE_DEFAULT,
            windowsize: 1,
            said: None,
            blocks: 0,
            acked: 0,
            received: 0,
            beginning: Vec::new(),
            last: (server, Vec::new()),
            tries: 0,
            until: now,
        };
        let phase = if matches!(manner.sizing, Sizing::Probe(_)) { Phase::Probing } else { Phase::Asking };
        download.ask(phase, now, out);
        download
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.until
    }

    /// Bytes so far, for those who watch.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    fn ask(&mut self, phase: Phase, now: Duration, out: &mut Vec<Action>) {
        let tsize = match (&phase, self.manner.sizing) {
            (Phase::Probing, _) | (_, Sizing::WithFile) => Some(0),
            _ => None,
        };
        self.asked = TransferOptions {
            blksize: self.manner.blksize,
            windowsize: self.manner.windowsize,
            tsize,
            timeout: None,
        };
        self.phase = phase;
        self.peer = None;
        self.tries = 0;
        let request = Request { name: &self.name, mode: Mode::Octet, options: self.asked };
        let bytes = Packet::Rrq(request).to_vec();
        out.push(Action::OpenUdp { port: 0 });
        self.send(self.server, bytes, now, out);
    }

    fn send(&mut self, to: SocketAddrV4, bytes: Vec<u8>, now: Duration, out: &mut Vec<Action>) {
        out.push(Action::SendUdp { to, bytes: bytes.clone() });
        self.last = (to, bytes);
        self.tries += 1;
        self.until = now + self.manner.wait;
    }

    pub(crate) fn timeout(&mut self, now: Duration, out: &mut Vec<Action>) -> Ended {
        if self.tries >= self.manner.tries {
            let error = match self.phase {
                Phase::Receiving => TftpError::Stalled { received: self.received },
                Phase::Probing | Phase::Asking => TftpError::Silent,
            };
            return Some(Err(error));
        }
        let (to, bytes) = match self.phase {
            Phase::Receiving => {
                self.acked = self.blocks;
                (self.last.0, Packet::Ack(self.blocks as u16).to_vec())
            }
            Phase::Probing | Phase::Asking => self.last.clone(),
        };
        self.send(to, bytes, now, out);
        None
    }

    pub(crate) fn datagram(
        &mut self,
        from: SocketAddrV4,
        bytes: &[u8],
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Ended {
        if from.ip() != self.server.ip() || self.peer.is_some_and(|peer| peer != from) {
            return None;
        }
        match Packet::decode(bytes).ok()? {
            Packet::Error { code, text } => Some(Err(refusal(code, text))),
            Packet::Oack(granted) if !matches!(self.phase, Phase::Receiving) => {
                self.peer = Some(from);
                self.granted(&granted, bytes, from, now, out)
            }
            // The ACK of the OACK was lost: it is sent again at its time.
            Packet::Data { block, bytes } => {
                self.peer = Some(from);
                self.data(from, block, bytes, now, out)
            }
            Packet::Rrq(_) | Packet::Wrq(_) | Packet::Ack(_) | Packet::Oack(_) => None,
        }
    }

    fn granted(
        &mut self,
        granted: &TransferOptions,
        datagram: &[u8],
        from: SocketAddrV4,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Ended {
        if let Err(why) = self.judge(granted, datagram) {
            let bytes = error_packet(ErrorCode::OptionsRefused, why);
            out.push(Action::SendUdp { to: from, bytes });
            return Some(Err(TftpError::Options(why)));
        }
        if let (Phase::Probing, Sizing::Probe(code)) = (&self.phase, self.manner.sizing) {
            let bytes = error_packet(code, "User aborted the transfer");
            out.push(Action::SendUdp { to: from, bytes });
            self.said = granted.tsize;
            self.ask(Phase::Asking, now, out);
            return None;
        }
        self.blksize = granted.blksize.map_or(BLKSIZE_DEFAULT, u64::from);
        self.windowsize = granted.windowsize.map_or(1, u64::from);
        self.said = self.said.or(granted.tsize);
        self.phase = Phase::Receiving;
        self.tries = 0;
        self.send(from, Packet::Ack(0).to_vec(), now, out);
        None
    }

    /// What this client demands of an OACK (RFC 2347: only what was asked; RFC 2348 and 7440: never more).
    fn judge(&self, granted: &TransferOptions, datagram: &[u8]) -> Result<(), &'static str> {
        let asked = self.asked;
        let larger = |granted: Option<u16>, asked: Option<u16>| match (granted, asked) {
            (Some(granted), Some(asked)) => granted > asked,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if larger(granted.blksize, asked.blksize) {
            return Err("larger block size than asked");
        }
        if larger(granted.windowsize, asked.windowsize) {
            return Err("larger window than asked");
        }
        for (name, _) in raw_options(datagram) {
            let known = [
                ("blksize", asked.blksize.is_some()),
                ("windowsize", asked.windowsize.is_some()),
                ("tsize", asked.tsize.is_some()),
            ];
            if !known.iter().any(|(known, asked)| *asked && name.eq_ignore_ascii_case(known.as_bytes())) {
                return Err("an option that was not asked");
            }
        }
        if asked.tsize.is_some() && granted.tsize.is_none() && self.manner.sizing != Sizing::Unasked {
            return Err("no size of the file");
        }
        Ok(())
    }

    fn data(
        &mut self,
        from: SocketAddrV4,
        block: u16,
        bytes: &[u8],
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Ended {
        if !matches!(self.phase, Phase::Receiving) {
            // The server grants no options: blocks of 512 bytes, one by one.
            let needed = self.manner.needs_oack || matches!(self.phase, Phase::Probing);
            if needed {
                let why = "no options granted at all";
                out.push(Action::SendUdp { to: from, bytes: error_packet(ErrorCode::OptionsRefused, why) });
                return Some(Err(TftpError::Options(why)));
            }
            self.phase = Phase::Receiving;
            (self.blksize, self.windowsize) = (BLKSIZE_DEFAULT, 1);
        }
        if bytes.len() as u64 > self.blksize {
            return Some(Err(TftpError::Options("a larger block than granted")));
        }
        if block != (self.blocks + 1) as u16 {
            // A gap or a repetition: what came in order is said again, and the window begins there.
            if block == self.blocks as u16 || self.windowsize > 1 {
                self.acked = self.blocks;
                out.push(Action::SendUdp { to: from, bytes: Packet::Ack(self.blocks as u16).to_vec() });
            }
            return None;
        }
        self.blocks += 1;
        self.received += bytes.len() as u64;
        let room = LOOK_BYTES_MAX - self.beginning.len();
        self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.tries = 0;
        self.until = now + self.manner.wait;
        let is_last = (bytes.len() as u64) < self.blksize;
        if is_last || self.blocks - self.acked >= self.windowsize {
            self.acked = self.blocks;
            self.send(from, Packet::Ack(self.blocks as u16).to_vec(), now, out);
        }
        let too_much = self.said.is_some_and(|said| self.received > said) || self.received > FILE_BYTES_MAX;
        if !is_last && !too_much {
            return None;
        }
        match self.said {
            Some(said) if said != self.received => Some(Err(TftpError::Size { said, came: self.received })),
            _ if too_much => Some(Err(TftpError::Size { said: FILE_BYTES_MAX, came: self.received })),
            _ => Some(Ok(Received { bytes: self.received, beginning: std::mem::take(&mut self.beginning) })),
        }
    }
}

fn refusal(code: ErrorCode, text: &[u8]) -> TftpError {
    match code {
        ErrorCode::NotFound => TftpError::NotFound(shown(text)),
        _ => TftpError::Refused { code: code.number(), text: shown(text) },
    }
}
