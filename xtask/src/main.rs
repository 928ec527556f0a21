//! The project's own commands: `cargo xtask test`, `lab`, `conformance`, `demo`, `fuzz`, `bench`, `setup`, `tidy`.
#![forbid(unsafe_code)]

mod bench;
mod conformance;
mod demo;
mod fuzz;
mod gate;
mod lab;
mod mutate;
#[cfg(test)]
mod pages;
mod perfdhcp;
mod plan;
mod project;
mod record;
mod runner;
mod scenario;
mod setup;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::project::Project;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that must hold: what CI runs
    Test {
        /// Every scenario, not only those of the gate; goes on where the last run stopped
        #[arg(long)]
        full: bool,
        /// With --full: forget the last run
        #[arg(long, requires = "full")]
        fresh: bool,
    },
    /// Whole-machine scenarios
    #[command(subcommand)]
    Lab(LabCommand),
    /// Boot a virtual machine in front of your eyes
    Demo,
    /// What the demo's sandbox runs; not for people
    #[command(hide = true)]
    DemoInside,
    /// The rules of the code base that no compiler holds
    Tidy,
    /// Install the Debian packages that tests and demo need
    Setup,
    /// Check DHCP and TFTP of Bootlace and of its peers, and write docs/conformance.md
    Conformance,
    /// Hold the decoders and readers against hostile input
    Fuzz(fuzz::Arguments),
    /// Measure Bootlace beside its peers, and write BENCHMARKS.md
    Bench(bench::Arguments),
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Name every scenario
    List,
    /// Run scenarios by name
    Run {
        #[arg(required = true)]
        names: Vec<String>,
        /// Keep logs and captures of scenarios that passed, too
        #[arg(long)]
        keep: bool,
    },
    /// What a sandbox runs; not for people
    #[command(hide = true)]
    Inside { name: String, dir: PathBuf },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let project = Project::find()?;
    match command {
        Command::Test { full: false, .. } => gate::run(&project),
        Command::Test { full: true, fresh } => {
            let memory = if fresh { record::Memory::Forget } else { record::Memory::Resume };
            gate::run_full(&project, memory)
        }
        Command::Lab(LabCommand::List) => lab::list(&project),
        Command::Lab(LabCommand::Run { names, keep }) => {
            let logs = if keep { runner::Logs::Keep } else { runner::Logs::OfFailures };
            lab::run(&project, &names, logs)
        }
        Command::Lab(LabCommand::Inside { name, dir }) => lab::inside(&project, &name, dir),
        Command::Demo => demo::run(&project),
        Command::DemoInside => demo::inside(&project),
        Command::Tidy => tidy::run(&project),
        Command::Fuzz(arguments) => fuzz::run(&project, &arguments),
        Command::Bench(arguments) => bench::run(&project, &arguments),
        Command::Conformance => conformance::run(&project),
        Command::Setup => setup::run(&[setup::Need::Test]).map(|()| ExitCode::SUCCESS),
    }
}
