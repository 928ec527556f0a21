//! The buffers that files pass through on their way to sockets, bounded and used again.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::{FRAME_BYTES, FRAME_BYTES_SMALL, FRAMES_KEPT, FRAMES_MAX};

/// Lends frames. A frame that was just used is still in the processor's cache: the last one back is the first
/// one lent.
#[derive(Debug, Default)]
pub(super) struct Frames {
    kept: Mutex<Vec<Box<[u8]>>>,
    lent: AtomicUsize,
}

/// A lent buffer; it goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Box<[u8]>,
    from: Arc<Frames>,
}

impl Frames {
    /// A frame of [`FRAME_BYTES`], or a small one while too many are lent to clients that do not read.
    pub(super) fn lend(self: &Arc<Self>) -> Frame {
        let bytes = if self.lent.fetch_add(1, Ordering::Relaxed) < FRAMES_MAX {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
            kept.unwrap_or_else(|| vec![0; FRAME_BYTES].into_boxed_slice())
        } else {
            vec![0; FRAME_BYTES_SMALL].into_boxed_slice()
        };
        Frame { bytes, from: Arc::clone(self) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.from.lent.fetch_sub(1, Ordering::Relaxed);
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() == FRAME_BYTES {
            let mut kept = self.from.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < FRAMES_KEPT {
                kept.push(bytes);
            }
        }
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lent_frames_are_small_and_few_are_kept() {
        let frames = Arc::new(Frames::default());
        let mut lent: Vec<_> = (0..FRAMES_MAX + 10).map(|_| frames.lend()).collect();
        assert!(lent[..FRAMES_MAX].iter().all(|frame| frame.len() == FRAME_BYTES));
        assert!(lent[FRAMES_MAX..].iter().all(|frame| frame.len() == FRAME_BYTES_SMALL));
        lent.clear();
        assert_eq!(frames.kept.lock().unwrap().len(), FRAMES_KEPT);
        assert_eq!(frames.lend().len(), FRAME_BYTES, "all came back");
    }
}
