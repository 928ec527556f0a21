//! Machines that were named while the server ran: a file of `[[machine]]` sections in the state folder, which counts as if
//! it stood behind the config. Where the two tell of the same, the config counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bootlace_wire::Mac;

use super::file::{self, Table};
use super::keys::{MACHINE, Section};
use super::machines::{self, Mark};
use super::names::BootNames;
use super::network::Network;
use super::report::Report;
use super::types::Machine;
use super::{Files, Source};
use crate::finding::Finding;
use crate::model::{Uuid, is_placeholder};

/// The file, in the state folder. In a folder of its own, where nothing else changes.
const FILE: &str = "adopted/machines.toml";

static SECTION: Section = Section { title: "the file of adopted machines", keys: &["machine"] };

/// Where adopted machines of a server are.
pub fn adopted_file(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Whether a file that a config names need not be there: nobody has to have adopted a machine.
pub fn may_be_absent(path: &Path) -> bool {
    path.ends_with(FILE)
}

/// Reads them. Those that the config has as well are left out, which is told.
pub(super) fn read(
    state_dir: &Path,
    names: &BootNames,
    network: &Network,
    known: &[Machine],
    report: &mut Report<'_>,
) -> Vec<Machine> {
    let path = adopted_file(state_dir);
    let text = match report.file(&path) {
        None => return Vec::new(),
        Some(Ok(text)) => text,
        Some(Err(why)) => {
            let message = format!("cannot read the adopted machines of {}: {why}", path.display());
            let fix = "run it as the user that serves, or as root";
            report.warn(Finding::error("config-file", message).fix(fix));
            return Vec::new();
        }
    };
    let source = Source { name: path.display().to_string(), folder: PathBuf::new(), text: text.clone() };
    let nothing = Files::new();
    let mut own = Report::new(&source, &nothing);
    let Some(document) = file::parse(&source.text, &mut own) else {
        report.take(own);
        return Vec::new();
    };
    let top = Table::document(&document).known_only(&SECTION, &mut own);
    let tables = top.sections("machine", &MACHINE, &mut own);
    let mut machines = machines::read(&tables, names, network, &mut own);
    if machines.is_empty() {
        report.take(own);
        return machines;
    }
    let known: HashMap<Mark, &str> = known
        .iter()
        .flat_map(|known| Mark::of(known).into_iter().map(|mark| (mark, known.name.as_str())))
        .collect();
    machines.retain(|machine| {
        let Some(name) = Mark::of(machine).iter().find_map(|mark| known.get(mark)) else { return true };
        let own_name = &machine.name;
        let message =
            format!("the adopted machine `{own_name}` does not count: the config has it as `{name}`");
        let fix = format!("take it out of {}", source.name);
        own.warn(Finding::warning("config-adopted", message).fix(fix));
        false
    });
    report.take(own);
    machines
}

/// The section of a machine, by what it has reported. What tells nothing of it is left out.
pub fn adopted_section(
    name: &str,
    mac: Mac,
    uuid: Option<Uuid>,
    serial: Option<&str>,
    boot: Option<&str>,
) -> String {
    let text = |value: &str| toml::Value::String(value.to_owned()).to_string();
    let mut section = format!("[[machine]]\nname = {}\nmac = \"{mac}\"\n", text(name));
    if let Some(uuid) = uuid.filter(|uuid| uuid.is_unique()) {
        section.push_str(&format!("uuid = \"{uuid}\"\n"));
    }
    if let Some(serial) = serial.filter(|serial| !serial.trim().is_empty() && !is_placeholder(serial)) {
        section.push_str(&format!("serial = {}\n", text(serial)));
    }
    if let Some(boot) = boot {
        section.push_str(&format!("boot = {}\n", text(boot)));
    }
    section
}
