//! The checked configuration: every value is usable as it stands.
//!
//! The config file becomes a [`Config`] in steps that need no IO: the TOML text becomes tables that know their
//! place (`file`), the sections are read from them and checked against each other, templates are compiled.
//! All findings come back together, each with its place in the file. Texts of other files that the config
//! names are arguments: [`Draft::wanted`] tells which. A [`Config`] is immutable; reload builds another and swaps it.

mod adopted;
mod boots;
mod changes;
mod disk;
mod file;
mod install;
mod inventory;
mod iscsi;
mod keys;
mod machines;
mod names;
mod network;
mod options;
mod overrides;
mod passwords;
mod ranges_for;
mod report;
mod rules;
mod san;
mod scalar;
mod secrets;
mod services;
mod templates;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

pub use adopted::{adopted_file, adopted_section, may_be_absent};
pub use changes::{Changed, keep_what_needs_restart};
pub use disk::{DiskBoot, DiskChap, DiskMode, RAM_SPACE_DEFAULT, is_image_name};
pub use install::{Answer, Family, Install};
pub use inventory::{Identity, Machines};
pub use iscsi::{InitiatorPattern, IscsiConfig, IscsiTarget, TARGETS_MAX, TargetMode};
pub use passwords::{BCRYPT_ROUNDS_MAX, PASSWORDS_MAX, Passwords, SHA_ROUNDS_MAX, YESCRYPT_ROUNDS_MAX};
pub use san::{Chap, San, SanKernel};
pub use types::*;

use crate::finding::Finding;
use crate::nearest::nearest;
use file::Table;
use keys::{MACHINE, RULE, TOP};
use names::BootNames;
use report::{At, Report};
use toml::Spanned;
use toml::de::DeTable;

/// A name of a host as the config takes it, in a common form.
pub fn host_name(text: &str) -> Result<String, &'static str> {
    let name = scalar::host_name(text).map_err(|(wrong, _)| wrong)?;
    if name.len() > NAME_BYTES_MAX { Err("is too long") } else { Ok(name) }
}

/// A span of time as the config writes it: 10s, 30m, 12h, 7d, 2w. The error tells how to write it.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    scalar::duration(text).map_err(|(_, fix)| fix)
}

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

/// The other files that a config names, by the path that [`Draft::wanted`] gave: the text, or why it cannot be read.
pub type Files = BTreeMap<PathBuf, Result<String, String>>;

/// A config that can be served.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked values.
    pub config: Config,
    /// What will surprise; never an error.
    pub warnings: Vec<Finding>,
}

/// A config file that was parsed, before the files that it names were read.
///
/// Parsing is most of the work for a file of many machines: who needs both, [`Draft::wanted`] and [`Draft::load`], does
/// it once.
pub struct Draft<'a> {
    main: &'a Source,
    /// `None` when it is no TOML, which leaves nothing to go on with.
    document: Option<Spanned<DeTable<'a>>>,
    mistakes: Vec<Finding>,
}

impl<'a> Draft<'a> {
    /// Parses the text. What is wrong with it is what [`Draft::load`] returns.
    pub fn parse(main: &'a Source) -> Self {
        let nothing = Files::new();
        let mut report = Report::new(main, &nothing);
        let document = file::parse(&main.text, &mut report);
        Self { main, document, mistakes: report.finish().0 }
    }

    /// The files whose text [`Draft::load`] needs: scripts, secrets and adopted machines. Only boots, passwords and iSCSI targets name some; they are read as
    /// [`Draft::load`] does, with no file to be had, so that the two cannot differ.
    pub fn wanted(&self) -> BTreeSet<PathBuf> {
        let nothing = Files::new();
        let mut report = Report::new(self.main, &nothing);
        if let Some(document) = &self.document {
            let top = Table::document(document);
            read_boots(&top, &mut report);
            passwords::read(&top, &mut report);
            iscsi::read(&top, &mut report);
            let state_dir = state_dir(&top, &mut report);
            report.file(&adopted_file(&state_dir));
        }
        report.finish().1
    }

    /// Checks everything. All mistakes come back at once, in the order of the file, with the warnings among them.
    pub fn load(&self, files: &Files) -> Result<Loaded, Vec<Finding>> {
        let Some(document) = &self.document else { return Err(self.mistakes.clone()) };
        let mut report = Report::new(self.main, files);
        let config = read(document, &mut report);
        let failed = report.has_errors();
        let (findings, _) = report.finish();
        match config {
            Some(config) if !failed => Ok(Loaded { config, warnings: findings }),
            _ => Err(findings),
        }
    }
}

