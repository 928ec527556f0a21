//! The sessions that are open now.

use std::collections::HashMap;

use bootlace_wire::HwAddr;

use super::{SILENCE, Session, SessionId};
use crate::event::{ClientClass, Event, EventKind};
use crate::model::Timestamp;

/// Open sessions kept at most; beyond it the longest silent one is forgotten. Far above what one segment can
/// hold, so that only a flood of made-up addresses reaches it.
pub const SESSIONS_MAX: usize = 10_000;

/// The open session of each machine.
#[derive(Debug)]
pub struct Sessions {
    open: HashMap<HwAddr, Session>,
    next: SessionId,
    limit: usize,
    forgotten: u64,
}

impl Sessions {
    /// Starts with no session; `next` is the first number to give.
    pub fn new(next: SessionId) -> Self {
        Self { open: HashMap::new(), next, limit: SESSIONS_MAX, forgotten: 0 }
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
            self.make_room(event.at);
            let session = Session::new(self.next, hw, event.at);
            self.next.0 += 1;
            self.open.insert(hw, session);
        }
        let session = self.open.get_mut(&hw)?;
        session.apply(event);
        Some(session.id)
    }

    /// The machine's session, unless it has been silent for too long.
    pub fn current(&self, hw: HwAddr, now: Timestamp) -> Option<&Session> {
        self.open.get(&hw).filter(|session| now.since(session.last) <= SILENCE)
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

    fn make_room(&mut self, now: Timestamp) {
        if self.open.len() < self.limit {
            return;
        }
        self.open.retain(|_, session| now.since(session.last) <= SILENCE);
        if self.open.len() >= self.limit
            && let Some(hw) = self.open.values().min_by_key(|session| session.last).map(|session| session.hw)
        {
            self.open.remove(&hw);
            self.forgotten += 1;
        }
    }
}

/// Whether an event without a session is the beginning of one.
fn opens(event: &Event) -> bool {
    match &event.kind {
        EventKind::Dhcp(dhcp) => dhcp.client != ClientClass::Os,
        EventKind::Script(_) => true,
        EventKind::File(_) => !event.is_size_probe(),
        EventKind::Contradiction { .. } => false,
    }
}
