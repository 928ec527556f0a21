//! The request port: judges datagrams and starts transfers.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bootlace_wire::tftp::{Admission, Limits, admit};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::link::{Incoming, Link};
use super::task::{self, Opening};
use super::{AnswerFrom, Listener, TRANSFERS_MAX, TRANSFERS_PER_CLIENT_MAX, Tftp};
use crate::net::{self, Arrived, Datagram, RecvBatch};

/// Datagrams that wait for a transfer's task; a window is acknowledged by one packet, so that more is noise.
const INCOMING_MAX: usize = 64;
/// Pause after a failed read.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// How long transfers under way may go on after the shutdown has begun.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Serves the request sockets until `shutdown` comes, then lets transfers that are under way finish for a while. An
/// error when a request socket cannot be served any more.
pub async fn serve(
    tftp: Tftp,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let live = Arc::new(Live::default());
    let mut tasks = JoinSet::new();
    for listener in listeners {
        let port = Port {
            tftp: tftp.clone(),
            socket: Arc::new(UdpSocket::from_std(listener.socket.into_std())?),
            limits: Limits::for_mtu(listener.mtu),
            address: listener.address,
            live: Arc::clone(&live),
        };
        tasks.spawn(port.listen());
    }
    tokio::select! {
        () = shutdown => {}
        Some(ended) = tasks.join_next() => return ended.map_err(io::Error::other)?,
    }
    live.lock().room = Room::Closed;
    // They may still need the request port, when they share it.
    let drained = async {
        while !live.lock().by_peer.is_empty() {
            live.ended.notified().await;
        }
    };
    // What is not done by then ends with the runtime.
    let _ = timeout(DRAIN_TIME_MAX, drained).await;
    tasks.shutdown().await;
    Ok(())
}

/// The transfers under way.
#[derive(Default)]
struct Live {
    transfers: Mutex<Transfers>,
    /// One has ended.
    ended: Notify,
}

#[derive(Default)]
struct Transfers {
    /// By the client's address and port.
    by_peer: HashMap<SocketAddrV4, mpsc::Sender<Incoming>>,
    /// How many each address has.
    of_client: HashMap<Ipv4Addr, usize>,
    room: Room,
}

/// Whether further transfers may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Room {
    #[default]
    Open,
    /// The server stops.
    Closed,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Transfers> {
        self.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transfers {
    /// Lists a transfer, unless there are too many.
    fn enter(&mut self, peer: SocketAddrV4, sender: mpsc::Sender<Incoming>) -> bool {
        let of_client = self.of_client.get(peer.ip()).copied().unwrap_or(0);
        let full = self.by_peer.len() >= TRANSFERS_MAX || of_client >= TRANSFERS_PER_CLIENT_MAX;
        if full || self.room == Room::Closed {
            return false;
        }
        if self.by_peer.insert(peer, sender).is_none() {
            self.of_client.insert(*peer.ip(), of_client + 1);
        }
        true
    }

    /// Takes a transfer off the list, unless a newer one of the same port stands there already.
    fn leave(&mut self, peer: SocketAddrV4, sender: &mpsc::Sender<Incoming>) {
        if !self.by_peer.get(&peer).is_some_and(|listed| listed.same_channel(sender)) {
            return;
        }
        self.by_peer.remove(&peer);
        match self.of_client.get_mut(peer.ip()) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.of_client.remove(peer.ip())),
        }
    }
}

/// Takes its transfer off the list, however the task ends.
pub(super) struct Registration {
    live: Arc<Live>,
    peer: SocketAddrV4,
    sender: mpsc::Sender<Incoming>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.live.lock().leave(self.peer, &self.sender);
        self.live.ended.notify_one();
    }
}

struct Port {
    tftp: Tftp,
    socket: Arc<UdpSocket>,
    limits: Limits,
    address: Ipv4Addr,
    live: Arc<Live>,
}

