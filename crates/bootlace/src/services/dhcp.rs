//! The DHCP service: one thread that owns the lease table and its store.
//!
//! Batch in, decisions, what promises nothing out, one commit, the promises out. While a commit waits for the disk the
//! kernel queues the next batch, so that the number of commits follows the disk and not the number of packets. A
//! commit that fails sends no promise: no address is granted that a power loss could take back (invariant 2).

mod alarm;
mod clock;
mod crowd;
mod lessons;
mod orders;
mod outage;
mod port;
mod probe;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bootlace_core::dhcp::{
    AlmostFull, Decision, LeaseChange, LeaseTable, Notice, Received, SessionView, classify, decide,
};
use bootlace_core::event::{DhcpAnswer, DhcpEvent, Event, EventKind, Peer};
use bootlace_core::model::Timestamp;
use bootlace_core::oneshot::Offered;
use bootlace_store::{Commit, Store};
use bootlace_wire::dhcp::Message;
use bootlace_wire::{HwAddr, Mac};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use self::clock::{CLOCK_CHECK, HostClock};
use self::crowd::Crowd;
use self::lessons::Lessons;
use self::orders::Mail;
pub use self::orders::{Inbox, Order, Orders, orders};
use self::outage::{Outage, relies_on_leases, withheld};
pub use self::port::{Ear, Port};
use self::port::{Outgoing, Place, log_received};
use self::probe::Waiting;
pub use self::probe::{ProbedLink, Prober, WAITING_MAX};
pub use self::watch::Neighbourhood;
use crate::counters::Counter;
use crate::hub::{Held, Hub};
use crate::net::{Datagram, Frame, PacketSocket, RECV_BATCH_MAX, RecvBatch};
use crate::serving::Serving;

/// Pause after a failed read.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// Full batches of one interface that one commit takes: in a storm, waiting for the disk costs more than deciding. Their
/// answers leave at once, so more would overrun whoever takes them all: a relay's default socket buffer holds some 160.
const BATCHES_MAX: usize = 2;

/// What the thread owns.
pub struct Dhcp {
    /// Where requests come from.
    pub ports: Vec<Port>,
    /// For clients without an address.
    pub frames: PacketSocket,
    /// Who asks the links before an address is offered for the first time.
    pub prober: Prober,
    /// Config and loaders, swapped whole.
    pub serving: Arc<ArcSwap<Serving>>,
    /// What time it is for leases.
    pub clock: HostClock,
    /// Who else is there.
    pub neighbourhood: Neighbourhood,
    /// Every lease.
    pub table: LeaseTable,
    /// Its durable log.
    pub store: Store,
    /// Sessions, journal, who has which address.
    pub hub: Arc<Hub>,
    /// What to do beside serving, and when to end.
    pub inbox: Inbox,
}

/// A decision on its way out.
struct Pending {
    port: usize,
    hw: HwAddr,
    at: Timestamp,
    reply: Option<Outgoing>,
    /// The reply grants what `settle` has yet to store. Offers and refusals need not wait for the disk.
    promises: bool,
    event: DhcpEvent,
}

/// Where a message came from.
struct Origin {
    port: usize,
    /// The sender of its frame, where that is known.
    station: Option<Mac>,
}

/// What decisions are made by, and where they go.
struct Round<'a> {
    serving: &'a Serving,
    now: Timestamp,
    pending: &'a mut Vec<Pending>,
    changes: &'a mut Vec<LeaseChange>,
}

