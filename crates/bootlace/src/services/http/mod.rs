//! The HTTP server of the boot port: files and scripts for firmware, loaders, kernels and installers.
//!
//! HTTP/1.0 and 1.1, GET and HEAD. hyper parses and writes; the accept loop, the limits ([`limits`]), the
//! conditions and ranges and the reading of files are ours. No thread waits for a client or a disk on a
//! client's behalf: a frame is read when the kernel has taken the one before.

mod answer;
mod body;
mod extents;
mod frames;
pub mod limits;
mod range;
mod stream;
mod table;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::answer::{Ends, answer};
use self::body::Ways;
use self::extents::Extents;
use self::frames::Frames;
use self::limits::{
    ACCEPT_PAUSE, CONNECTIONS_MAX, CONNECTIONS_PER_CLIENT_MAX, DRAIN_TIME_MAX, FRAME_TIME_MAX,
    HEAD_BYTES_MAX, HEAD_TIME_MAX, HEADERS_MAX, LONG_QUEUES_MAX, STILL_MIN, UNSENT_BYTES_MAX,
};
use self::stream::{Queue, Watched};
use self::table::{Place, Places, Table};
use crate::counters::{Counter, Counters};
use crate::resolver::Resolver;

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the whole head of a request.
    pub head: Duration,
    /// Without progress in an answer.
    pub frame: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: HEAD_TIME_MAX, frame: FRAME_TIME_MAX }
    }
}

/// What the boot port serves.
pub struct BootHttp {
    resolver: Arc<Resolver>,
    frames: Arc<Frames>,
    table: Arc<Table>,
    long_queues: Arc<Semaphore>,
    patience: Patience,
    counters: Arc<Counters>,
}

impl BootHttp {
    /// One for all listeners: they share their limits.
    pub fn new(resolver: Arc<Resolver>, counters: Arc<Counters>) -> Self {
        let limits = Places { all: CONNECTIONS_MAX, of_client: CONNECTIONS_PER_CLIENT_MAX };
        let table = Arc::new(Table::new(limits, STILL_MIN, Arc::clone(&counters)));
        let long_queues = Arc::new(Semaphore::new(LONG_QUEUES_MAX));
        Self { resolver, frames: Arc::default(), table, long_queues, patience: Patience::default(), counters }
    }

    /// The same with other times.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }
}

impl BootHttp {
    /// Notes how a connection ended, if that was by a limit.
    fn count(&self, ended: hyper::Result<()>) {
        let Err(error) = ended else { return };
        if error.is_timeout() {
            self.counters.count(Counter::HttpSlowHead);
        } else if error.is_parse() {
            self.counters.count(Counter::HttpBadHead);
        } else if is_stalled(&error) {
            self.counters.count(Counter::HttpStalled);
        }
    }
}

/// What [`Watched`] says of a client that takes nothing.
fn is_stalled(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// Serves until `shutdown` ends, then lets running answers finish for a while.
pub async fn serve(listener: TcpListener, http: Arc<BootHttp>, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    let (stopping, stop) = watch::channel(());
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // A connection's end is nobody's news; taking it here frees what the set keeps of it.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(ends) = ends(&stream, peer) else { continue };
                    // Without a place it is closed, which makes the client try again.
                    if let Some(place) = http.table.enter(*ends.peer.ip()) {
                        connections.spawn(connection(stream, ends, place, Arc::clone(&http), stop.clone()));
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    // They wait for a change or for the end of the sender.
    drop(stopping);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is not done by then is aborted with the set.
    let _ = timeout(DRAIN_TIME_MAX, drained).await;
}

/// `None` when the client is gone already, or has no IPv4 address.
fn ends(stream: &TcpStream, peer: SocketAddr) -> Option<Ends> {
    // Answers are written in large pieces, and the last small one must not wait for an acknowledgement.
    stream.set_nodelay(true).ok()?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX).ok()?;
    match (peer, stream.local_addr().ok()?) {
        (SocketAddr::V4(peer), SocketAddr::V4(local)) => Some(Ends { peer, local }),
        _ => None,
    }
}

/// The client was gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn connection(
    stream: TcpStream,
    ends: Ends,
    place: Place,
    http: Arc<BootHttp>,
    mut stop: watch::Receiver<()>,
) {
    let extents = Arc::<Extents>::default();
    let queue = Queue::new(Arc::clone(&http.long_queues));
    let stream = Watched::new(stream, Arc::clone(&extents), queue, place.pulse(), http.patience.frame);
    let stream = TokioIo::new(stream);
    let service = service_fn(|request| {
        let http = Arc::clone(&http);
        let ways = Ways { extents: Arc::clone(&extents), frames: Arc::clone(&http.frames) };
        async move { Ok::<_, Infallible>(answer(&http, ends, ways, &request).await) }
    });
    let connection = http1::Builder::new()
        // GRUB compares header names with their usual case.
        .title_case_headers(true)
        // Placeholders of files must not be copied with other bytes.
        .writev(true)
        .timer(TokioTimer::new())
        .header_read_timeout(http.patience.head)
        .max_headers(HEADERS_MAX)
        // Also what may be queued before the socket has to take it: one frame at a time.
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    tokio::select! {
        // How a download ended is in its event.
        ended = connection.as_mut() => return http.count(ended),
        () = place.evicted() => return,
        _ = stop.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
