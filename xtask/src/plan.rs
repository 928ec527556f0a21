//! `gate.toml`: what each scenario costs, and which of them are in the gate.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::scenario::{self, Scenario};

const GATE: &str = include_str!("../gate.toml");
/// What the gate's scenarios may take one after another. Two run at a time, so this is half as long on the
/// clock; a clean build and the other tests take the rest of the gate's thirty minutes.
#[cfg(test)]
const GATE_SECONDS_MAX: u32 = 20 * 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GateFile {
    scenario: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    seconds: u32,
    gate: bool,
    #[serde(default)]
    alone: bool,
}

/// Whether a scenario bears company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// May run beside another one.
    Shared,
    /// Measures, or needs the whole computer.
    Alone,
}

/// A scenario and what is expected of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) scenario: &'static Scenario,
    pub(crate) seconds: u32,
    pub(crate) load: Load,
}

/// The scenarios of `cargo xtask test`.
pub(crate) fn gate() -> Result<Vec<Planned>> {
    planned(|entry| entry.gate)
}

/// All scenarios.
pub(crate) fn all() -> Result<Vec<Planned>> {
    planned(|_| true)
}

/// The scenarios called `names`.
pub(crate) fn named(names: &[String]) -> Result<Vec<Planned>> {
    for name in names {
        scenario::find(name)?;
    }
    planned(|entry| names.contains(&entry.name))
}

impl Entry {
    fn planned(&self) -> Result<Planned> {
        let load = if self.alone { Load::Alone } else { Load::Shared };
        Ok(Planned { scenario: scenario::find(&self.name)?, seconds: self.seconds, load })
    }
}

fn planned(wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Planned>> {
    entries()?.iter().filter(|entry| wanted(entry)).map(Entry::planned).collect()
}

fn entries() -> Result<Vec<Entry>> {
    let file: GateFile = toml::from_str(GATE).context("xtask/gate.toml")?;
    Ok(file.scenario)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn gate_toml_and_the_registry_agree() {
        let entries = entries().unwrap();
        let listed: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let registered: BTreeSet<&str> = scenario::all().map(|scenario| scenario.name).collect();
        assert_eq!(listed, registered, "left: xtask/gate.toml, right: the registry in xtask/src/scenario");
        assert_eq!(listed.len(), entries.len(), "gate.toml lists a scenario twice");
        assert_eq!(registered.len(), scenario::all().count(), "two scenarios share a name");
    }

    #[test]
    fn the_gate_keeps_its_budget() {
        let sum: u32 = gate().unwrap().iter().map(|planned| planned.seconds).sum();
        assert!(
            sum <= GATE_SECONDS_MAX,
            "the gate's scenarios take {sum} s, more than {GATE_SECONDS_MAX} s: move some to --full only"
        );
    }
}
