//! What is told of sessions: to the log, the journal, and the session of the machine that boots from the disk.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bootlace_core::boot::disk::DiskId;
use bootlace_core::event::{DiskEvent, DiskStep, Event, EventKind, Peer};
use bootlace_core::model::Text;
use bootlace_wire::iscsi::Refusal;

use crate::hub::{self, Hub};

/// A session that goes on, and how much it has moved.
#[derive(Debug)]
pub(super) struct Told {
    began: Instant,
    target: Text,
    read: AtomicU64,
    written: AtomicU64,
}

impl Told {
    /// Tells that a session began.
    pub(super) fn begin(hub: &Hub, peer: SocketAddr, target: &str) -> Self {
        let target = Text::from(DiskId::shown(target));
        record(hub, peer, &target, DiskStep::LoggedIn);
        Self { began: Instant::now(), target, read: AtomicU64::new(0), written: AtomicU64::new(0) }
    }

    /// A command has read or written so many bytes.
    pub(super) fn moved(&self, read: usize, written: usize) {
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        self.written.fetch_add(written as u64, Ordering::Relaxed);
    }

    /// Tells that it has ended.
    pub(super) fn end(&self, hub: &Hub, peer: SocketAddr) {
        let [read, written] = [&self.read, &self.written].map(|bytes| bytes.load(Ordering::Relaxed));
        let took = self.began.elapsed();
        record(hub, peer, &self.target, DiskStep::Ended { read, written, took });
    }
}

/// Tells that an initiator does not get what it wants.
pub(super) fn refused(hub: &Hub, peer: SocketAddr, target: &str, refusal: Refusal) {
    let why = match refusal {
        Refusal::Authentication => "it did not prove who it is",
        Refusal::Forbidden => "it is another initiator's",
        Refusal::NotFound => "there is no such disk, or a newer one has taken its place",
        Refusal::Unavailable => "it cannot be used now",
        Refusal::OutOfResources => "there are too many sessions",
        _ => "its login is not as it has to be",
    };
    record(hub, peer, &Text::from(DiskId::shown(target)), DiskStep::Refused(why.to_owned()));
}

fn record(hub: &Hub, peer: SocketAddr, target: &Text, step: DiskStep) {
    let at = hub::now();
    let ip = match peer.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    };
    let peer = Peer { hw: ip.and_then(|ip| hub.who(ip, at)), ip };
    let kind = EventKind::Disk(DiskEvent { target: target.clone(), step });
    hub.record(Event { at, peer, kind });
}
