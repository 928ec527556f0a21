//! The sessions that are open now.

use std::collections::{BTreeSet, HashMap};

use bootlace_wire::HwAddr;

use super::{SILENCE, Session, SessionId};
use crate::event::{ClientClass, Event, EventKind};
use crate::model::Timestamp;

/// Open sessions kept at most; beyond it the longest silent one is forgotten, one without an address first. Far above
/// what one segment can hold, so that only a flood of made-up addresses reaches it, which then pushes out its own.
pub const SESSIONS_MAX: usize = 10_000;

/// The open session of each machine.
#[derive(Debug)]
pub struct Sessions {
    open: HashMap<HwAddr, Session>,
    /// The same by their last sign of life, those that are not proven and those that are: a flood of made-up addresses must not
    /// cost a walk for each packet.
    by_last: [BTreeSet<(Timestamp, HwAddr)>; 2],
    next: SessionId,
    limit: usize,
    forgotten: u64,
}

impl Sessions {
    /// Starts with no session; `next` is the first number to give.
    pub fn new(next: SessionId) -> Self {
        Self { open: HashMap::new(), by_last: Default::default(), next, limit: SESSIONS_MAX, forgotten: 0 }
    }

    /// Takes an event in and says which session it belongs to. Events without a machine, and those of an
    /// operating system that did not boot through us, belong to none.
    pub fn apply(&mut self, event: &Event) -> Option<SessionId> {
        let hw = event.peer.hw?;
        let current = self.open.get(&hw).filter(|session| !session.ends_before(event));
        if current.is_none() {
            if !opens(event) {
                return None;
            }
            self.begin(hw, event.at);
        }
        let session = self.open.get_mut(&hw)?;
        let before = (session.proven, session.last);
        session.apply(event);
        if (session.proven, session.last) != before {
            self.by_last[usize::from(before.0)].remove(&(before.1, hw));
            self.by_last[usize::from(session.proven)].insert((session.last, hw));
        }
        Some(session.id)
    }

    /// The machine's session, unless it has been silent for too long.
    pub fn current(&self, hw: HwAddr, now: Timestamp) -> Option<&Session> {
        self.open.get(&hw).filter(|session| now.since(session.last) <= SILENCE)
    }

    /// Whether a session goes on. Looks at all of them.
    pub fn is_open(&self, id: SessionId, now: Timestamp) -> bool {
        self.open.values().any(|session| session.id == id && now.since(session.last) <= SILENCE)
    }

    /// The machine's session, which begins now unless there is one.
    pub fn current_or_new(&mut self, hw: HwAddr, now: Timestamp) -> Option<&Session> {
        if self.current(hw, now).is_none() {
            self.begin(hw, now);
        }
        self.open.get(&hw)
    }

    /// Begins the machine's next session if it has started again, as the name shows that it asks for.
    pub fn restart(&mut self, hw: HwAddr, name: &str, now: Timestamp) {
        if self.current(hw, now).is_some_and(|session| session.ends_before_name(name)) {
            self.begin(hw, now);
        }
    }

    fn begin(&mut self, hw: HwAddr, now: Timestamp) {
        self.close(hw);
        self.make_room(now);
        let session = Session::new(self.next, hw, now);
        self.next.0 += 1;
        self.by_last[usize::from(session.proven)].insert((session.last, hw));
        self.open.insert(hw, session);
    }

    /// How many were forgotten for want of room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// None is kept.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When it is full, forgets what has been silent for too long; with none of that, the session that has been
    /// silent the longest: of those that are not proven, while there are any.
    fn make_room(&mut self, now: Timestamp) {
        if self.open.len() < self.limit {
            return;
        }
        let ended = |(last, _): &&(Timestamp, HwAddr)| now.since(*last) > SILENCE;
        while let Some(&(_, hw)) = self.by_last.iter().find_map(|sessions| sessions.first().filter(ended)) {
            self.close(hw);
        }
        let [unproven, proven] = &self.by_last;
        let longest = unproven.first().or(proven.first());
        if let Some(&(_, hw)) = longest.filter(|_| self.open.len() >= self.limit) {
            self.close(hw);
            self.forgotten += 1;
        }
    }

    fn close(&mut self, hw: HwAddr) {
        if let Some(session) = self.open.remove(&hw) {
            self.by_last[usize::from(session.proven)].remove(&(session.last, hw));
        }
    }
}

/// Whether an event without a session is the beginning of one.
fn opens(event: &Event) -> bool {
    match &event.kind {
        EventKind::Dhcp(dhcp) => dhcp.client != ClientClass::Os,
        EventKind::Script(_) => true,
        EventKind::File(_) => !event.is_size_probe(),
        // A system that runs for long has its disk all the time.
        EventKind::Disk(_) | EventKind::Contradiction { .. } | EventKind::Conflict { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bootlace_wire::Mac;

    use super::*;
    use crate::event::{FileEvent, FileOutcome, Peer, Protocol};

    fn sign_of_life(machine: u8, at: i64) -> Event {
        let hw = Some(HwAddr::from(Mac([2, 0, 0, 0, 0, machine])));
        let outcome = FileOutcome::Absent("no such file".into());
        let file = FileEvent { protocol: Protocol::Tftp, name: "x".into(), outcome };
        Event { at: Timestamp::from_secs(at), peer: Peer { hw, ip: None }, kind: EventKind::File(file) }
    }

    #[test]
    fn without_room_the_one_silent_the_longest_goes() {
        let mut sessions = Sessions { limit: 3, ..Sessions::new(SessionId(1)) };
        for (machine, at) in [(1, 0), (2, 1), (3, 2), (1, 3), (4, 4)] {
            sessions.apply(&sign_of_life(machine, at));
        }
        let open = |sessions: &Sessions, machine, at| {
            let event = sign_of_life(machine, at);
            sessions.current(event.peer.hw.unwrap(), event.at).map(|session| session.id.0)
        };
        assert_eq!(
            [1, 2, 3, 4].map(|machine| open(&sessions, machine, 4)),
            [Some(1), None, Some(3), Some(4)]
        );
        assert_eq!((sessions.len(), sessions.forgotten()), (3, 1));
        // Those that have ended anyway are not missed.
        let later = 5 + i64::try_from(SILENCE.as_secs()).unwrap();
        sessions.apply(&sign_of_life(5, later));
        assert_eq!((open(&sessions, 5, later), sessions.forgotten()), (Some(5), 1));
        // A machine's next session takes the place of its last.
        sessions.apply(&sign_of_life(5, later + later));
        let kept: usize = sessions.by_last.iter().map(BTreeSet::len).sum();
        assert_eq!((sessions.len(), kept), (1, 1));
    }

    #[test]
    fn a_flood_of_made_up_addresses_pushes_out_its_own() {
        let mut sessions = Sessions { limit: 3, ..Sessions::new(SessionId(1)) };
        let mut booting = sign_of_life(1, 0);
        let outcome = FileOutcome::Sent { bytes: 1, took: Duration::ZERO, retransmits: 0 };
        booting.kind = EventKind::File(FileEvent { protocol: Protocol::Tftp, name: "x".into(), outcome });
        sessions.apply(&booting);
        for machine in 2..100 {
            sessions.apply(&sign_of_life(machine, machine.into()));
        }
        assert!(sessions.current(booting.peer.hw.unwrap(), booting.at).is_some());
        assert_eq!((sessions.len(), sessions.forgotten()), (3, 96));
    }
}