impl Dhcp {
    /// Serves until the other end of the inbox is dropped.
    pub fn run(mut self) -> io::Result<()> {
        let mut in_force = self.serving.load_full();
        let (mut batch, mut voices) = (RecvBatch::new(), RecvBatch::new());
        let mut outage = Outage::default();
        let mut lessons = Lessons::default();
        // What a commit that failed has left: the table knows it, so it goes first into the next one.
        let mut changes = Vec::new();
        // Used again: so many decisions are large enough that the allocator would give them back to the kernel.
        let mut pending = Vec::new();
        let mut crowd = Crowd::new(Instant::now());
        let mut pause = self.prober.send(&mut self.table, self.clock.now());
        loop {
            let now = self.clock.now();
            self.neighbourhood.ask(&self.ports, &self.frames, now);
            let pauses = [pause, self.neighbourhood.pause(now), lessons.pause()];
            let pause_max = pauses.into_iter().flatten().fold(CLOCK_CHECK, Duration::min);
            let Some(ready) = self.wait(pause_max, &mut lessons)? else { return self.end() };
            self.follow_clock(&mut changes);
            let behind = !changes.is_empty() || self.clock.unstored().is_some();
            self.follow_config(&mut in_force);
            lessons.expire(&self.hub, in_force.config.learn.expire);
            if let (Some(pause), false) = (crowd.pause(), ready.is_empty()) {
                thread::sleep(pause);
            }
            for port in ready {
                for _ in 0..BATCHES_MAX {
                    let count = self.receive(port, &mut batch);
                    self.hear_stations(port, &mut voices);
                    self.decide(port, &in_force, &batch, &mut pending, &mut changes);
                    if count < RECV_BATCH_MAX {
                        break;
                    }
                }
            }
            self.decide_probed(&in_force, &mut pending, &mut changes);
            // Before the wait for the disk: probes take their own time.
            pause = self.prober.send(&mut self.table, self.clock.now());
            if behind {
                // Whoever cannot store leases attracts nobody.
                let answered = pending.iter_mut().filter(|pending| pending.reply.is_some());
                answered.for_each(|pending| pending.promises |= relies_on_leases(&pending.event));
            }
            crowd.heard(pending.len(), Instant::now());
            changes = self.settle(&mut pending, changes, &mut outage, &mut lessons);
        }
    }

    /// The last lessons are worth a commit.
    fn end(&mut self) -> io::Result<()> {
        let learned = self.hub.lessons();
        if let Err(error) = self.store.commit_all(&Commit { learned: &learned, ..Commit::default() }) {
            tracing::warn!(%error, "the last that boots taught is lost");
        }
        Ok(())
    }

    /// When the clock was set, every lease moves with it. `changes` are all leases then: what has yet to be stored of
    /// them was decided by the former clock.
    fn follow_clock(&mut self, changes: &mut Vec<LeaseChange>) {
        let Some(step) = self.clock.follow() else { return };
        let moved = self.table.shift(step);
        clock::tell(step, moved.len());
        changes.extend(moved);
    }

    /// A config that was swapped in counts from the next batch on, for decisions and table alike: a subnet is an
    /// index that both must mean the same by.
    fn follow_config(&mut self, in_force: &mut Arc<Serving>) {
        let newest = self.serving.load_full();
        if !Arc::ptr_eq(in_force, &newest) {
            self.prober.watch(&newest.config, &mut self.table);
            self.table.reconfigure(&newest.config);
            *in_force = newest;
        }
    }

