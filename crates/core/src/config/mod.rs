//! The checked configuration: every value is usable as it stands.
//!
//! The config file becomes a [`Config`] in steps that need no IO: the TOML text becomes tables that know their
//! place (`file`), the sections are read from them and checked against each other, templates are compiled.
//! All findings come back together, each with its place in the file. Texts of other files that the config
//! names are arguments: [`wanted`] tells which. A [`Config`] is immutable; reload builds another and swaps it.

mod boots;
mod changes;
mod file;
mod inventory;
mod keys;
mod later;
mod machines;
mod names;
mod network;
mod options;
mod overrides;
mod ranges_for;
mod report;
mod rules;
mod san;
mod scalar;
mod services;
mod templates;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use changes::{Changed, keep_what_needs_restart};
pub use inventory::{Identity, Machines};
pub use types::*;

use crate::finding::Finding;
use crate::nearest::nearest;
use file::Table;
use keys::{MACHINE, RULE, TOP};
use names::BootNames;
use report::Report;

/// The config file.
#[derive(Clone, Debug)]
pub struct Source {
    /// What findings call it: the path as the user gave it.
    pub name: String,
    /// Where its relative paths start: the folder that it is in.
    pub folder: PathBuf,
    /// Its text.
    pub text: String,
}

/// The other files that a config names, by the path that [`wanted`] gave: the text, or why it cannot be read.
pub type Files = BTreeMap<PathBuf, Result<String, String>>;

/// A config that can be served.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked values.
    pub config: Config,
    /// What will surprise; never an error.
    pub warnings: Vec<Finding>,
}

/// The files whose text [`load`] needs: scripts and secrets. It is the same reading with nothing to read, so
/// that the two cannot differ.
pub fn wanted(main: &Source) -> BTreeSet<PathBuf> {
    let nothing = Files::new();
    let mut report = Report::new(main, &nothing);
    read(main, &mut report);
    report.finish().1
}

/// Reads and checks a config. All mistakes come back at once, in the order of the file, with the warnings
/// among them.
pub fn load(main: &Source, files: &Files) -> Result<Loaded, Vec<Finding>> {
    let mut report = Report::new(main, files);
    let config = read(main, &mut report);
    let failed = report.has_errors();
    let (findings, _) = report.finish();
    match config {
        Some(config) if !failed => Ok(Loaded { config, warnings: findings }),
        _ => Err(findings),
    }
}

/// Reads everything that can be read; the result is only worth something when no error was reported.
fn read(main: &Source, report: &mut Report<'_>) -> Option<Config> {
    let document = file::parse(&main.text, report)?;
    let top = Table::document(&document).known_only(&TOP, report);
    let path = |key: &str, default: &str, report: &mut Report<'_>| {
        services::path(&top, key, report).unwrap_or_else(|| report.resolve(default))
    };
    let templates = path("templates", "templates", report);
    report.set_templates(templates.clone());

    let boot_tables = boots::tables(&top, report);
    let implicit = boots::implicit()?;
    let mut names: BTreeSet<_> = boot_tables.iter().map(|(name, _)| name.value.clone()).collect();
    names.insert(implicit.name.clone());
    let names = BootNames(names);
    let mut boots = BTreeMap::from([(implicit.name.clone(), implicit.clone())]);
    for (name, table) in &boot_tables {
        if let Some(boot) = boots::boot(name, table, &names, report) {
            boots.insert(boot.name.clone(), boot);
        }
    }

    let server = top.parsed("server", scalar::address, report);
    let network = network::read(&top, report);
    let machine_tables = top.sections("machine", &MACHINE, report);
    let machines = machines::read(&machine_tables, &names, &network, report);
    let reserved: BTreeSet<_> = machines.iter().filter_map(|machine| machine.address).collect();
    let is_reserved = |address| reserved.contains(&address);
    network::nothing_lent_twice(&network.placed, server.as_ref(), is_reserved, report);
    let rule_tables = top.sections("rule", &RULE, report);
    let rules = rules::read(&rule_tables, &names, report);
    let overrides = machines.iter().map(|m| &m.overrides).chain(rules.iter().map(|r| &r.overrides));
    let set: BTreeSet<_> =
        overrides.flat_map(|overrides| overrides.vars.keys()).map(String::as_str).collect();
    for (name, _) in &boot_tables {
        boots.get(&name.value).into_iter().for_each(|boot| boots::vars_are_set(boot, name, &set, report));
    }
    let default = top.text("default", report).and_then(|text| names.find(&text, report));
    Some(Config {
        interfaces: services::interfaces(&top, report),
        server: server.map(|server| server.value),
        hostname: top.parsed("hostname", scalar::host_name, report).map(|name| name.value),
        state_dir: path("state_dir", "/var/lib/bootlace", report),
        boot_dir: path("boot_dir", "/srv/boot", report),
        follow: services::follow(&top, report),
        templates,
        default: default.unwrap_or(implicit.name),
        user: services::user(&top, report),
        sandbox: services::sandbox(&top, report),
        dhcp: network.config,
        tftp: services::tftp(&top, report),
        http: services::http(&top, report),
        ipv6_wait: services::ipv6_wait(&top, report),
        learn: services::learn(&top, report),
        admin: services::admin(&top, report),
        boots,
        machines: machines.into(),
        rules,
    })
}

/// The finding for a word that is none of the known ones.
fn one_of(key: &str, word: &str, known: &[&str]) -> Finding {
    let fix = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("use one of: {}", known.join(", ")),
    };
    Finding::error("config-value", format!("{key} cannot be \"{}\"", word.escape_debug())).fix(fix)
}
