//! What goes into a transfer and what it asks of its caller.

use std::ops::Range;
use std::time::Duration;

use super::packet::{ErrorCode, data_header};

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
    /// Nothing was ever acknowledged: the source of the request may be forged.
    Unproven,
    /// The client went silent, or its port was closed.
    TimedOut {
        /// How much of the file was acknowledged.
        acked_bytes: u64,
    },
    /// We gave up, by [`Transfer::fail`](super::Transfer::fail).
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
    /// Read this range and send it. A read that fails or comes short is a case for [`Transfer::fail`](super::Transfer::fail).
    SendData(DataRun),
    /// Nothing to send: wait for a packet, and at this time call [`Transfer::handle_timeout`](super::Transfer::handle_timeout).
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
