//! Which addresses of a subnet may have a stranger on them: nobody asked yet.
//!
//! An address without a lease is offered only when a probe of it went unanswered. Probes are sent ahead of need, so
//! that a newcomer waits only where more of them come than were foreseen; who has a lease never waits. Silence
//! proves little and not for long: a proof ends by itself.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::addresses::AddressSet;
use super::pool::moved;
use crate::model::Timestamp;

/// How long an answer to a probe is waited for. On a local link it takes a millisecond; firmware asks again after a
/// second or more.
pub const PROBE_WAIT: Duration = Duration::from_millis(200);
/// How long an unanswered probe speaks for an address. Then it is probed again, before it is needed.
pub const PROOF_AGE: Duration = Duration::from_secs(600);
/// Addresses of a subnet that are probed before anybody needs them: most networks in one go.
pub const PROBES_AHEAD: usize = 256;
/// The same after newcomers had to wait; it doubles each time, and goes back by each proof that was not needed.
pub const PROBES_AHEAD_MAX: usize = 4_096;
/// Probes of a subnet that wait for an answer at a time.
pub const PROBES_MAX: usize = 4_096;

/// How far an address is with its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be sent.
    Wanted,
    /// Sent; until then somebody may answer.
    Asked(Timestamp),
    /// Nobody answered; good until then.
    Proven(Timestamp),
}

/// The probes of one subnet.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    states: HashMap<Ipv4Addr, State>,
    wanted: BTreeSet<Ipv4Addr>,
    asked: BTreeSet<(Timestamp, Ipv4Addr)>,
    proven: BTreeSet<(Timestamp, Ipv4Addr)>,
    /// Free and proven.
    ready: AddressSet,
    ready_count: usize,
    /// Wanted or asked, and offered to nobody yet.
    foreseen: HashSet<Ipv4Addr>,
    /// Free, and nobody asked yet.
    unasked: AddressSet,
    ahead: usize,
    /// Somebody had to wait since probes were sent last.
    ran_dry: bool,
}

impl Probes {
    /// Nothing is known of any address; `free` are those that could be lent now.
    pub(super) fn new(free: AddressSet) -> Self {
        Self {
            states: HashMap::new(),
            wanted: BTreeSet::new(),
            asked: BTreeSet::new(),
            proven: BTreeSet::new(),
            ready: AddressSet::default(),
            ready_count: 0,
            foreseen: HashSet::new(),
            unasked: free,
            ahead: PROBES_AHEAD,
            ran_dry: false,
        }
    }

    /// The address can be lent to anybody now.
    pub(super) fn freed(&mut self, address: Ipv4Addr) {
        match self.states.get(&address) {
            None => self.unasked.insert(address),
            Some(State::Proven(_)) => self.make_ready(address),
            Some(State::Wanted | State::Asked(_)) => {}
        }
    }

    /// The address was offered or leased.
    pub(super) fn taken(&mut self, address: Ipv4Addr) {
        self.unasked.remove(address);
        self.foreseen.remove(&address);
        if self.ready.contains(address) {
            self.ready.remove(address);
            self.ready_count -= 1;
        }
    }

    /// Nothing that was found out about the address counts any more.
    pub(super) fn forget(&mut self, address: Ipv4Addr) {
        match self.states.remove(&address) {
            None => {}
            Some(State::Wanted) => drop(self.wanted.remove(&address)),
            Some(State::Asked(until)) => drop(self.asked.remove(&(until, address))),
            Some(State::Proven(until)) => drop(self.proven.remove(&(until, address))),
        }
    }

    /// The next proven free address from `start` on.
    pub(super) fn ready_from(&self, start: Ipv4Addr) -> Option<Ipv4Addr> {
        self.ready.next_from(start)
    }

    /// The first proven free address of a range.
    pub(super) fn ready_in(&self, range: &RangeInclusive<Ipv4Addr>) -> Option<Ipv4Addr> {
        self.ready.first_in(range)
    }

    pub(super) fn is_proven(&self, address: Ipv4Addr) -> bool {
        matches!(self.states.get(&address), Some(State::Proven(_)))
    }

