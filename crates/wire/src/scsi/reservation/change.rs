//! PERSISTENT RESERVE OUT (SPC-4 sections 5.13.7 to 5.13.11 and 6.16).

use super::super::command::PersistentOut;
use super::super::limits::REGISTRATIONS_MAX;
use super::super::nexus::InitiatorPort;
use super::super::sense::{Reason, Sense};
use super::{Kind, Registration, Reservation, Reservations};

/// What comes of a service action that is understood.
#[derive(Debug)]
pub(in super::super) enum Change {
    /// It is done, and others have to hear of it.
    Made(Vec<Notice>),
    /// RESERVATION CONFLICT; nothing has changed.
    Conflict,
}

/// What a change means for the sessions of a port.
#[derive(Debug)]
pub(in super::super) struct Notice {
    /// Whose sessions.
    pub(in super::super) port: InitiatorPort,
    /// Their unit attention.
    pub(in super::super) reason: Reason,
    /// What becomes of the commands that they have under way.
    pub(in super::super) tasks: Tasks,
}

/// What becomes of commands under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Tasks {
    /// They go on.
    Keep,
    /// They are aborted.
    Abort,
}

/// The parameter list, understood.
struct Parameters {
    key: u64,
    service_key: u64,
}

const LIST_BYTES: usize = 24;

fn parameters(action: PersistentOut, list: &[u8]) -> Result<Parameters, Sense> {
    const SPEC_I_PT: u8 = 0x08;
    const ALL_TG_PT: u8 = 0x04;
    const APTPL: u8 = 0x01;
    const FLAGS: u16 = 20;
    let list: &[u8; LIST_BYTES] = list.try_into().map_err(|_| Reason::ParameterListLength)?;
    // Two of them mean something for a registration only, and are ignored elsewhere (section 6.16.3).
    let refused = match action {
        PersistentOut::Register | PersistentOut::RegisterAndIgnore => SPEC_I_PT | ALL_TG_PT | APTPL,
        _ => SPEC_I_PT,
    };
    if list[usize::from(FLAGS)] & refused != 0 {
        return Err(Sense::parameter(FLAGS));
    }
    let [a, b, c, d, e, f, g, h, rest @ ..] = *list;
    let [i, j, k, l, m, n, o, p, ..] = rest;
    Ok(Parameters {
        key: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        service_key: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
    })
}

/// SCOPE must be the logical unit, TYPE one there is.
fn kind(scope_and_type: u8) -> Result<Kind, Sense> {
    if scope_and_type >> 4 != 0 {
        return Err(Sense::cdb_bit(2, 7));
    }
    Kind::of(scope_and_type & 0x0f).ok_or(Sense::cdb_bit(2, 3))
}

impl Reservations {
    /// Does one service action for `port`, all of it or nothing.
    pub(in super::super) fn change(
        &mut self,
        action: PersistentOut,
        scope_and_type: u8,
        list: &[u8],
        port: &InitiatorPort,
    ) -> Result<Change, Sense> {
        let parameters = parameters(action, list)?;
        let registered = self.key_of(port);
        let knows_its_key = registered == Some(parameters.key);
        match action {
            PersistentOut::RegisterAndIgnore => self.register(port, parameters.service_key),
            // Who is not registered gives zero as the key it has.
            PersistentOut::Register if registered.unwrap_or(0) == parameters.key => {
                self.register(port, parameters.service_key)
            }
            PersistentOut::Clear if knows_its_key => Ok(self.clear(port)),
            PersistentOut::Reserve if knows_its_key => Ok(self.hold(port, kind(scope_and_type)?)),
            PersistentOut::Release if knows_its_key => self.give_up(port, kind(scope_and_type)?),
            PersistentOut::Preempt if knows_its_key => {
                self.preempt(port, parameters.service_key, kind(scope_and_type), Tasks::Keep)
            }
            PersistentOut::PreemptAndAbort if knows_its_key => {
                self.preempt(port, parameters.service_key, kind(scope_and_type), Tasks::Abort)
            }
            _ => Ok(Change::Conflict),
        }
    }

