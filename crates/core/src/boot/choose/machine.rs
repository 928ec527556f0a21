//! Which `[[machine]]` this is: by MAC, then by client identifier, then by UUID in either byte order,
//! then by serial. Where these tell of different machines, the trail says so, with how much speaks for each.

use std::collections::BTreeSet;

use crate::config::{Identity, Machine, Machines};
use crate::finding::Trail;
use crate::model::{Facts, Var, is_placeholder};

use super::can_be_asked;

/// What is known of which machine it is.
pub(super) enum Recognised<'c> {
    /// This one.
    Is(&'c Machine),
    /// None by what is known; some if the machine reports the right values of these variables. Often empty. Of
    /// many that set the same and are known by the same, two stand for all.
    MayBe(Vec<(&'c Machine, BTreeSet<Var>)>),
}

pub(super) fn recognise<'c>(machines: &'c Machines, facts: &Facts, trail: &mut Trail) -> Recognised<'c> {
    if machines.is_empty() {
        return Recognised::MayBe(Vec::new());
    }
    let marks = marks(machines, facts);
    if let Some(Mark { machine, why, .. }) = marks.first() {
        let boot = machine.overrides.boot.as_ref();
        let boot = boot.map_or_else(|| "it sets no boot".to_owned(), |boot| format!("boot {boot}"));
        trail.add(format!("machine {}", machine.name), format!("is it by {why}, {boot}"));
        if let Some(conflict) = conflict_of(&marks) {
            trail.add("identity", conflict);
        }
        return Recognised::Is(machine);
    }
    let may_report = Reportable::of(machines, facts);
    let samples = machines.samples(|identity| may_report.shows(identity).is_some());
    let candidates: Vec<_> = samples
        .into_iter()
        .filter_map(|(identity, machine)| Some((machine, may_report.shows(identity)?)))
        .collect();
    let possible = machines.identities().filter(|(identity, _)| may_report.shows(*identity).is_some());
    let count: usize = possible.map(|(_, count)| count).sum();
    let may_be = match (candidates.first(), count) {
        (None, _) => String::new(),
        (Some((machine, _)), 1) => format!("; may be {}", machine.name),
        (Some((machine, _)), count) => format!("; may be {} or one of {} more", machine.name, count - 1),
    };
    let known = known(facts);
    trail.add("machine", format!("none of {} in the config by {known}{may_be}", machines.len()));
    Recognised::MayBe(candidates)
}

/// What tells of a machine.
struct Mark<'c> {
    machine: &'c Machine,
    /// How much it counts: a card can be moved, a UUID be a copy of another board's, and anybody types a serial.
    score: u32,
    why: String,
}

/// What tells of machines, that which counts first.
fn marks<'c>(machines: &'c Machines, facts: &Facts) -> Vec<Mark<'c>> {
    let by_mac = facts
        .mac()
        .filter(|mac| !machines.is_shared(*mac))
        .and_then(|mac| Some(Mark { machine: machines.by_mac(mac)?, score: 4, why: format!("mac {mac}") }));
    let by_client_id = facts.get(Var::ClientId).and_then(|id| {
        Some(Mark { machine: machines.by_client_id(id)?, score: 3, why: format!("client-id {id}") })
    });
    let by_uuid = facts.uuid().and_then(|uuid| {
        let machine = machines.by_uuid(uuid)?;
        let order = if machine.uuid == Some(uuid) { "" } else { " in the other byte order" };
        Some(Mark { machine, score: 3, why: format!("uuid {uuid}{order}") })
    });
    let by_serial = facts.get(Var::Serial).filter(|serial| !is_placeholder(serial)).and_then(|serial| {
        Some(Mark { machine: machines.by_serial(serial)?, score: 2, why: format!("serial {serial}") })
    });
    [by_mac, by_client_id, by_uuid, by_serial].into_iter().flatten().collect()
}

/// What speaks for different machines, if anything does: a card was moved, or an entry is wrong.
pub fn conflict(machines: &Machines, facts: &Facts) -> Option<String> {
    conflict_of(&marks(machines, facts))
}

fn conflict_of(marks: &[Mark<'_>]) -> Option<String> {
    let mut by_machine: Vec<(&str, u32, Vec<&str>)> = Vec::new();
    for Mark { machine, score, why } in marks {
        match by_machine.iter_mut().find(|(name, ..)| *name == machine.name) {
            Some((_, total, whys)) => {
                *total += score;
                whys.push(why);
            }
            None => by_machine.push((&machine.name, *score, vec![why])),
        }
    }
    if by_machine.len() < 2 {
        return None;
    }
    let told =
        by_machine.iter().map(|(name, score, whys)| format!("{} of {name} ({score})", whys.join(" and ")));
    Some(format!("conflict: {}", told.collect::<Vec<_>>().join(", ")))
}

/// What of a machine's identity can still be reported; the same for all machines.
struct Reportable {
    mac: bool,
    uuid: bool,
    serial: bool,
    mac_is_known: bool,
}

impl Reportable {
    fn of(machines: &Machines, facts: &Facts) -> Self {
        let open = |var| facts.get(var).is_none() && can_be_asked(var, facts);
        Self {
            mac: open(Var::Mac),
            uuid: open(Var::Uuid),
            serial: open(Var::Serial),
            mac_is_known: facts.mac().is_some_and(|mac| !machines.is_shared(mac)),
        }
    }

    /// The variables that could still show that it is a machine of this identity; `None` when nothing could. MACs
    /// are known before anything else, so for a machine that lists some, another one says that it is not this
    /// machine.
    fn shows(&self, identity: Identity) -> Option<BTreeSet<Var>> {
        if self.mac_is_known && identity.mac {
            return None;
        }
        let open = [
            (Var::Mac, self.mac && identity.mac),
            (Var::Uuid, self.uuid && identity.uuid),
            (Var::Serial, self.serial && identity.serial),
        ];
        let vars: BTreeSet<Var> = open.into_iter().filter(|&(_, open)| open).map(|(var, _)| var).collect();
        (!vars.is_empty()).then_some(vars)
    }
}

fn known(facts: &Facts) -> String {
    let known: Vec<_> = [Var::Mac, Var::ClientId, Var::Uuid, Var::Serial]
        .into_iter()
        .filter_map(|var| Some(format!("{var} {}", facts.get(var)?)))
        .collect();
    if known.is_empty() { "nothing known".to_owned() } else { known.join(", ") }
}

#[cfg(test)]
mod tests;
