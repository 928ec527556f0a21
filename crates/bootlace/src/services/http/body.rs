//! Bodies: from memory, or from a file frame by frame as the client takes them.

use std::io;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame as BodyFrame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use bootlace_core::event::{FileEvent, FileOutcome, Protocol};
use bootlace_core::model::Text;

use super::extents::{Extent, Extents, placeholder};
use super::frames::{Frame, Frames};
use super::limits::EXTENT_BYTES;
use crate::files::OpenFile;
use crate::resolver::Resolver;

/// What happened to one download: told once, when the last byte of it was handed to the kernel or dropped.
pub(super) struct Delivery {
    resolver: Arc<Resolver>,
    peer: SocketAddrV4,
    name: Text,
    /// Bytes that the answer has.
    of: u64,
    began: Instant,
    /// Bytes that the kernel has taken.
    sent: AtomicU64,
    /// What went wrong on our side.
    failed: OnceLock<&'static str>,
}

impl Delivery {
    /// `of` bytes of `name` for `peer`, who asked at `began`.
    pub(super) fn new(
        resolver: Arc<Resolver>,
        peer: SocketAddrV4,
        name: Text,
        of: u64,
        began: Instant,
    ) -> Self {
        Self { resolver, peer, name, of, began, sent: AtomicU64::new(0), failed: OnceLock::new() }
    }
}

impl Delivery {
    /// It went wrong on our side. The first reason stands.
    pub(super) fn fail(&self, error: &io::Error) {
        let _ = self.failed.set(reason(error));
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let bytes = self.sent.load(Ordering::Relaxed);
        let outcome = if bytes == self.of {
            FileOutcome::Sent { bytes, took: self.began.elapsed(), retransmits: 0 }
        } else {
            let why = self.failed.get().copied().unwrap_or("the connection ended");
            FileOutcome::Aborted { bytes, of: self.of, why: why.into() }
        };
        let name = std::mem::take(&mut self.name);
        let event = FileEvent { protocol: Protocol::Http, name, outcome };
        self.resolver.record(self.peer, event);
    }
}

/// A response body.
pub(super) enum Payload {
    /// Nothing more.
    Done,
    /// One piece from memory.
    Memory(Chunk),
    /// A file.
    File(FileBody),
}

/// What is left of a file to send.
pub(super) struct FileBody {
    file: Arc<OpenFile>,
    at: u64,
    end: u64,
    ways: Ways,
    delivery: Option<Arc<Delivery>>,
    /// A read that waits for the disk on another thread.
    waiting: Option<JoinHandle<(Frame, io::Result<usize>)>>,
}

/// How the bytes of a file get to a connection.
#[derive(Clone)]
pub(super) struct Ways {
    /// From memory: the kernel sends them by itself.
    pub(super) extents: Arc<Extents>,
    /// From a disk: read first.
    pub(super) frames: Arc<Frames>,
}

/// A piece of a body. It tells its delivery how much of it the kernel took.
pub(super) struct Chunk {
    data: Data,
    at: usize,
    end: usize,
    /// `None`: nobody wants to know (error texts).
    delivery: Option<Arc<Delivery>>,
}

enum Data {
    Bytes(Bytes),
    Frame(Frame),
    /// Of the file that stands next in the connection's extents.
    Extent,
}

impl Payload {
    /// A text or other bytes in memory.
    pub(super) fn memory(bytes: Bytes, delivery: Option<Arc<Delivery>>) -> Self {
        if bytes.is_empty() {
            return Self::Done;
        }
        Self::Memory(Chunk { at: 0, end: bytes.len(), data: Data::Bytes(bytes), delivery })
    }

    /// The bytes `at..end` of a file.
    pub(super) fn file(
        file: Arc<OpenFile>,
        (at, end): (u64, u64),
        ways: Ways,
        delivery: Option<Arc<Delivery>>,
    ) -> Self {
        if at >= end {
            return Self::Done;
        }
        Self::File(FileBody { file, at, end, ways, delivery, waiting: None })
    }
}

impl FileBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        if let Some(waiting) = &mut self.waiting {
            let read = ready!(Pin::new(waiting).poll(cx));
            self.waiting = None;
            let (frame, count) = read.map_err(io::Error::other)?;
            return Poll::Ready(count.and_then(|count| self.chunk(frame, count)));
        }
        let len = self.left(EXTENT_BYTES);
        if self.file.is_in_memory(self.at, len)? {
            return Poll::Ready(Ok(self.extent(len)));
        }
        let mut frame = self.ways.frames.lend();
        let (file, at, len) = (Arc::clone(&self.file), self.at, self.left(frame.len()));
        self.waiting = Some(spawn_blocking(move || {
            let count = file.read_waiting(at, &mut frame[..len]);
            (frame, count)
        }));
        self.poll_chunk(cx)
    }

    /// What is left, `most` at most.
    fn left(&self, most: usize) -> usize {
        usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(most)
    }

    fn extent(&mut self, len: usize) -> Chunk {
        let (file, at, delivery) = (Arc::clone(&self.file), self.at, self.delivery.clone());
        self.ways.extents.push(Extent { file, at, len, delivery });
        self.piece(Data::Extent, len)
    }

    fn chunk(&mut self, frame: Frame, count: usize) -> io::Result<Chunk> {
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.piece(Data::Frame(frame), count))
    }

    fn piece(&mut self, data: Data, len: usize) -> Chunk {
        self.at += len as u64;
        self.ways.extents.expect(self.end - self.at);
        Chunk { data, at: 0, end: len, delivery: self.delivery.clone() }
    }
}

impl Body for Payload {
    type Data = Chunk;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Chunk>, io::Error>>> {
        let this = self.get_mut();
        match this {
            Self::Done => Poll::Ready(None),
            Self::Memory(_) => match std::mem::replace(this, Self::Done) {
                Self::Memory(chunk) => Poll::Ready(Some(Ok(BodyFrame::data(chunk)))),
                _ => Poll::Ready(None),
            },
            Self::File(file) => {
                let read = ready!(file.poll_chunk(cx));
                if let (Err(error), Some(delivery)) = (&read, &file.delivery) {
                    delivery.fail(error);
                }
                if read.is_err() || file.at >= file.end {
                    *this = Self::Done;
                }
                Poll::Ready(Some(read.map(BodyFrame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Done => 0,
            Self::Memory(chunk) => chunk.remaining() as u64,
            Self::File(file) => file.end - file.at,
        })
    }
}

fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the file became shorter while it was sent",
        _ => "the file could not be read",
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.end - self.at
    }

    fn chunk(&self) -> &[u8] {
        let bytes: &[u8] = match &self.data {
            Data::Bytes(bytes) => bytes,
            Data::Frame(frame) => frame,
            Data::Extent => placeholder(self.end),
        };
        &bytes[self.at..self.end]
    }

    fn advance(&mut self, count: usize) {
        let count = count.min(self.remaining());
        self.at += count;
        if let Some(delivery) = &self.delivery {
            delivery.sent.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}
