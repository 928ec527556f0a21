//! Which `[[machine]]` this is: by MAC, then by UUID in either byte order, then by serial.

use std::collections::BTreeSet;

use crate::config::Machine;
use crate::finding::Trail;
use crate::model::{Facts, Var};

use super::can_be_asked;

/// What is known of which machine it is.
pub(super) enum Recognised<'c> {
    /// This one.
    Is(&'c Machine),
    /// None by what is known; these if the machine reports the right values of these variables. Often empty.
    MayBe(Vec<(&'c Machine, BTreeSet<Var>)>),
}

pub(super) fn recognise<'c>(machines: &'c [Machine], facts: &Facts, trail: &mut Trail) -> Recognised<'c> {
    let found =
        by_mac(machines, facts).or_else(|| by_uuid(machines, facts)).or_else(|| by_serial(machines, facts));
    if let Some((machine, why)) = found {
        let boot = machine.overrides.boot.as_ref();
        let boot = boot.map_or_else(|| "it sets no boot".to_owned(), |boot| format!("boot {boot}"));
        trail.add(format!("machine {}", machine.name), format!("is it by {why}, {boot}"));
        return Recognised::Is(machine);
    }
    let may_report = Reportable::of(facts);
    let candidates: Vec<_> =
        machines.iter().filter_map(|machine| Some((machine, may_report.of_machine(machine)?))).collect();
    let named = format!("none of {} in the config by {}", machines.len(), known(facts));
    let may_be = match candidates.as_slice() {
        [] => String::new(),
        [(machine, _)] => format!("; may be {}", machine.name),
        [(machine, _), rest @ ..] => format!("; may be {} or one of {} more", machine.name, rest.len()),
    };
    if !machines.is_empty() {
        trail.add("machine", format!("{named}{may_be}"));
    }
    Recognised::MayBe(candidates)
}

fn by_mac<'c>(machines: &'c [Machine], facts: &Facts) -> Option<(&'c Machine, String)> {
    let mac = facts.mac()?;
    let machine = machines.iter().find(|machine| machine.macs.contains(&mac))?;
    Some((machine, format!("mac {mac}")))
}

fn by_uuid<'c>(machines: &'c [Machine], facts: &Facts) -> Option<(&'c Machine, String)> {
    let uuid = facts.uuid()?;
    let machine = machines.iter().find(|machine| machine.uuid.is_some_and(|own| own.same_machine(uuid)))?;
    let order = if machine.uuid == Some(uuid) { "" } else { " in the other byte order" };
    Some((machine, format!("uuid {uuid}{order}")))
}

fn by_serial<'c>(machines: &'c [Machine], facts: &Facts) -> Option<(&'c Machine, String)> {
    let serial = facts.get(Var::Serial)?;
    let serial_folded = serial.to_lowercase();
    let is_it = |own: &str| own.trim().to_lowercase() == serial_folded;
    let machine = machines.iter().find(|machine| machine.serial.as_deref().is_some_and(is_it))?;
    Some((machine, format!("serial {serial}")))
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

    /// The variables that could still show that it is this machine; `None` when nothing could. MACs are known
    /// before anything else, so for a machine that lists some, another one says that it is not this machine.
    fn of_machine(&self, machine: &Machine) -> Option<BTreeSet<Var>> {
        let nothing_to_report = !(self.mac || self.uuid || self.serial);
        if nothing_to_report || (self.mac_is_known && !machine.macs.is_empty()) {
            return None;
        }
        let open = [
            (Var::Mac, self.mac && !machine.macs.is_empty()),
            (Var::Uuid, self.uuid && machine.uuid.is_some()),
            (Var::Serial, self.serial && machine.serial.is_some()),
        ];
        let vars: BTreeSet<Var> = open.into_iter().filter(|&(_, open)| open).map(|(var, _)| var).collect();
        (!vars.is_empty()).then_some(vars)
    }
}

fn known(facts: &Facts) -> String {
    let known: Vec<_> = [Var::Mac, Var::Uuid, Var::Serial]
        .into_iter()
        .filter_map(|var| Some(format!("{var} {}", facts.get(var)?)))
        .collect();
    if known.is_empty() { "nothing known".to_owned() } else { known.join(", ") }
}
