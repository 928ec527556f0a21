//! `cargo xtask test`: everything that must hold, from the packages to whole machines.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bootlace_lab::Guest;

use crate::plan;
use crate::project::Project;
use crate::record::{Memory, Record};
use crate::runner::{self, Logs, Outcome};
use crate::scenario;
use crate::setup::{self, Need};
use crate::tidy;

/// Counts results, prints each as a line, and ends with their sum.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    pub(crate) fn scenario(&mut self, outcome: &Outcome) {
        self.add(outcome.name, outcome.seconds, &outcome.result);
    }

    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        println!("---- {name}");
        let started = Instant::now();
        let result = work();
        self.add(name, started.elapsed().as_secs_f64(), &result);
    }

    fn add(&mut self, name: &str, seconds: f64, result: &Result<()>) {
        let word = if result.is_ok() { "passed" } else { "FAILED" };
        println!("{name:<40} {seconds:>7.1} s  {word}");
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                self.failed += 1;
                println!("{error:#}");
            }
        }
    }

    pub(crate) fn finish(&self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Runs the gate.
pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    let mut tally = Tally::default();
    steps(project, &mut tally)?;
    runner::run(project, plan::gate()?, Logs::OfFailures, |outcome| tally.scenario(outcome));
    Ok(tally.finish())
}

/// Runs everything there is, except for scenarios that a run before has seen to pass.
pub(crate) fn run_full(project: &Project, memory: Memory) -> Result<ExitCode> {
    let mut tally = Tally::default();
    steps(project, &mut tally)?;
    let mut record = Record::open(project, memory)?;
    let mut plan = plan::all()?;
    plan.retain(|planned| match record.passed_on(planned.scenario.name) {
        Some(commit) => {
            println!("{:<40} passed on {commit}, not repeated (--fresh repeats)", planned.scenario.name);
            false
        }
        None => true,
    });
    let mut forgotten = Ok(());
    runner::run(project, plan, Logs::OfFailures, |outcome| {
        tally.scenario(outcome);
        if outcome.result.is_ok() {
            forgotten =
                std::mem::replace(&mut forgotten, Ok(())).and(record.pass(outcome.name, outcome.seconds));
        }
    });
    forgotten?;
    Ok(tally.finish())
}

/// Everything that scenarios need: packages, the test guest and the server.
pub(crate) fn prepare(project: &Project) -> Result<()> {
    setup::run(&[Need::Test])?;
    Guest::fetch(&project.cache_dir())?;
    scenario::fetch_packages(&project.cache_dir())?;
    cargo(project, &["build", "--package", "bootlace", "--locked"])?;
    let bootlace = project.bootlace();
    ensure!(bootlace.is_file(), "the build did not make {}", bootlace.display());
    Ok(())
}

/// The steps before the scenarios, cheapest first. A step that fails does not keep the others from telling
/// what they find; without packages or a server there is nothing to go on with.
fn steps(project: &Project, tally: &mut Tally) -> Result<()> {
    setup::run(&[Need::Test])?;
    tally.step("tidy", || tidy::check(project));
    tally.step("fmt", || cargo(project, &["fmt", "--all", "--check"]));
    tally.step("clippy", || {
        cargo(project, &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
    });
    tally.step("doc", || doc(project));
    tally.step("tests", || tests(project));
    prepare(project)
}

fn tests(project: &Project) -> Result<()> {
    let nextest = Command::new("cargo").args(["nextest", "--version"]).output();
    if nextest.is_ok_and(|output| output.status.success()) {
        return cargo(project, &["nextest", "run", "--workspace", "--locked"]);
    }
    cargo(project, &["test", "--workspace", "--locked"])
}

fn doc(project: &Project) -> Result<()> {
    run_cargo(
        cargo_command(project, &["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

pub(crate) fn cargo(project: &Project, arguments: &[&str]) -> Result<()> {
    run_cargo(&mut cargo_command(project, arguments))
}

/// Cargo in the workspace.
pub(crate) fn cargo_command(project: &Project, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(project.root());
    // What `cargo run` told this program about itself is not true of the builds that it starts.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run_cargo(command: &mut Command) -> Result<()> {
    let status = command.status().context("run cargo")?;
    ensure!(status.success(), "cargo failed ({status}), see above");
    Ok(())
}
