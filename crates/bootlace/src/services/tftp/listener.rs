//! The request port: judges datagrams and starts transfers.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bootlace_wire::tftp::{Admission, Limits, admit};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::link::{Incoming, Link};
use super::task::{self, Opening};
use super::{AnswerFrom, Listener, TRANSFERS_MAX, TRANSFERS_PER_CLIENT_MAX, Tftp};
use crate::net::{self, Arrived, Datagram, RecvBatch};

/// Datagrams that wait for a transfer's task; a window is acknowledged by one packet, so that more is noise.
const INCOMING_MAX: usize = 64;

/// Serves the request sockets until `shutdown` comes; transfers that are under way then end with it.
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
    shutdown.await;
    tasks.shutdown().await;
    Ok(())
}

/// The transfers under way, by the client's address and port.
#[derive(Default)]
struct Live {
    transfers: Mutex<HashMap<SocketAddrV4, mpsc::Sender<Incoming>>>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddrV4, mpsc::Sender<Incoming>>> {
        self.transfers.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut transfers = self.live.lock();
        // A newer transfer of the same port may stand there already.
        if transfers.get(&self.peer).is_some_and(|sender| sender.same_channel(&self.sender)) {
            transfers.remove(&self.peer);
        }
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
    async fn listen(self) {
        let mut batch = RecvBatch::new();
        loop {
            if let Err(error) = self.socket.readable().await {
                tracing::error!(%error, "TFTP port cannot be read any more");
                return;
            }
            match self.socket.try_io(Interest::READABLE, || batch.receive(self.socket.as_fd())) {
                Ok(_) => batch.iter().for_each(|arrived| self.take(arrived)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An error of the socket is one of an earlier send to somebody gone: nothing to do.
                Err(error) => tracing::debug!(%error, "TFTP port"),
            }
        }
    }

    fn take(&self, arrived: Arrived<'_>) {
        let counters = &self.tftp.counters;
        if !self.tftp.served.iter().any(|network| network.contains(*arrived.source.ip())) {
            counters.foreign.fetch_add(1, Relaxed);
            return;
        }
        let sender = self.live.lock().get(&arrived.source).cloned();
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
        let mut transfers = self.live.lock();
        let of_client =
            transfers.keys().filter(|peer| peer.ip() == arrived.source.ip()).take(TRANSFERS_PER_CLIENT_MAX);
        if transfers.len() >= TRANSFERS_MAX || of_client.count() >= TRANSFERS_PER_CLIENT_MAX {
            self.tftp.counters.beyond_limit.fetch_add(1, Relaxed);
            return;
        }
        let (sender, receiver) = mpsc::channel(INCOMING_MAX);
        transfers.insert(arrived.source, sender.clone());
        let registration = Registration { live: Arc::clone(&self.live), peer: arrived.source, sender };
        drop(transfers);
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
