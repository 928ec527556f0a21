//! `/api/v1/machines`: those of the config, then those that were seen.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use bootlace_core::boot::choose::conflict;
use bootlace_core::config::{Config, Machine};
use bootlace_core::model::Var;
use bootlace_store::JournalReader;
use bootlace_store::journal::MachineSeen;
use bootlace_wire::Mac;

use super::{Admin, Failure, next_boot, read};
use crate::api::{MachineView, NextBootView};
use crate::hub;

/// Machines of one answer.
const MACHINES_MAX: usize = 10_000;

/// Every machine.
pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<Vec<MachineView>>, Failure> {
    read(admin, |admin| {
        admin.catch_up();
        let serving = admin.serving.load();
        let seen = JournalReader::open(&admin.state_dir)?.machines(MACHINES_MAX)?;
        let (one_shots, now) = (admin.hub.one_shots().all(), hub::now());
        let next = |machine: Option<&Machine>, mac: Option<Mac>| {
            Some(next_boot::view(&serving.config, one_shots.of(machine, mac)?, &admin.hub, now))
        };
        Ok(views(&serving.config, &seen, next))
    })
    .await
}

fn views(
    config: &Config,
    seen: &[MachineSeen],
    next: impl Fn(Option<&Machine>, Option<Mac>) -> Option<NextBootView>,
) -> Vec<MachineView> {
    let mut by_name: BTreeMap<&str, &MachineSeen> = BTreeMap::new();
    let mut others = Vec::new();
    for seen in seen {
        match seen.hw.mac().and_then(|mac| config.machines.by_mac(mac)) {
            // The first is the one that was seen last.
            Some(machine) => drop(by_name.entry(&machine.name).or_insert(seen)),
            None => others.push(MachineView { next_boot: next(None, seen.hw.mac()), ..unknown(seen) }),
        }
    }
    let known = config.machines.iter().map(|machine| {
        let seen = by_name.get(machine.name.as_str()).copied();
        let conflict = seen.and_then(|seen| {
            let mut facts = seen.facts.clone();
            facts.set(Var::Mac, seen.hw.to_string().as_str());
            conflict(&config.machines, &facts)
        });
        MachineView { conflict, next_boot: next(Some(machine), None), ..known(machine, seen) }
    });
    known.chain(others).collect()
}

fn known(machine: &Machine, seen: Option<&MachineSeen>) -> MachineView {
    let reserved = machine.address.map(|ip| ip.to_string());
    let last = seen.map(unknown);
    MachineView {
        name: Some(machine.name.clone()),
        macs: machine.macs.iter().map(ToString::to_string).collect(),
        uuid: machine.uuid.map(|uuid| uuid.to_string()),
        serial: machine.serial.clone(),
        address: reserved.or(last.as_ref().and_then(|last| last.address.clone())),
        last_seen: last.as_ref().and_then(|last| last.last_seen.clone()),
        facts: last.map(|last| last.facts).unwrap_or_default(),
        conflict: None,
        next_boot: None,
    }
}

fn unknown(seen: &MachineSeen) -> MachineView {
    let facts: std::collections::BTreeMap<_, _> =
        seen.facts.iter().map(|(var, value)| (var.name().to_owned(), value.to_owned())).collect();
    MachineView {
        name: None,
        macs: vec![seen.hw.to_string()],
        uuid: facts.get("uuid").cloned(),
        serial: facts.get("serial").cloned(),
        address: seen.address.map(|ip| ip.to_string()),
        last_seen: Some(seen.last_seen.to_string()),
        facts,
        conflict: None,
        next_boot: None,
    }
}
