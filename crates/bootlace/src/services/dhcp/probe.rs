//! Asks the link who is on an address before it is offered for the first time, and keeps the DISCOVERs that wait for
//! that.
//!
//! The lease table says which addresses; ARP frames leave together, and answers come while the thread serves
//! others: nobody but a newcomer whose address was not foreseen waits for them. Only subnets of the server's own
//! links are asked. Behind a relay there would be ICMP echo, which tells no MAC, so that a machine that starts again
//! with its old address would look like a stranger; and the first echo to a host that a router does not know yet is
//! often lost while the router asks for it. There, clients find out themselves and decline.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_core::config::{Cidr, Config};
use bootlace_core::dhcp::{Conflict, LeaseTable};
use bootlace_core::event::{Event, EventKind, Peer};
use bootlace_core::model::Timestamp;
use bootlace_wire::dhcp::Message;
use bootlace_wire::{HwAddr, Mac, arp};

use crate::net::{ArpSocket, Interface};

/// DISCOVERs that wait for a probe at a time. Beyond it a client asks again, and then its address is probed.
pub const WAITING_MAX: usize = 1_024;
/// Probes that leave in one go: what a network card's queue holds beside other traffic.
const PROBE_BATCH_MAX: usize = 256;
/// From one full batch to the next.
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// Answers that are read of one link before others are served.
const ANSWERS_MAX: usize = 256;

/// A link that is asked.
pub struct ProbedLink {
    name: String,
    socket: ArpSocket,
    mac: Mac,
    networks: Vec<Cidr>,
}

impl ProbedLink {
    /// Opens the socket for an interface; `None` when it is no Ethernet. Needs CAP_NET_RAW.
    pub fn open(interface: &Interface) -> io::Result<Option<Self>> {
        let Some(mac) = interface.mac else { return Ok(None) };
        let networks = interface.addresses.iter().filter_map(|own| Cidr::new(own.ip, own.prefix)).collect();
        Ok(Some(Self {
            name: interface.name.clone(),
            socket: ArpSocket::bind(interface.index)?,
            mac,
            networks,
        }))
    }

    pub(super) fn socket(&self) -> &ArpSocket {
        &self.socket
    }

    fn reaches(&self, address: Ipv4Addr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// A DISCOVER that is decided when it is known whether somebody is on `address`.
pub(super) struct Waiting {
    pub(super) port: usize,
    pub(super) message: Message,
    pub(super) source: SocketAddrV4,
    pub(super) destination: Ipv4Addr,
    pub(super) address: Ipv4Addr,
}

/// The links, and who waits for them.
#[derive(Default)]
pub struct Prober {
    links: Vec<ProbedLink>,
    /// One of each client: who asks again means the same.
    waiting: BTreeMap<HwAddr, Waiting>,
}

impl Prober {
    /// Lets `table` know the subnets of `config` that are on these links.
    pub fn new(links: Vec<ProbedLink>, config: &Config, table: &mut LeaseTable) -> Self {
        let prober = Self { links, waiting: BTreeMap::new() };
        prober.watch(config, table);
        prober
    }

    /// The same after the config has changed.
    pub(super) fn watch(&self, config: &Config, table: &mut LeaseTable) {
        let asked = config.dhcp.subnets.iter().filter(|_| config.dhcp.probe).map(|subnet| subnet.cidr);
        table
            .watch(asked.filter(|cidr| self.links.iter().any(|link| link.reaches(cidr.network()))).collect());
    }

    /// An interface is another one, or has other addresses.
    pub(super) fn relink(&mut self, now: &Interface) {
        let Some(link) = self.links.iter_mut().find(|link| link.name == now.name) else { return };
        match ProbedLink::open(now) {
            Ok(Some(opened)) => *link = opened,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, interface = now.name, "addresses are not probed there any more");
            }
        }
    }

    pub(super) fn links(&self) -> &[ProbedLink] {
        &self.links
    }

    /// Keeps a DISCOVER for later. `false`: there are too many.
    pub(super) fn keep(&mut self, hw: HwAddr, waiting: Waiting) -> bool {
        let fits = self.waiting.len() < WAITING_MAX || self.waiting.contains_key(&hw);
        if fits {
            self.waiting.insert(hw, waiting);
        }
        fits
    }

    /// Nobody who came by a port of this number or a later one waits any more.
    pub(super) fn forget_ports(&mut self, from: usize) {
        self.waiting.retain(|_, waiting| waiting.port < from);
    }

    /// Takes the answers in. Returns who was found where he should not be.
    pub(super) fn hear(&self, table: &mut LeaseTable, now: Timestamp) -> Vec<(Conflict, HwAddr)> {
        let mut conflicts = Vec::new();
        for link in &self.links {
            let heard = link.socket.receive(ANSWERS_MAX, |frame| {
                let Some((address, mac)) = arp::reply(frame) else { return };
                let hw = HwAddr::from(mac);
                conflicts.extend(table.found(address, hw, now).map(|conflict| (conflict, hw)));
            });
            if let Err(error) = heard {
                tracing::debug!(%error, "ARP");
            }
        }
        conflicts
    }

    /// The DISCOVERs that need not wait any longer.
    pub(super) fn ready(&mut self, table: &LeaseTable) -> Vec<Waiting> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let ready = |_: &HwAddr, waiting: &mut Waiting| !table.awaits_probe(waiting.address);
        self.waiting.extract_if(.., ready).map(|(_, waiting)| waiting).collect()
    }

    /// Sends what is due. What the kernel does not take counts as sent: an address must not wait for ever, and
    /// clients look themselves before they use one.
    ///
    /// Returns how long the thread may sleep: not long when there is more to send, else until the next conclusion.
    pub(super) fn send(&self, table: &mut LeaseTable, now: Timestamp) -> Option<Duration> {
        if self.links.is_empty() {
            return None;
        }
        let due = table.due_probes(PROBE_BATCH_MAX);
        for link in &self.links {
            let frames = due.iter().filter(|address| link.reaches(**address));
            let frames: Vec<_> = frames.map(|address| arp::probe(link.mac, *address)).collect();
            let mut rest = &frames[..];
            while !rest.is_empty() {
                let sent = link.socket.send(rest).unwrap_or_else(|error| {
                    tracing::debug!(%error, "a probe was not sent");
                    0
                });
                rest = &rest[sent.max(1).min(rest.len())..];
            }
        }
        let full = due.len() >= PROBE_BATCH_MAX;
        for address in due {
            table.probed(address, now);
        }
        let next = table.probe_deadline().map(|deadline| deadline.since(now));
        if full { Some(PROBE_PAUSE) } else { next }
    }
}

/// The event of a conflict. It is nobody's boot.
pub(super) fn event(conflict: &Conflict, seen: HwAddr, at: Timestamp) -> Event {
    let (address, quarantined) = (conflict.address, conflict.change.is_some());
    let kind = EventKind::Conflict { address, seen, quarantined };
    Event { at, peer: Peer { hw: None, ip: Some(address) }, kind }
}