/// The files whose text [`load`] needs.
pub fn wanted(main: &Source) -> BTreeSet<PathBuf> {
    Draft::parse(main).wanted()
}

/// Reads and checks a config whose files were read.
pub fn load(main: &Source, files: &Files) -> Result<Loaded, Vec<Finding>> {
    Draft::parse(main).load(files)
}

/// The boots of a file, and where each stands.
struct Boots<'a> {
    tables: Vec<(At<BootName>, Table<'a>)>,
    names: BootNames,
    by_name: BTreeMap<BootName, Boot>,
    implicit: BootName,
    templates: PathBuf,
}

/// Reads every boot; those with mistakes are reported and left out.
fn read_boots<'a>(top: &Table<'a>, report: &mut Report<'_>) -> Option<Boots<'a>> {
    let templates = path(top, "templates", "templates", report);
    report.set_templates(templates.clone());
    let tables = boots::tables(top, report);
    let implicit = boots::implicit()?;
    let mut names: BTreeSet<_> = tables.iter().map(|(name, _)| name.value.clone()).collect();
    names.insert(implicit.name.clone());
    let names = BootNames(names);
    let name = implicit.name.clone();
    let mut by_name = BTreeMap::from([(name.clone(), implicit)]);
    for (name, table) in &tables {
        if let Some(boot) = boots::boot(name, table, &names, report) {
            by_name.insert(boot.name.clone(), boot);
        }
    }
    Some(Boots { tables, names, by_name, implicit: name, templates })
}

fn path(top: &Table<'_>, key: &str, default: &str, report: &mut Report<'_>) -> PathBuf {
    services::path(top, key, report).unwrap_or_else(|| report.resolve(default))
}

fn state_dir(top: &Table<'_>, report: &mut Report<'_>) -> PathBuf {
    path(top, "state_dir", "/var/lib/bootlace", report)
}

/// Reads everything that can be read; the result is only worth something when no error was reported.
fn read(document: &Spanned<DeTable<'_>>, report: &mut Report<'_>) -> Option<Config> {
    let top = Table::document(document).known_only(&TOP, report);
    let Boots { tables: boot_tables, names, by_name: boots, implicit, templates } = read_boots(&top, report)?;
    let (passwords, password_names) = passwords::read(&top, report);
    let server = top.parsed("server", scalar::address, report);
    let network = network::read(&top, report);
    let machine_tables = top.sections("machine", &MACHINE, report);
    let machines = machines::read(&machine_tables, &names, &network, report);
    let state_dir = state_dir(&top, report);
    let machines = {
        let adopted = adopted::read(&state_dir, &names, &network, &machines, report);
        [machines, adopted].concat()
    };
    let shared = machines::shared(&top, &machines, report);
    let reserved: BTreeSet<_> = machines.iter().filter_map(|machine| machine.address).collect();
    let is_reserved = |address| reserved.contains(&address);
    network::nothing_lent_twice(&network.placed, server.as_ref(), is_reserved, report);
    let rule_tables = top.sections("rule", &RULE, report);
    let rules = rules::read(&rule_tables, &names, report);
    let overrides = machines.iter().map(|m| &m.overrides).chain(rules.iter().map(|r| &r.overrides));
    let set: BTreeSet<_> =
        overrides.flat_map(|overrides| overrides.vars.keys()).map(String::as_str).collect();
    for (name, _) in &boot_tables {
        let Some(boot) = boots.get(&name.value) else { continue };
        boots::vars_are_set(boot, name, &set, report);
        boots::passwords_exist(boot, name, &password_names, report);
    }
    let default = top.text("default", report).and_then(|text| names.find(&text, report));
    Some(Config {
        interfaces: services::interfaces(&top, report),
        server: server.map(|server| server.value),
        hostname: top.parsed("hostname", scalar::host_name, report).map(|name| name.value),
        state_dir,
        boot_dir: path(&top, "boot_dir", "/srv/boot", report),
        images: path(&top, "images", "/srv/images", report),
        follow: services::follow(&top, report),
        templates,
        default: default.unwrap_or(implicit),
        user: services::user(&top, report),
        sandbox: services::sandbox(&top, report),
        dhcp: network.config,
        tftp: services::tftp(&top, report),
        http: services::http(&top, report),
        ipv6_wait: services::ipv6_wait(&top, report),
        learn: services::learn(&top, report),
        iscsi: iscsi::read(&top, report),
        admin: services::admin(&top, report),
        boots,
        passwords,
        machines: Machines::from(machines).sharing(shared),
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