    /// How many datagrams came.
    fn receive(&self, port: usize, batch: &mut RecvBatch) -> usize {
        let port = &self.ports[port];
        match batch.receive(port.as_fd()) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            // Whatever it is, it must not come so often that nothing else is done.
            Err(error) => {
                tracing::warn!(%error, interface = port.interface.name, "DHCP port");
                thread::sleep(ERROR_PAUSE);
                0
            }
        }
    }

    /// Before what came to a server's port is decided: who of it was another station's voice. It is asked only where
    /// there was one lately; the first one is noticed a moment later.
    fn hear_stations(&mut self, port: usize, voices: &mut RecvBatch) {
        let now = self.clock.now();
        let Port { interface, ear: Ear::Server(_), .. } = &self.ports[port] else { return };
        if !self.table.expects_other_voices(now) {
            return;
        }
        let is_here =
            |other: &Port| matches!(other.ear, Ear::Stations(_)) && other.interface.index == interface.index;
        let Some(stations) = self.ports.iter().position(is_here) else { return };
        // No more than what came to the port, and what others have sent since.
        for _ in 0..=BATCHES_MAX {
            let count = self.receive(stations, voices);
            self.note_voices(stations, voices, now);
            if count < RECV_BATCH_MAX {
                return;
            }
        }
    }

    fn note_voices(&mut self, stations: usize, voices: &RecvBatch, now: Timestamp) {
        for arrived in voices.iter() {
            let heard = self.ports[stations].hear(&arrived);
            if let Some(message) = heard.and_then(|heard| Message::decode(heard.bytes).ok()) {
                self.table.spoken_for(message.hw, message.xid, now);
            }
        }
    }

    /// The ports with datagrams, at the latest after `pause`; `None` at the end.
    fn wait(&mut self, pause: Duration, lessons: &mut Lessons) -> io::Result<Option<Vec<usize>>> {
        let mut fds: Vec<PollFd<'_>> =
            self.ports.iter().map(|port| PollFd::new(port, PollFlags::IN)).collect();
        fds.extend(self.prober.links().iter().map(|link| PollFd::new(link.socket(), PollFlags::IN)));
        fds.push(PollFd::new(&self.inbox, PollFlags::IN));
        let pause = Timespec::try_from(pause).ok();
        match poll(&mut fds, pause.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(Some(Vec::new())),
            done => done?,
        };
        let mail = fds.pop().is_some_and(|inbox| !inbox.revents().is_empty());
        let ports = fds.iter().take(self.ports.len());
        let ready = ports.enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(at, _)| at);
        let mut ready: Vec<usize> = ready.collect();
        if mail {
            match self.inbox.take() {
                Mail::End => return Ok(None),
                Mail::Orders(orders) => orders.into_iter().for_each(|order| self.obey(order, lessons)),
            }
            ready.retain(|at| *at < self.ports.len());
        }
        Ok(Some(ready))
    }

    fn obey(&mut self, order: Order, lessons: &mut Lessons) {
        match order {
            Order::Interface(now) => {
                self.prober.relink(&now);
                let ports = self.ports.iter_mut().filter(|port| port.place == Place::Interface);
                ports.filter(|port| port.interface.name == now.name).for_each(|port| port.relink(&now));
            }
            // It is followed before the next decision.
            Order::Config => {}
            Order::StandIn(ports) => {
                // They are the last ones: the numbers of the others stay.
                self.ports.retain(|port| port.place == Place::Interface);
                self.prober.forget_ports(self.ports.len());
                self.ports.extend(ports);
                self.ports = self.neighbourhood.follow(std::mem::take(&mut self.ports));
            }
            Order::Lessons => lessons.told(),
            Order::Keep(answer) => lessons.asked(answer),
            // Whoever asked may be gone.
            Order::Turn(answer) => drop(answer.send(())),
        }
    }

    fn decide(
        &mut self,
        port: usize,
        serving: &Serving,
        batch: &RecvBatch,
        pending: &mut Vec<Pending>,
        changes: &mut Vec<LeaseChange>,
    ) {
        let now = self.clock.now();
        if let Ear::Stations(_) = self.ports[port].ear {
            return self.note_voices(port, batch, now);
        }
        let mut received = received(&self.ports[port]);
        for arrived in batch.iter() {
            let heard = self.ports[port].hear(&arrived);
            let decoded =
                heard.and_then(|heard| Message::decode(heard.bytes).ok().map(|message| (heard, message)));
            let Some((heard, message)) = decoded else {
                self.hub.counters().count(Counter::DhcpMalformed);
                continue;
            };
            log_received(&message, heard.source);
            if let Ear::Watch(_) = self.ports[port].ear {
                self.neighbourhood.answered(&serving.config, &self.ports, port, &message);
                continue;
            }
            received.source = heard.source;
            received.destination = heard.destination;
            let round = Round { serving, now, pending, changes };
            self.decide_one(Origin { port, station: heard.station }, message, &received, round);
        }
    }

    /// What was found out about addresses decides for those who waited for it.
    fn decide_probed(
        &mut self,
        serving: &Serving,
        pending: &mut Vec<Pending>,
        changes: &mut Vec<LeaseChange>,
    ) {
        let now = self.clock.now();
        for (conflict, seen) in self.prober.hear(&mut self.table, now) {
            if conflict.change.is_none() {
                self.hub.counters().count(Counter::DhcpQuarantineFull);
            }
            self.hub.record(probe::event(&conflict, seen, now));
            changes.extend(conflict.change);
        }
        self.table.conclude_probes(now);
        let ready = self.prober.ready(&self.table);
        if ready.is_empty() {
            return;
        }
        for Waiting { port, message, source, destination, .. } in ready {
            let received = Received { source, destination, ..received(&self.ports[port]) };
            let round = Round { serving, now, pending, changes };
            self.decide_one(Origin { port, station: None }, message, &received, round);
        }
    }

    fn decide_one(&mut self, from: Origin, message: Message, received: &Received, round: Round<'_>) {
        let Round { serving, now, pending, changes } = round;
        let Origin { port, station } = from;
        let query = match classify(&message, received) {
            Ok(query) => query,
            Err(why) => {
                self.hub.counters().count(Counter::DhcpMalformed);
                tracing::debug!(mac = %message.hw, reason = %why, "DHCP packet ignored");
                return;
            }
        };
        self.neighbourhood.overheard(&serving.config, &self.ports, port, &query, now);
        let hw = query.hw;
        let view = self.hub.with_session(hw, now, |session| {
            session.map(|session| session.dhcp_view(&query, now)).unwrap_or_default()
        });
        let learned = self.hub.learned_for(&query);
        let one_shots = self.hub.one_shots().all();
        let next = Offered { all: Some(&one_shots), now, ..view.next };
        let view = SessionView { learned: &learned, next, ..view };
        let role = self.neighbourhood.role(port);
        let decision = decide(&serving.config, role, &serving.loaders, &mut self.table, view, &query, now);
        if let Some(address) = decision.after_probe {
            let (source, destination) = (received.source, received.destination);
            if !self.prober.keep(hw, Waiting { port, message, source, destination, address }) {
                self.hub.counters().count(Counter::DhcpProbesFull);
            }
            return;
        }
        if let Some(notice) = decision.notice {
            self.hub.counters().count(counter(notice));
            if let Notice::AlmostFull(AlmostFull { subnet, held, of }) = notice {
                tracing::warn!(%subnet, held, of, "most addresses of a subnet are lent: widen its ranges");
            }
        }
        let promises = !decision.changes.is_empty();
        changes.extend(decision.changes);
        let Decision { reply, event, .. } = decision;
        let outgoing = |reply| Outgoing::new(&reply, &self.ports[port], station, received.destination);
        pending.push(Pending { port, hw, at: now, reply: reply.map(outgoing), promises, event });
    }

    /// Sends what promises nothing, stores, sends what does, records: in this order. Returns the changes that are still to be stored.
    fn settle(
        &mut self,
        pending: &mut Vec<Pending>,
        changes: Vec<LeaseChange>,
        outage: &mut Outage,
        lessons: &mut Lessons,
    ) -> Vec<LeaseChange> {
        let mut left = Vec::new();
        self.send(pending.iter().filter(|pending| !pending.promises));
        let learned = lessons.take(&self.hub, !changes.is_empty());
        let commit = Commit { changes: &changes, clock: self.clock.unstored(), learned: &learned };
        let stored = self.store.commit_all(&commit);
        lessons.stored(&self.hub, &learned, &stored);
        if let Err(error) = stored {
            for pending in pending.iter_mut().filter(|pending| pending.promises) {
                self.hub.counters().count(Counter::DhcpNotStored);
                pending.reply = None;
                pending.event.answer = withheld(&pending.event.answer, &error);
            }
            self.hub.leases_unstored(Some(error.clone()));
            outage.failed(&error, self.clock.now());
            left = latest(changes);
        } else {
            self.clock.stored();
            self.hub.leases_unstored(None);
            outage.over();
            self.hub.leased(changes.iter().map(holder));
            self.send(pending.iter().filter(|pending| pending.promises));
        }
        for Pending { hw, at, event, .. } in pending.drain(..) {
            if event.answer == DhcpAnswer::Exhausted {
                self.hub.counters().count(Counter::DhcpExhausted);
            }
            let ip = event.answer.given().map(|given| given.address).filter(|ip| !ip.is_unspecified());
            self.hub.record(Event { at, peer: Peer { hw: Some(hw), ip }, kind: EventKind::Dhcp(event) });
        }
        left
    }

    fn send<'p>(&self, pending: impl Iterator<Item = &'p Pending> + Clone) {
        for (index, port) in self.ports.iter().enumerate() {
            let of_port = pending.clone().filter(|pending| pending.port == index);
            let replies = of_port.filter_map(|pending| pending.reply.as_ref());
            replies.clone().for_each(Outgoing::log);
            let datagrams: Vec<Datagram<'_>> =
                replies.clone().filter_map(|reply| reply.datagram(&port.interface)).collect();
            let frames: Vec<Frame<'_>> = replies.filter_map(|reply| reply.frame(&port.interface)).collect();
            self.send_all(datagrams.len(), |from| port.send(&datagrams[from..]));
            self.send_all(frames.len(), |from| self.frames.send(&frames[from..]));
        }
    }

    /// Sends in as many calls as it takes; what the kernel refuses is counted and skipped, since the client
    /// asks again.
    fn send_all(&self, count: usize, send: impl Fn(usize) -> io::Result<usize>) {
        let mut from = 0;
        while from < count {
            match send(from) {
                Ok(sent) if sent > 0 => from += sent,
                refused => {
                    if let Err(error) = refused {
                        tracing::warn!(%error, "a DHCP answer was not sent");
                    }
                    self.hub.counters().count(Counter::DhcpNotSent);
                    from += 1;
                }
            }
        }
    }
}