impl Port {
    /// Ends only when the socket cannot be waited for any more.
    async fn listen(self) -> io::Result<()> {
        let mut batch = RecvBatch::new();
        loop {
            self.socket.readable().await?;
            match self.socket.try_io(Interest::READABLE, || batch.receive(self.socket.as_fd())) {
                Ok(_) => batch.iter().for_each(|arrived| self.take(arrived)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An error of an earlier send to somebody gone, or the interface is down. It must not come so often
                // that nothing else is done.
                Err(error) => {
                    tracing::debug!(%error, "TFTP port");
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, arrived: Arrived<'_>) {
        let counters = &self.tftp.counters;
        if !self.tftp.served.iter().any(|network| network.contains(*arrived.source.ip())) {
            counters.foreign.fetch_add(1, Relaxed);
            return;
        }
        let sender = self.live.lock().by_peer.get(&arrived.source).cloned();
        if let Some(sender) = sender {
            // A full queue loses a packet, as the network may.
            if sender.try_send(Incoming(arrived.bytes.to_vec())).is_ok() {
                return;
            }
        }
        match admit(arrived.bytes, arrived.source.port()) {
            Admission::Serve(_) => self.start(&arrived),
            Admission::Refuse(refusal) => self.answer(&arrived, &refusal.packet()),
            Admission::Ignore(_) => {
                counters.ignored.fetch_add(1, Relaxed);
            }
        }
    }

    fn start(&self, arrived: &Arrived<'_>) {
        let (sender, receiver) = mpsc::channel(INCOMING_MAX);
        if !self.live.lock().enter(arrived.source, sender.clone()) {
            self.tftp.counters.beyond_limit.fetch_add(1, Relaxed);
            return;
        }
        let registration = Registration { live: Arc::clone(&self.live), peer: arrived.source, sender };
        let local = if arrived.local.is_unspecified() { self.address } else { arrived.local };
        let link = match self.tftp.answer_from {
            AnswerFrom::OwnPort => Link::own_port(local, arrived.source, self.tftp.ports.as_ref(), receiver),
            AnswerFrom::RequestPort => {
                Ok(Link::request_port(Arc::clone(&self.socket), local, arrived.source, receiver))
            }
        };
        match link {
            Ok(link) => {
                let opening = Opening {
                    request: arrived.bytes.to_vec(),
                    peer: arrived.source,
                    local,
                    limits: self.limits,
                    resolver: Arc::clone(&self.tftp.resolver),
                };
                tokio::spawn(task::run(opening, link, registration));
            }
            Err(error) => tracing::warn!(%error, ip = %arrived.source.ip(), "no socket for a TFTP transfer"),
        }
    }

    fn answer(&self, arrived: &Arrived<'_>, packet: &[u8]) {
        let from = Some(arrived.local).filter(|ip| !ip.is_unspecified());
        let datagram = Datagram { bytes: packet, to: arrived.source, from, ifindex: arrived.ifindex };
        // Sent once: who misses it asks again.
        let _ = net::send(self.socket.as_fd(), &[datagram]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_each_client_and_come_back() {
        let mut transfers = Transfers::default();
        let peer = |client, port| SocketAddrV4::new(Ipv4Addr::new(10, 188, 0, client), port);
        let sender = || mpsc::channel(1).0;
        let senders: Vec<_> = (0..TRANSFERS_PER_CLIENT_MAX as u16).map(|port| (port, sender())).collect();
        for (port, sender) in &senders {
            assert!(transfers.enter(peer(1, *port), sender.clone()));
        }
        assert!(!transfers.enter(peer(1, 999), sender()), "one client too many");
        assert!(transfers.enter(peer(2, 999), sender()), "but not for another");
        transfers.leave(peer(1, 0), &sender());
        assert!(!transfers.enter(peer(1, 999), sender()), "that was not the one that is listed");
        for (port, sender) in &senders {
            transfers.leave(peer(1, *port), sender);
        }
        assert_eq!(transfers.of_client.get(peer(1, 0).ip()), None);
        assert!(transfers.enter(peer(1, 999), sender()));
        transfers.room = Room::Closed;
        assert!(!transfers.enter(peer(3, 1), sender()), "the server stops");
    }
}
