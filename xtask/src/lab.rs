//! `cargo xtask lab`: single scenarios.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::gate::{self, Tally};
use crate::plan;
use crate::project::Project;
use crate::runner::{self, Logs};
use crate::scenario::{self, Context};

pub(crate) fn list(_project: &Project) -> Result<ExitCode> {
    let in_gate: Vec<&str> = plan::gate()?.iter().map(|planned| planned.scenario.name).collect();
    for planned in plan::all()? {
        let scenario = planned.scenario;
        let mark = if in_gate.contains(&scenario.name) { "gate" } else { "" };
        println!("{:<32} {:>4} s  {mark:<4}  {}", scenario.name, planned.seconds, scenario.shows);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(project: &Project, names: &[String], logs: Logs) -> Result<ExitCode> {
    let plan = plan::named(names)?;
    gate::prepare(project)?;
    let mut tally = Tally::default();
    runner::run(project, plan, logs, |outcome| tally.scenario(outcome));
    Ok(tally.finish())
}

/// Runs one scenario in this process, which is the first of a sandbox.
pub(crate) fn inside(project: &Project, name: &str, dir: PathBuf) -> Result<ExitCode> {
    let context = Context::new(project, dir);
    (scenario::find(name)?.run)(&context)?;
    Ok(ExitCode::SUCCESS)
}
