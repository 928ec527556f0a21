//! All connections: how many there may be, and how they are ended.

use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limits::{CONNECTIONS_MAX, LOGINS_PER_CLIENT_MAX};
use crate::counters::{Counter, Counters};

/// The connections of the service.
#[derive(Debug)]
pub(super) struct Table {
    counters: Arc<Counters>,
    inner: Mutex<Inner>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: HashMap<u64, TcpStream>,
    logins: HashMap<IpAddr, usize>,
    stopping: bool,
}

/// A connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Table>,
    key: u64,
    peer: SocketAddr,
    logs_in: bool,
}

impl Table {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, inner: Mutex::default(), left: Condvar::new() }
    }

    /// Takes a place; `None` when there is none, for all or for this address.
    pub(super) fn enter(self: &Arc<Self>, stream: &TcpStream, peer: SocketAddr) -> Option<Place> {
        let handle = stream.try_clone().ok()?;
        let mut inner = self.inner();
        if inner.stopping {
            return None;
        }
        if inner.open.len() >= CONNECTIONS_MAX {
            self.counters.count(Counter::IscsiFull);
            return None;
        }
        let logins = inner.logins.entry(peer.ip()).or_default();
        if *logins >= LOGINS_PER_CLIENT_MAX {
            self.counters.count(Counter::IscsiClientFull);
            return None;
        }
        *logins += 1;
        let key = inner.next;
        inner.next += 1;
        inner.open.insert(key, handle);
        Some(Place { table: Arc::clone(self), key, peer, logs_in: true })
    }

    /// Whether [`Self::stop`] was called.
    pub(super) fn stopping(&self) -> bool {
        self.inner().stopping
    }

    /// Lets no connection in any more, and has those that are there end: their threads see the end of what they
    /// receive once they have done what they have.
    pub(super) fn stop(&self) {
        let mut inner = self.inner();
        inner.stopping = true;
        for stream in inner.open.values() {
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// Waits until no connection is left, at most so long.
    pub(super) fn wait_empty(&self, time: Duration) {
        let inner = self.inner();
        let waited = self.left.wait_timeout_while(inner, time, |inner| !inner.open.is_empty());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// It is no login any more.
    pub(super) fn logged_in(&mut self) {
        if std::mem::take(&mut self.logs_in) {
            self.table.inner().forget_login(self.peer.ip());
        }
    }
}

impl Inner {
    fn forget_login(&mut self, peer: IpAddr) {
        if let Some(count) = self.logins.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.logins.remove(&peer);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.logged_in();
        self.table.inner().open.remove(&self.key);
        self.table.left.notify_all();
    }
}
