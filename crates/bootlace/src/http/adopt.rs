//! `/api/v1/machines/adopt`: a machine that was seen gets a name.

use axum::Json;
use axum::extract::State;
use bootlace_core::config::{Config, adopted_section, host_name};
use bootlace_core::model::{Facts, Text, Var};
use bootlace_store::JournalReader;
use bootlace_wire::Mac;
use serde::Deserialize;

use super::{Admin, Failure, next_boot};
use crate::adopted;

/// Machines that are looked through for what one has reported.
const MACHINES_MAX: usize = 50_000;

/// A machine and its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adopt {
    mac: String,
    name: String,
    boot: Option<String>,
}

/// Names it; answered when that is on stable storage. In force it is a moment later, as a change of the config would be.
pub(super) async fn adopt(State(admin): State<Admin>, Json(adopt): Json<Adopt>) -> Result<String, Failure> {
    let mac: Mac = adopt.mac.parse().map_err(|_| Failure::bad("this is no MAC"))?;
    let (name, boot) = {
        let serving = admin.serving.load();
        let boot = adopt.boot.as_deref().map(|boot| next_boot::boot(&serving.config, boot)).transpose()?;
        (new_name(&serving.config, mac, &adopt.name)?, boot)
    };
    let told = format!("{mac} is {name}\n");
    let _one_at_a_time = admin.adopting.clone().lock_owned().await;
    let (state_dir, serving) = (admin.state_dir.clone(), admin.serving.load_full());
    admin.catch_up();
    let done = tokio::task::spawn_blocking(move || {
        let seen = JournalReader::open(&state_dir)?.machines(MACHINES_MAX)?;
        let facts = seen.iter().find(|seen| seen.hw.mac() == Some(mac)).map(|seen| seen.facts.clone());
        let section = section(
            &serving.config,
            &name,
            mac,
            &facts.unwrap_or_default(),
            boot.as_ref().map(|boot| boot.as_str()),
        );
        adopted::add(&state_dir, &section)?;
        anyhow::Ok(())
    });
    let done = done.await.map_err(|_| Failure::conflict("the request broke off"))?;
    done.map_err(|error| Failure::conflict(&format!("it cannot be adopted: {error}")))?;
    Ok(told)
}

/// A name and a card that no machine has yet.
fn new_name(config: &Config, mac: Mac, name: &str) -> Result<String, Failure> {
    let shown = Text::from(name);
    let Ok(name) = host_name(name) else {
        return Err(Failure::bad(&format!("{:?} is no name of a host", shown.as_str())));
    };
    if config.machines.is_shared(mac) {
        return Err(Failure::bad("this card is shared: it tells nothing of a machine"));
    }
    if let Some(known) = config.machines.by_mac(mac) {
        return Err(Failure::bad(&format!("this machine is {} already", known.name)));
    }
    match config.machines.iter().find(|machine| machine.name.eq_ignore_ascii_case(&name)) {
        Some(known) => Err(Failure::bad(&format!("there is a machine {} already", known.name))),
        None => Ok(name),
    }
}

/// What it reported tells of it as well, unless that tells of another machine.
fn section(config: &Config, name: &str, mac: Mac, facts: &Facts, boot: Option<&str>) -> String {
    let uuid = facts.uuid().filter(|uuid| config.machines.by_uuid(*uuid).is_none());
    let serial = facts.get(Var::Serial).filter(|serial| config.machines.by_serial(serial).is_none());
    adopted_section(name, mac, uuid, serial, boot)
}
