//! Content in the order of the blocks, read ahead in pieces so that a packet rarely costs a read call.

use std::io;
use std::sync::Arc;

use bootlace_wire::tftp::{DataRun, data_header};

use crate::files::{Body, Content, ReadNow};

/// Bytes read at once: some 20 blocks of usual size, and little enough for a thousand transfers.
const AHEAD_BYTES: usize = 32 << 10;
/// Opcode and block number.
const HEADER_BYTES: usize = 4;

/// The reading side of one transfer: its next packets, laid out as they go onto the wire.
pub(super) struct Ahead {
    content: Content,
    blksize: usize,
    packets: Vec<u8>,
    /// The block of the first packet.
    first: u64,
}

impl Ahead {
    pub(super) fn new(content: Content) -> Self {
        Self { content, blksize: 0, packets: Vec::new(), first: 0 }
    }

    /// The packets of `run`, one behind the other.
    pub(super) async fn packets(&mut self, run: &DataRun) -> io::Result<&[u8]> {
        let len = run.len + usize::from(run.count) * HEADER_BYTES;
        let start = match self.position(run) {
            Some(start) if start + len <= self.packets.len() => start,
            _ => {
                self.fill(run).await?;
                0
            }
        };
        self.packets.get(start..start + len).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Where the first packet of `run` would be.
    fn position(&self, run: &DataRun) -> Option<usize> {
        let skip = usize::try_from(run.first_block.checked_sub(self.first)?).ok()?;
        skip.checked_mul(self.blksize + HEADER_BYTES).filter(|_| self.blksize == usize::from(run.blksize))
    }

    /// Reads from the start of `run` on, the whole run unless the file has become shorter.
    async fn fill(&mut self, run: &DataRun) -> io::Result<()> {
        self.blksize = usize::from(run.blksize);
        self.first = run.first_block;
        let blocks = usize::from(run.count).max(AHEAD_BYTES / self.blksize);
        let room = blocks * HEADER_BYTES;
        let left = usize::try_from(self.content.len.saturating_sub(run.offset)).unwrap_or(usize::MAX);
        let want = left.min(blocks * self.blksize);
        let mut packets = std::mem::take(&mut self.packets);
        packets.resize(room + want, 0);
        let (packets, read) = self.read(packets, room, run).await?;
        self.packets = lay_out(packets, room, read, self.blksize, self.first);
        Ok(())
    }

    /// Reads into `bytes` behind `room`: at least the run, without waiting for more. Returns how much it was.
    async fn read(&self, mut bytes: Vec<u8>, room: usize, run: &DataRun) -> io::Result<(Vec<u8>, usize)> {
        let mut done = 0;
        while done < run.len {
            match self.content.read_now(run.offset + done as u64, &mut bytes[room + done..])? {
                ReadNow::Ready(0) => break,
                ReadNow::Ready(count) => done += count,
                ReadNow::WouldBlock => {
                    let Body::File(file) = &self.content.body else { break };
                    let (file, offset) = (Arc::clone(file), run.offset + done as u64);
                    let read = move || {
                        let count = file.read_waiting(offset, &mut bytes[room + done..])?;
                        Ok((bytes, done + count))
                    };
                    return tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?;
                }
            }
        }
        Ok((bytes, done))
    }
}

/// Moves the `read` bytes that lie behind `room` forward, to leave each block the place of its header. A file that
/// ends with a full block ends with an empty one here.
fn lay_out(mut bytes: Vec<u8>, room: usize, read: usize, blksize: usize, first: u64) -> Vec<u8> {
    let blocks = (read / blksize + 1).min(room / HEADER_BYTES);
    let mut end = 0;
    for index in 0..blocks {
        let from = index * blksize;
        let len = (read - from).min(blksize);
        bytes[end..end + HEADER_BYTES].copy_from_slice(&data_header(first.wrapping_add(index as u64)));
        // Never overtakes what it moves: `room` holds the headers of all blocks.
        bytes.copy_within(room + from..room + from + len, end + HEADER_BYTES);
        end += HEADER_BYTES + len;
    }
    bytes.truncate(end);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first_block: u64, count: u16, blksize: u16, len: usize) -> DataRun {
        DataRun { first_block, count, blksize, offset: (first_block - 1) * u64::from(blksize), len }
    }

    /// What the packets of a run are by definition.
    fn expected(text: &str, run: DataRun) -> Vec<u8> {
        let bytes = &text.as_bytes()[run.offset as usize..][..run.len];
        run.packets().flat_map(|(header, range)| [&header[..], &bytes[range]].concat()).collect()
    }

    #[tokio::test]
    async fn packets_are_those_of_the_run_whatever_was_asked_before() {
        let text = "abcdefghijklmnopqrstuvwx".repeat(1000);
        let mut ahead = Ahead::new(Content::text(text.clone(), "text/plain"));
        let last = 24_000 / 8 + 1;
        let runs = [(1, 1, 8), (2, 16, 128), (900, 16, 128), (18, 16, 128), (last - 1, 2, 8), (last, 1, 0)];
        for (first, count, len) in runs {
            let run = run(first, count, 8, len);
            assert_eq!(ahead.packets(&run).await.unwrap(), expected(&text, run), "block {first}");
        }
    }

    #[tokio::test]
    async fn blocks_larger_than_what_is_read_ahead_work() {
        let text = "x".repeat(100_000);
        let mut ahead = Ahead::new(Content::text(text.clone(), "text/plain"));
        for run in [run(1, 1, 65_464, 65_464), run(2, 1, 65_464, 34_536)] {
            assert_eq!(ahead.packets(&run).await.unwrap(), expected(&text, run));
        }
    }

    #[tokio::test]
    async fn an_empty_file_is_one_empty_block() {
        let mut ahead = Ahead::new(Content::text(String::new(), "text/plain"));
        assert_eq!(ahead.packets(&run(1, 1, 512, 0)).await.unwrap(), [0, 3, 0, 1]);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let mut content = Content::text("short".to_owned(), "text/plain");
        content.len = 1000;
        let mut ahead = Ahead::new(content);
        let error = ahead.packets(&run(1, 1, 512, 512)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
