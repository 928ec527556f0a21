//! `/api/v1/machines/adopt`: a machine that was seen gets a name.

use axum::Json;
use axum::extract::State;
use bootlace_core::config::{BootName, Config, Draft, adopted_file, adopted_section, host_name};
use bootlace_core::finding::{Finding, Severity};
use bootlace_core::model::{Facts, Text, Var};
use bootlace_store::JournalReader;
use bootlace_wire::Mac;
use serde::Deserialize;

use super::{Admin, Failure, next_boot};
use crate::{adopted, sources};

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
    let _one_at_a_time = admin.adopting.clone().lock_owned().await;
    let done = tokio::task::spawn_blocking(move || add(&admin, mac, &adopt));
    let name = done.await.map_err(|_| Failure::conflict("the request broke off"))??;
    Ok(format!("{mac} is {name}\n"))
}

/// Adds it to the file, unless the config could not be used with it. What is in force may be older than the files are, so
/// those are read as a reload reads them.
fn add(admin: &Admin, mac: Mac, adopt: &Adopt) -> Result<String, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::conflict(&format!("it cannot be adopted: {}", Text::from(error.to_string().as_str())))
    };
    let source = sources::read(&admin.config).map_err(|error| unreadable(&format_args!("{error:#}")))?;
    let draft = Draft::parse(&source);
    let mut files = sources::read_files(draft.wanted());
    let file = adopted_file(&admin.state_dir);
    let text = adopted::read(&admin.state_dir).map_err(|error| unreadable(&error))?;
    files.insert(file.clone(), Ok(text.clone()));
    let config = draft.load(&files).map_err(|findings| unusable(&findings))?.config;
    let boot = adopt.boot.as_deref().map(|boot| next_boot::boot(&config, boot)).transpose()?;
    let name = new_name(&config, mac, &adopt.name)?;
    admin.catch_up();
    let facts = JournalReader::open(&admin.state_dir)?.machine(mac.into())?.map(|seen| seen.facts);
    let boot = boot.as_ref().map(BootName::as_str);
    let text = adopted::with(&text, &section(&config, &name, mac, &facts.unwrap_or_default(), boot));
    files.insert(file, Ok(text.clone()));
    draft.load(&files).map_err(|findings| unusable(&findings))?;
    adopted::write(&admin.state_dir, &text).map_err(|error| unreadable(&error))?;
    Ok(name)
}

/// The first of the findings that keep a config out.
fn unusable(findings: &[Finding]) -> Failure {
    let error = findings.iter().find(|finding| finding.severity == Severity::Error);
    let file = error.and_then(|error| error.place.as_ref()).map(|place| format!("{}: ", place.file));
    let error = error.map(ToString::to_string).unwrap_or_default();
    Failure::bad(&format!("it cannot be adopted: {}{error}", file.unwrap_or_default()))
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