    /// Gives `port` another key; zero ends its registration.
    fn register(&mut self, port: &InitiatorPort, key: u64) -> Result<Change, Sense> {
        let at = self.registrations.iter().position(|known| known.port == *port);
        let notices = match (at, key) {
            // Who is not registered cannot unregister: nothing happens, so nothing is counted.
            (None, 0) => return Ok(Change::Made(Vec::new())),
            (None, _) if self.registrations.len() >= REGISTRATIONS_MAX => {
                return Err(Reason::NoRoomForRegistration.into());
            }
            (None, key) => {
                self.registrations.push(Registration { port: port.clone(), key });
                Vec::new()
            }
            (Some(at), 0) => {
                self.registrations.remove(at);
                self.holder_left(port)
            }
            (Some(at), key) => {
                self.registrations[at].key = key;
                Vec::new()
            }
        };
        self.count();
        Ok(Change::Made(notices))
    }

    /// `port` is not registered any more: what it held alone is free, and what all held when nobody is left.
    fn holder_left(&mut self, port: &InitiatorPort) -> Vec<Notice> {
        let Some(reservation) = &self.persistent else { return Vec::new() };
        let kind = reservation.kind;
        let ends = if kind.is_of_all() { self.registrations.is_empty() } else { reservation.holder == *port };
        if !ends {
            return Vec::new();
        }
        self.persistent = None;
        if kind.admits_registrants() { self.notices(port, Reason::ReservationsReleased) } else { Vec::new() }
    }

    /// RESERVE. Who holds the same already, has it.
    fn hold(&mut self, port: &InitiatorPort, kind: Kind) -> Change {
        match &self.persistent {
            Some(reservation) if reservation.kind != kind || !self.holds(port) => return Change::Conflict,
            Some(_) => {}
            None => self.persistent = Some(Reservation { kind, holder: port.clone() }),
        }
        Change::Made(Vec::new())
    }

    /// RELEASE. Of what is not one's own it means nothing.
    fn give_up(&mut self, port: &InitiatorPort, kind: Kind) -> Result<Change, Sense> {
        if !self.holds(port) {
            return Ok(Change::Made(Vec::new()));
        }
        if self.persistent.as_ref().is_some_and(|reservation| reservation.kind != kind) {
            return Err(Reason::InvalidRelease.into());
        }
        self.persistent = None;
        let tell = kind.admits_registrants();
        Ok(Change::Made(if tell { self.notices(port, Reason::ReservationsReleased) } else { Vec::new() }))
    }

    /// CLEAR: nobody is registered, nothing is reserved.
    fn clear(&mut self, port: &InitiatorPort) -> Change {
        let notices = self.notices(port, Reason::ReservationsPreempted);
        self.registrations.clear();
        self.persistent = None;
        self.count();
        Change::Made(notices)
    }

    /// PREEMPT and PREEMPT AND ABORT (SPC-4 section 5.13.11.4): those with `key` lose their registrations, and the
    /// reservation passes to `port` if it was theirs. With a reservation that all hold, zero means all others.
    fn preempt(
        &mut self,
        port: &InitiatorPort,
        key: u64,
        kind: Result<Kind, Sense>,
        tasks: Tasks,
    ) -> Result<Change, Sense> {
        let held = self.persistent.as_ref().map(|reservation| reservation.kind);
        let takes_over = match &self.persistent {
            Some(reservation) if reservation.kind.is_of_all() => key == 0,
            Some(reservation) => self.key_of(&reservation.holder) == Some(key),
            None => false,
        };
        if key == 0 && !takes_over {
            return Err(Sense::parameter(8));
        }
        // SCOPE and TYPE count only for a reservation that is made.
        let new = if takes_over { Some(kind?) } else { None };
        let everybody = takes_over && key == 0;
        if !everybody && !self.registrations.iter().any(|known| known.key == key) {
            return Ok(Change::Conflict);
        }
        let removed: Vec<Registration> = self
            .registrations
            .extract_if(.., |known| known.port != *port && (everybody || known.key == key))
            .collect();
        let mut notices: Vec<Notice> = removed
            .into_iter()
            .map(|known| Notice { port: known.port, reason: Reason::RegistrationsPreempted, tasks })
            .collect();
        if let Some(kind) = new {
            self.persistent = Some(Reservation { kind, holder: port.clone() });
            if held != Some(kind) {
                notices.extend(self.notices(port, Reason::ReservationsReleased));
            }
        }
        self.count();
        Ok(Change::Made(notices))
    }

    /// The same for all who are registered, but for `port`.
    fn notices(&self, port: &InitiatorPort, reason: Reason) -> Vec<Notice> {
        let others = self.registrations.iter().filter(|known| known.port != *port);
        others.map(|known| Notice { port: known.port.clone(), reason, tasks: Tasks::Keep }).collect()
    }

    fn count(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }
}
