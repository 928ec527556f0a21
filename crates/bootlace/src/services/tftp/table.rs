//! The transfers under way: which client has one, and how many there may be.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::{TRANSFERS_MAX, TRANSFERS_PER_CLIENT_MAX};

/// Datagrams that wait for a transfer's task. A window is acknowledged by one packet, so that more is noise.
const INCOMING_MAX: usize = 64;

/// All transfers of the service.
#[derive(Default)]
pub(super) struct Table {
    state: Mutex<State>,
    /// A transfer has ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// Who gets what comes from this address and port to the request port: its newest transfer.
    newest: HashMap<SocketAddrV4, mpsc::Sender<Vec<u8>>>,
    of_client: HashMap<Ipv4Addr, usize>,
    all: usize,
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

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Its transfer has it, or was too busy: then it is lost, as the network may lose it.
    Taken,
    /// Its sender has no transfer.
    NoTransfer,
}

/// Why no further transfer begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// [`TRANSFERS_MAX`] are under way.
    Full,
    /// Its address has [`TRANSFERS_PER_CLIENT_MAX`].
    ClientFull,
    /// The server stops.
    Stopping,
}

/// The place of one transfer; free again when this is dropped, however the task ends.
pub(super) struct Slot {
    table: Arc<Table>,
    peer: SocketAddrV4,
    sender: mpsc::Sender<Vec<u8>>,
    incoming: mpsc::Receiver<Vec<u8>>,
}

impl Table {
    /// Hands a datagram from the request port to the transfer that its sender has.
    pub(super) fn deliver(&self, peer: SocketAddrV4, bytes: &[u8]) -> Delivery {
        match self.lock().newest.get(&peer) {
            Some(sender) => {
                let _ = sender.try_send(bytes.to_vec());
                Delivery::Taken
            }
            None => Delivery::NoTransfer,
        }
    }

    /// A place for another transfer of `peer`, which from now on gets what comes to the request port.
    pub(super) fn open(self: &Arc<Self>, peer: SocketAddrV4) -> Result<Slot, NoPlace> {
        let (sender, incoming) = mpsc::channel(INCOMING_MAX);
        let mut state = self.lock();
        let of_client = state.of_client.get(peer.ip()).copied().unwrap_or(0);
        if state.room == Room::Closed {
            return Err(NoPlace::Stopping);
        }
        if of_client >= TRANSFERS_PER_CLIENT_MAX {
            return Err(NoPlace::ClientFull);
        }
        if state.all >= TRANSFERS_MAX {
            return Err(NoPlace::Full);
        }
        state.all += 1;
        state.of_client.insert(*peer.ip(), of_client + 1);
        state.newest.insert(peer, sender.clone());
        drop(state);
        Ok(Slot { table: Arc::clone(self), peer, sender, incoming })
    }

    /// Lets no transfer begin any more, and waits for the end of the last.
    pub(super) async fn drain(&self) {
        self.lock().room = Room::Closed;
        while self.lock().all > 0 {
            self.ended.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Waits for a datagram that came to the request port.
    pub(super) async fn receive(&mut self) -> Vec<u8> {
        match self.incoming.recv().await {
            Some(bytes) => bytes,
            // Never so, as `sender` is ours.
            None => std::future::pending().await,
        }
    }

    /// What came and was not received; `None` when that was all, and from then on nothing comes any more.
    /// Under one lock, so that no request falls between a transfer that ends and the next one.
    pub(super) fn close(&mut self) -> Option<Vec<u8>> {
        let table = Arc::clone(&self.table);
        let mut state = table.lock();
        if let Ok(bytes) = self.incoming.try_recv() {
            return Some(bytes);
        }
        self.forget(&mut state);
        None
    }

    fn forget(&self, state: &mut State) {
        // A newer transfer may stand there already.
        if state.newest.get(&self.peer).is_some_and(|sender| sender.same_channel(&self.sender)) {
            state.newest.remove(&self.peer);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        self.forget(&mut state);
        state.all = state.all.saturating_sub(1);
        match state.of_client.get_mut(self.peer.ip()) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                state.of_client.remove(self.peer.ip());
            }
        }
        drop(state);
        self.table.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u32, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 + host), port)
    }

    #[test]
    fn datagrams_go_to_the_newest_transfer_of_a_port() {
        let table = Arc::new(Table::default());
        assert_eq!(table.deliver(peer(1, 1000), b"x"), Delivery::NoTransfer);
        let mut old = table.open(peer(1, 1000)).unwrap();
        let mut new = table.open(peer(1, 1000)).unwrap();
        assert_eq!(table.deliver(peer(1, 1000), b"x"), Delivery::Taken);
        assert_eq!(old.close(), None);
        assert_eq!(new.close().as_deref(), Some(&b"x"[..]), "the end of the old one takes nothing away");
        assert_eq!(new.close(), None);
        assert_eq!(table.deliver(peer(1, 1000), b"x"), Delivery::NoTransfer);
    }

    #[test]
    fn a_busy_transfer_loses_packets_and_no_second_one_takes_its_place() {
        let table = Arc::new(Table::default());
        let mut slot = table.open(peer(1, 1000)).unwrap();
        for _ in 0..INCOMING_MAX + 10 {
            assert_eq!(table.deliver(peer(1, 1000), b"x"), Delivery::Taken);
        }
        assert_eq!(std::iter::from_fn(|| slot.close()).count(), INCOMING_MAX);
    }

    #[test]
    fn limits_hold_for_a_client_and_for_all_and_places_come_back() {
        let table = Arc::new(Table::default());
        let port = |n: usize| 1000 + n as u16;
        let mut slots: Vec<Slot> =
            (0..TRANSFERS_PER_CLIENT_MAX).map(|n| table.open(peer(1, port(n))).unwrap()).collect();
        assert_eq!(table.open(peer(1, 9999)).err(), Some(NoPlace::ClientFull));
        slots.pop();
        slots.push(table.open(peer(1, 9999)).unwrap());
        for n in TRANSFERS_PER_CLIENT_MAX..TRANSFERS_MAX {
            let host = 2 + n / TRANSFERS_PER_CLIENT_MAX;
            slots.push(table.open(peer(host as u32, port(n))).unwrap());
        }
        assert_eq!(table.open(peer(99_999, 1000)).err(), Some(NoPlace::Full));
        drop(slots);
        let state = table.lock();
        assert_eq!((state.all, state.of_client.len(), state.newest.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn draining_waits_for_the_last_and_lets_nobody_in() {
        let table = Arc::new(Table::default());
        let slot = table.open(peer(1, 1000)).unwrap();
        let draining = tokio::spawn({
            let table = Arc::clone(&table);
            async move { table.drain().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(table.open(peer(2, 1000)).err(), Some(NoPlace::Stopping));
        assert!(!draining.is_finished());
        drop(slot);
        draining.await.unwrap();
    }
}
