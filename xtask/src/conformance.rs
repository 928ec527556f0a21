//! `cargo xtask conformance`: the checks of DHCP and TFTP against Bootlace and its peers, and the page about it.

use std::process::ExitCode;

use anyhow::Result;

use crate::gate::{self, Tally};
use crate::plan;
use crate::project::Project;
use crate::runner::{self, Logs};
use crate::scenario::conformance::page;

/// The scenario that leaves the table.
const SCENARIO: &str = "conformance-peers";

pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    gate::prepare(project)?;
    let mut tally = Tally::default();
    runner::run(project, plan::named(&[SCENARIO.to_owned()])?, Logs::Keep, |outcome| tally.scenario(outcome));
    // Also after a failure: then the table shows it.
    page::write(project.root(), &project.lab_dir().join(SCENARIO))?;
    println!("written to {}", page::FILE);
    Ok(tally.finish())
}
