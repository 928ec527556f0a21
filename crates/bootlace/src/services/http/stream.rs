//! A connection's bytes, watched: signs of life go out, and a client that takes nothing is given up.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use super::extents::{Extents, is_placeholder};
use super::limits::FRAME_BYTES;
use super::table::Pulse;

/// A TCP stream on which what was written has to be taken within a time.
pub(super) struct Watched {
    stream: TcpStream,
    /// What placeholders among the written bytes stand for.
    extents: Arc<Extents>,
    queue: Queue,
    pulse: Arc<Pulse>,
    patience: Duration,
    /// Runs from the first write that had to wait until everything written so far was taken, or a frame of it.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes that were taken since then.
    taken: usize,
}

/// Of TCP_NOTSENT_LOWAT: only the send buffer limits. Any smaller value also delays the awakening to when half
/// of it was sent.
const UNLIMITED: u32 = u32::MAX;

/// What the kernel may keep unsent of a connection.
pub(super) struct Queue {
    long: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    corked: bool,
}

impl Queue {
    /// Short, until there is something to send from the page cache and one of `long` is left.
    pub(super) fn new(long: Arc<Semaphore>) -> Self {
        Self { long, permit: None, corked: false }
    }

    /// Prepares for the kernel to send out of a file: whole segments only (TCP_CORK), since it would else send each
    /// 64 KiB that it reads as they are, which costs a third of the rate.
    fn prepare(&mut self, stream: &TcpStream) -> io::Result<()> {
        if self.permit.is_none()
            && let Ok(permit) = Arc::clone(&self.long).try_acquire_owned()
        {
            SockRef::from(stream).set_tcp_notsent_lowat(UNLIMITED)?;
            self.permit = Some(permit);
        }
        if !self.corked {
            SockRef::from(stream).set_tcp_cork(true)?;
            self.corked = true;
        }
        Ok(())
    }

    /// Lets a last segment go that is not full.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        if self.corked {
            SockRef::from(stream).set_tcp_cork(false)?;
            self.corked = false;
        }
        Ok(())
    }
}

impl Watched {
    pub(super) fn new(
        stream: TcpStream,
        extents: Arc<Extents>,
        queue: Queue,
        pulse: Arc<Pulse>,
        patience: Duration,
    ) -> Self {
        Self { stream, extents, queue, pulse, patience, deadline: None, taken: 0 }
    }

    /// Writes bytes up to the first placeholder, or what that stands for.
    fn poll_send(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bytes = bufs.iter().take_while(|buf| !is_placeholder(buf)).count();
        match bufs.get(bytes) {
            Some(placeholder) if bytes == 0 => self.poll_extent(cx, placeholder.len()),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, &bufs[..bytes]),
        }
    }

    fn poll_extent(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        self.queue.prepare(&self.stream)?;
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let send = || self.extents.send(self.stream.as_fd(), limit);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn watch(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(wrote) = wrote {
            self.pulse.beat();
            self.taken += wrote.as_ref().unwrap_or(&0);
            if self.taken >= FRAME_BYTES {
                self.restart();
            }
            return Poll::Ready(wrote);
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn restart(&mut self) {
        (self.deadline, self.taken) = (None, 0);
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.pulse.beat();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = this.poll_send(cx, &[IoSlice::new(buf)]);
        this.watch(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = this.poll_send(cx, bufs);
        this.watch(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when the kernel has taken all of a frame.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.restart();
        // A pause within a file lets the client empty its queue and fall asleep, and the scheduler often awakes it on
        // the processor that is busy sending: that costs up to half of the rate.
        if !this.extents.go_on() {
            this.queue.flush(&this.stream)?;
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
