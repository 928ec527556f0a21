//! `cargo xtask bench`: Bootlace and its peers side by side, on this computer, in one run.
//!
//! What counts is the ratio of two servers that took turns under the same load within the same minutes; absolute
//! numbers only say what kind of computer it was. A bench is a list of [`Contest`]s; adding one is a file
//! beside `tftp/` and a line in [`Bench`].

mod contest;
mod cpu;
mod report;
mod tftp;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use bootlace_lab::sandbox;
use clap::{Args, Subcommand};

use crate::gate;
use crate::project::Project;
use crate::setup::{self, Need};
use contest::{Contest, Floor, Sample, Subject};

#[derive(Debug, Clone, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// How often every server has its turn
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Set by itself in the sandbox; not for people
    #[arg(long, global = true, hide = true)]
    inside: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Bench {
    /// One large file to several clients, against atftpd and dnsmasq
    Tftp,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Tftp => "tftp",
        }
    }

    fn run(self, bootlace: &Path, dir: &Path, rounds: u32) -> Result<Vec<contest::Standings>> {
        match self {
            Self::Tftp => tftp::run(bootlace, dir, rounds),
        }
    }
}

/// Prepares packages and the release build, then measures in a sandbox of its own.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.inside {
        return inside(project, arguments);
    }
    setup::run(&[Need::Test, Need::Bench])?;
    println!("building bootlace as users get it; the first time takes some minutes");
    gate::cargo(project, &["build", "--release", "--package", "bootlace"])?;
    let rounds = arguments.rounds.to_string();
    let again = ["bench", arguments.bench.name(), "--rounds", &rounds, "--inside"];
    let status = sandbox::command(project.exe(), again)?.status().context("start a sandbox")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn inside(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let bootlace = project.bootlace_release().context("this program lies in target/debug")?;
    let name = arguments.bench.name();
    let dir = memory_dir(project, name)?;
    let standings = arguments.bench.run(&bootlace, &dir, arguments.rounds)?;
    let short: Vec<String> = standings.iter().filter_map(contest::Standings::shortfall).collect();
    report::write(project.root(), name, arguments.rounds, &standings)?;
    println!("written to {}", report::FILE);
    if !short.is_empty() {
        bail!("below the floor: {}", short.join("; "));
    }
    Ok(ExitCode::SUCCESS)
}

/// An empty directory in memory, so that no disk takes part; it ends with the sandbox.
fn memory_dir(project: &Project, name: &str) -> Result<PathBuf> {
    let dir = project.lab_dir().join("bench").join(name);
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "mode=0755", "bench"])
        .arg(&dir)
        .status()
        .context("run mount")?;
    ensure!(status.success(), "cannot mount a tmpfs on {}", dir.display());
    Ok(dir)
}