fn counter(notice: Notice) -> Counter {
    match notice {
        Notice::AlmostFull(_) => Counter::DhcpAlmostFull,
        Notice::ForeignRelay => Counter::DhcpForeignRelay,
        Notice::OfferSuperseded => Counter::DhcpOfferSuperseded,
        Notice::QuarantineFull => Counter::DhcpQuarantineFull,
        Notice::SpokenFor => Counter::DhcpSpokenFor,
    }
}

fn received(port: &Port) -> Received {
    let interface = &port.interface;
    Received {
        interface: interface.name.clone(),
        local: interface.addresses.iter().map(|address| (address.ip, address.prefix)).collect(),
        mtu: u16::try_from(interface.mtu).unwrap_or(u16::MAX),
        source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        destination: Ipv4Addr::UNSPECIFIED,
        service: port.service(),
    }
}

/// The last change of each address: never more than there are addresses, however long the disk is full.
fn latest(changes: Vec<LeaseChange>) -> Vec<LeaseChange> {
    let by_address: BTreeMap<Ipv4Addr, LeaseChange> =
        changes.into_iter().map(|change| (holder(&change).0, change)).collect();
    by_address.into_values().collect()
}

/// Who holds the address after a change.
fn holder(change: &LeaseChange) -> (Ipv4Addr, Option<Held>) {
    match change {
        LeaseChange::Put(lease) => (lease.address, Held::by(lease)),
        LeaseChange::Remove(address) => (*address, None),
    }
}
