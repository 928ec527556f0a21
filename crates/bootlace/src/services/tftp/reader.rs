//! Content in the order of the blocks, read ahead in pieces so that a packet rarely costs a read call.

use std::io;
use std::sync::Arc;

use crate::files::{Body, Content, ReadNow};

/// Bytes read at once: some 20 blocks of usual size, and little enough for a thousand transfers.
const AHEAD_BYTES: usize = 32 << 10;

/// The reading side of one transfer.
pub(super) struct Ahead {
    content: Content,
    buffer: Vec<u8>,
    start: u64,
}

impl Ahead {
    pub(super) fn new(content: Content) -> Self {
        Self { content, buffer: Vec::new(), start: 0 }
    }

    /// Makes `offset..offset + len` available; `len` is at most what the content has.
    pub(super) async fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let inside = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        match inside.filter(|skip| skip + len <= self.buffer.len()) {
            Some(skip) => Ok(&self.buffer[skip..skip + len]),
            None => {
                self.fill(offset, len).await?;
                self.buffer.get(..len).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    /// Reads from `offset` on, at least `len` bytes unless the file has become shorter.
    async fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let left = usize::try_from(self.content.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = left.min(AHEAD_BYTES.max(len));
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(want, 0);
        let mut done = 0;
        while done < len {
            match self.content.read_now(offset + done as u64, &mut buffer[done..])? {
                ReadNow::Ready(0) => break,
                ReadNow::Ready(count) => done += count,
                ReadNow::WouldBlock => {
                    (buffer, done) = self.wait_for_disk(buffer, offset, done).await?;
                    break;
                }
            }
        }
        buffer.truncate(done);
        self.buffer = buffer;
        self.start = offset;
        Ok(())
    }

    /// Reads the rest of `buffer` on a thread that may block.
    async fn wait_for_disk(
        &self,
        mut buffer: Vec<u8>,
        offset: u64,
        done: usize,
    ) -> io::Result<(Vec<u8>, usize)> {
        let Body::File(file) = &self.content.body else { return Ok((buffer, done)) };
        let file = Arc::clone(file);
        let read = move || {
            let count = file.read_waiting(offset + done as u64, &mut buffer[done..])?;
            Ok((buffer, done + count))
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}