    /// A probe of the address is on its way, or will be.
    pub(super) fn is_awaited(&self, address: Ipv4Addr) -> bool {
        matches!(self.states.get(&address), Some(State::Wanted | State::Asked(_)))
    }

    pub(super) fn is_asked(&self, address: Ipv4Addr) -> bool {
        matches!(self.states.get(&address), Some(State::Asked(_)))
    }

    /// Somebody needs this address.
    pub(super) fn want(&mut self, address: Ipv4Addr) {
        if let Entry::Vacant(unknown) = self.states.entry(address) {
            unknown.insert(State::Wanted);
            self.wanted.insert(address);
        }
    }

    /// More came than was foreseen.
    pub(super) fn ran_dry(&mut self) {
        self.ran_dry = true;
    }

    /// What is to be probed now, at most `room`: first what is needed, then what will be.
    pub(super) fn due(&mut self, room: usize) -> Vec<Ipv4Addr> {
        if std::mem::take(&mut self.ran_dry) {
            self.ahead = (self.ahead * 2).min(PROBES_AHEAD_MAX);
        }
        let room = room.min(PROBES_MAX.saturating_sub(self.asked.len()));
        while self.wanted.len() < room && self.ready_count + self.foreseen.len() < self.ahead {
            let Some(next) = self.unasked.next_from(Ipv4Addr::UNSPECIFIED) else { break };
            self.unasked.remove(next);
            self.foreseen.insert(next);
            self.want(next);
        }
        self.wanted.iter().take(room).copied().collect()
    }

    /// A probe has left.
    pub(super) fn asked(&mut self, address: Ipv4Addr, now: Timestamp) {
        self.forget(address);
        let until = now.after(PROBE_WAIT);
        self.states.insert(address, State::Asked(until));
        self.asked.insert((until, address));
    }

    /// Nobody else is on the address; `is_free`: it can be lent to anybody.
    pub(super) fn prove(&mut self, address: Ipv4Addr, now: Timestamp, is_free: impl Fn(Ipv4Addr) -> bool) {
        self.forget(address);
        self.foreseen.remove(&address);
        let until = now.after(PROOF_AGE);
        self.states.insert(address, State::Proven(until));
        self.proven.insert((until, address));
        if is_free(address) {
            self.make_ready(address);
        }
    }

    /// What went unanswered is proven, and what was proven too long ago is not any more. What lies further ahead
    /// than could be was noted before the clock was set back: it has ended, too.
    pub(super) fn conclude(&mut self, now: Timestamp, is_free: impl Fn(Ipv4Addr) -> bool) {
        while let Some(address) = ended(&self.asked, now, PROBE_WAIT) {
            self.prove(address, now, &is_free);
        }
        while let Some(address) = ended(&self.proven, now, PROOF_AGE) {
            self.forget(address);
            if is_free(address) {
                self.taken(address);
                self.unasked.insert(address);
                self.ahead = self.ahead.saturating_sub(1).max(PROBES_AHEAD);
            }
        }
    }

    /// The clock was set: see [`super::LeaseTable::shift`].
    pub(super) fn shift(&mut self, millis: i64) {
        for state in self.states.values_mut() {
            match state {
                State::Wanted => {}
                State::Asked(until) | State::Proven(until) => *until = until.moved(millis),
            }
        }
        self.asked = moved(&self.asked, millis);
        self.proven = moved(&self.proven, millis);
    }

    /// When there is something to conclude next.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let first = |set: &BTreeSet<(Timestamp, Ipv4Addr)>| set.first().map(|(until, _)| *until);
        first(&self.asked).into_iter().chain(first(&self.proven)).min()
    }

    fn make_ready(&mut self, address: Ipv4Addr) {
        if !self.ready.contains(address) {
            self.ready.insert(address);
            self.ready_count += 1;
        }
    }
}

/// An address whose time is over: it has come, or cannot have been set yet.
fn ended(set: &BTreeSet<(Timestamp, Ipv4Addr)>, now: Timestamp, longest: Duration) -> Option<Ipv4Addr> {
    let past = set.first().filter(|(until, _)| *until <= now);
    let ahead = || set.last().filter(|(until, _)| *until > now.after(longest));
    past.or_else(ahead).map(|(_, address)| *address)
}
