//! The request port: judges datagrams and starts transfers.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bootlace_wire::tftp::{Admission, Limits, admit};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::link::Link;
use super::table::{Delivery, NoPlace, Table};
use super::task;
use super::threads::Threads;
use super::{AnswerFrom, Guest, Listener, Tftp};
use crate::counters::Counter;
use crate::net::{self, Arrived, Datagram, RecvBatch};

/// Pause after an error of the request port, such as an interface that is down: it would come again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// How long transfers under way may go on after the shutdown has begun.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Serves the request sockets until `shutdown` comes, then lets transfers that are under way finish for a while. An
/// error when a request socket cannot be served any more.
pub async fn serve(
    tftp: Tftp,
    listeners: Vec<Listener>,
    mut guests: mpsc::Receiver<Guest>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let threads = Threads::start()?;
    let table = Arc::new(Table::default());
    let mut ports = JoinSet::new();
    for (listener, thread) in listeners.into_iter().zip(threads.handles().cycle()) {
        let port = {
            let _in_thread = thread.enter();
            Port::new(tftp.clone(), listener, &threads, Arc::clone(&table))?
        };
        ports.spawn_on(Arc::new(port).listen(), thread);
    }
    let ended = async {
        match ports.join_next().await {
            Some(Ok(error)) => error,
            Some(Err(panic)) => io::Error::other(panic),
            // Without a request port there is nothing that could end.
            None => std::future::pending().await,
        }
    };
    let accommodated = async {
        while let Some(Guest { listener, end }) = guests.recv().await {
            let Some(thread) = threads.handles().next() else { break };
            let port = {
                let _in_thread = thread.enter();
                Port::new(tftp.clone(), listener, &threads, Arc::clone(&table))
            };
            match port {
                Ok(port) => drop(thread.spawn(Arc::new(port).listen_until(end))),
                Err(error) => tracing::warn!(%error, "a TFTP port cannot be served"),
            }
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        () = shutdown => {}
        error = ended => return Err(error),
        never = accommodated => match never {},
    }
    // The request ports go on: transfers may share them. What is not done in time ends with its thread.
    let _ = timeout(DRAIN_TIME_MAX, table.drain()).await;
    Ok(())
}

/// One request port.
pub(super) struct Port {
    pub(super) tftp: Tftp,
    pub(super) limits: Limits,
    socket: Arc<UdpSocket>,
    address: Ipv4Addr,
    table: Arc<Table>,
    /// Where transfers run, in turn.
    threads: Vec<Handle>,
    turn: AtomicUsize,
}

/// Who asked for what, and where.
pub(super) struct Opening {
    pub(super) request: Vec<u8>,
    pub(super) peer: SocketAddrV4,
    /// Our address that was asked.
    pub(super) local: Ipv4Addr,
}

impl Opening {
    /// Another request of the same client and port.
    pub(super) fn again(&self, request: Vec<u8>) -> Self {
        Self { request, peer: self.peer, local: self.local }
    }
}

impl Port {
    fn new(tftp: Tftp, listener: Listener, threads: &Threads, table: Arc<Table>) -> io::Result<Self> {
        let socket = UdpSocket::from_std(listener.socket.into_std())?;
        let threads = match tftp.answer_from {
            AnswerFrom::OwnPort => threads.handles().cloned().collect(),
            AnswerFrom::RequestPort => {
                net::allow_fragments(socket.as_fd())?;
                // Everything arrives here, so that another thread would have to be woken for each packet.
                vec![Handle::current()]
            }
        };
        Ok(Self {
            tftp,
            limits: Limits::for_mtu(listener.mtu),
            socket: Arc::new(socket),
            address: listener.address,
            table,
            threads,
            turn: AtomicUsize::new(0),
        })
    }

    /// What is under way when it ends goes on; only new requests are not heard any more.
    async fn listen_until(self: Arc<Self>, end: oneshot::Receiver<Infallible>) {
        tokio::select! {
            error = self.listen() => tracing::warn!(%error, "a TFTP port cannot be served any more"),
            _ = end => {}
        }
    }

    /// Never ends but with the event loop's own error.
    async fn listen(self: Arc<Self>) -> io::Error {
        let mut batch = RecvBatch::new();
        loop {
            if let Err(error) = self.socket.readable().await {
                return error;
            }
            match self.socket.try_io(Interest::READABLE, || batch.receive(self.socket.as_fd())) {
                Ok(_) => batch.iter().for_each(|arrived| self.take(&arrived)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::debug!(%error, "TFTP port");
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, arrived: &Arrived<'_>) {
        let counters = &self.tftp.counters;
        if !self.tftp.served.load().iter().any(|network| network.contains(*arrived.source.ip())) {
            counters.count(Counter::TftpForeign);
            return;
        }
        // Everybody would answer a request to everybody (RFC 1123, section 4.2.3.5).
        if arrived.destination != arrived.local {
            counters.count(Counter::TftpIgnored);
            return;
        }
        if self.table.deliver(arrived.source, arrived.bytes) == Delivery::Taken {
            return;
        }
        match admit(arrived.bytes, arrived.source.port()) {
            Admission::Serve(_) => {
                let local = if arrived.local.is_unspecified() { self.address } else { arrived.local };
                self.start(Opening { request: arrived.bytes.to_vec(), peer: arrived.source, local });
            }
            Admission::Refuse(refusal) => self.refuse(arrived, &refusal.packet()),
            Admission::Ignore(_) => counters.count(Counter::TftpIgnored),
        }
    }

    /// Starts a transfer for a read request, unless there are too many.
    pub(super) fn start(self: &Arc<Self>, opening: Opening) {
        let counters = &self.tftp.counters;
        let slot = match self.table.open(opening.peer) {
            Ok(slot) => slot,
            Err(NoPlace::Full | NoPlace::Stopping) => return counters.count(Counter::TftpFull),
            Err(NoPlace::ClientFull) => return counters.count(Counter::TftpClientFull),
        };
        let turn = self.turn.fetch_add(1, Relaxed) % self.threads.len();
        let thread = &self.threads[turn];
        let _in_thread = thread.enter();
        let link = match self.tftp.answer_from {
            AnswerFrom::OwnPort => Link::own_port(&opening, self.tftp.ports.as_ref(), slot),
            AnswerFrom::RequestPort => Ok(Link::request_port(Arc::clone(&self.socket), &opening, slot)),
        };
        match link {
            Ok(link) => drop(thread.spawn(task::run(Arc::clone(self), opening, link))),
            Err(error) => {
                counters.count(Counter::TftpNoSocket);
                tracing::debug!(%error, ip = %opening.peer.ip(), "no port for a TFTP transfer");
            }
        }
    }

    fn refuse(&self, arrived: &Arrived<'_>, packet: &[u8]) {
        let from = Some(arrived.local).filter(|ip| !ip.is_unspecified());
        let datagram = Datagram { bytes: packet, to: arrived.source, from, ifindex: arrived.ifindex };
        // Sent once: who misses it asks again.
        let _ = net::send(self.socket.as_fd(), &[datagram]);
    }
}
