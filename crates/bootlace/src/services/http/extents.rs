//! Parts of files that the kernel sends by itself (`sendfile`): their bytes never come to this process.
//!
//! hyper writes bytes, and knows no files. A part of a file goes through it as a placeholder: a slice of the right
//! length out of [`PLACEHOLDER`], whose bytes mean nothing. The stream below hyper knows such a slice by its
//! address and has the kernel send the part that stands first in the connection's [`Extents`]. hyper keeps the
//! order of what it writes and, with vectored writes, copies none of it; the tests compare what arrives.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::body::Delivery;
use super::limits::EXTENT_BYTES;
use crate::files::OpenFile;

/// Never read: only its addresses matter.
static PLACEHOLDER: [u8; EXTENT_BYTES] = [0; EXTENT_BYTES];

/// What a connection has still to send out of files, in the order of its placeholders.
#[derive(Default)]
pub(super) struct Extents {
    queue: Mutex<VecDeque<Extent>>,
    /// More of the file at hand will follow what is queued.
    goes_on: AtomicBool,
}

/// A part of a file.
pub(super) struct Extent {
    pub(super) file: Arc<OpenFile>,
    pub(super) at: u64,
    pub(super) len: usize,
    /// Told when the part is not there any more.
    pub(super) delivery: Option<Arc<Delivery>>,
}

/// Stands for `len` bytes of a file, at most [`EXTENT_BYTES`].
pub(super) fn placeholder(len: usize) -> &'static [u8] {
    &PLACEHOLDER[..len.min(EXTENT_BYTES)]
}

/// Whether these bytes stand for others.
pub(super) fn is_placeholder(bytes: &[u8]) -> bool {
    !bytes.is_empty() && PLACEHOLDER.as_ptr_range().contains(&bytes.as_ptr())
}

impl Extents {
    pub(super) fn push(&self, extent: Extent) {
        self.lock().push_back(extent);
    }

    /// `left`: bytes of the file at hand that are still to be asked for.
    pub(super) fn expect(&self, left: u64) {
        self.goes_on.store(left > 0, Ordering::Relaxed);
    }

    /// What was queued is not the end of a file.
    pub(super) fn go_on(&self) -> bool {
        self.goes_on.load(Ordering::Relaxed)
    }

    /// Has the kernel send the beginning of the first part, `limit` bytes at most; says how many it took.
    pub(super) fn send(&self, socket: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        let mut extents = self.lock();
        let first = extents.front_mut().ok_or(io::ErrorKind::InvalidData)?;
        let sent = first.file.send(socket, first.at, first.len.min(limit))?;
        if sent == 0 {
            let gone = io::Error::from(io::ErrorKind::UnexpectedEof);
            if let Some(delivery) = &first.delivery {
                delivery.fail(&gone);
            }
            return Err(gone);
        }
        first.at += sent as u64;
        first.len -= sent;
        if first.len == 0 {
            extents.pop_front();
        }
        Ok(sent)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Extent>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slices_of_the_placeholder_stand_for_others() {
        assert!(is_placeholder(placeholder(1)) && is_placeholder(&placeholder(1000)[999..]));
        assert!(!is_placeholder(placeholder(0)) && !is_placeholder(&[0; 1000]));
        assert_eq!(placeholder(usize::MAX).len(), EXTENT_BYTES);
    }
}
