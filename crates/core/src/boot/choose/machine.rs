//! Which `[[machine]]` this is: by MAC, then by client identifier, then by UUID in either byte order,
//! then by serial.

use std::collections::BTreeSet;

use crate::config::{Identity, Machine, Machines};
use crate::finding::Trail;
use crate::model::{Facts, Var};

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
    let found = by_mac(machines, facts)
        .or_else(|| by_client_id(machines, facts))
        .or_else(|| by_uuid(machines, facts))
        .or_else(|| by_serial(machines, facts));
    if let Some((machine, why)) = found {
        let boot = machine.overrides.boot.as_ref();
        let boot = boot.map_or_else(|| "it sets no boot".to_owned(), |boot| format!("boot {boot}"));
        trail.add(format!("machine {}", machine.name), format!("is it by {why}, {boot}"));
        return Recognised::Is(machine);
    }
    let may_report = Reportable::of(facts);
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

fn by_mac<'c>(machines: &'c Machines, facts: &Facts) -> Option<(&'c Machine, String)> {
    let mac = facts.mac()?;
    Some((machines.by_mac(mac)?, format!("mac {mac}")))
}

fn by_client_id<'c>(machines: &'c Machines, facts: &Facts) -> Option<(&'c Machine, String)> {
    let id = facts.get(Var::ClientId)?;
    Some((machines.by_client_id(id)?, format!("client-id {id}")))
}

fn by_uuid<'c>(machines: &'c Machines, facts: &Facts) -> Option<(&'c Machine, String)> {
    let uuid = facts.uuid()?;
    let machine = machines.by_uuid(uuid)?;
    let order = if machine.uuid == Some(uuid) { "" } else { " in the other byte order" };
    Some((machine, format!("uuid {uuid}{order}")))
}

fn by_serial<'c>(machines: &'c Machines, facts: &Facts) -> Option<(&'c Machine, String)> {
    let serial = facts.get(Var::Serial)?;
    Some((machines.by_serial(serial)?, format!("serial {serial}")))
}

/// What of a machine's identity can still be reported; the same for all machines.
struct Reportable {
    mac: bool,
    uuid: bool,
    serial: bool,
    mac_is_known: bool,
}

impl Reportable {
    fn of(facts: &Facts) -> Self {
        let open = |var| facts.get(var).is_none() && can_be_asked(var, facts);
        Self {
            mac: open(Var::Mac),
            uuid: open(Var::Uuid),
            serial: open(Var::Serial),
            mac_is_known: facts.mac().is_some(),
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
