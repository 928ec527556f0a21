//! `cargo xtask bench`: Bootlace and its peers side by side, on this computer, in one run.
//!
//! What counts is the ratio of two servers that took turns under the same load within the same minutes; absolute
//! numbers only say what kind of computer it was. Most benches are a list of [`Contest`]s; adding one is a
//! file beside `tftp/` and a line in [`Bench`].

mod contest;
mod cpu;
mod dhcp;
mod growth;
mod http;
mod iscsi;
mod report;
mod script;
mod start;
mod storm;
mod tftp;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use bootlace_lab::sandbox;
use clap::{Args, Subcommand};

use crate::gate;
use crate::project::Project;
use crate::setup::{self, Need};
use contest::{Bound, Contest, Floor, Sample, Standings, Subject};
pub(crate) use script::apache as apache_config;

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
    /// Four-way exchanges with durable leases, against Kea and dnsmasq
    Dhcp,
    /// One large file to several clients, against atftpd and dnsmasq
    Tftp,
    /// Large files, against nginx
    Http,
    /// Reads and writes of an iSCSI disk, against tgt
    Iscsi,
    /// Boot decisions, against PHP in apache
    Script,
    /// 500 machines at once, against dnsmasq and apache
    Storm,
    /// Time to `ready`, and memory
    Start,
    /// How cost grows with machines, leases and sessions; system calls of each operation
    Growth,
    /// One after the other
    All,
}

/// Where the files of a bench are.
#[derive(Debug, Clone, Copy)]
enum Medium {
    /// So that no disk takes part.
    Memory,
    /// For what has to be durable.
    Disk,
}

impl Bench {
    const EACH: [Self; 8] = [
        Self::Dhcp,
        Self::Tftp,
        Self::Http,
        Self::Iscsi,
        Self::Script,
        Self::Storm,
        Self::Start,
        Self::Growth,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Tftp => "tftp",
            Self::Http => "http",
            Self::Iscsi => "iscsi",
            Self::Script => "script",
            Self::Storm => "storm",
            Self::Start => "start",
            Self::Growth => "growth",
            Self::All => "all",
        }
    }

    fn medium(self) -> Medium {
        match self {
            Self::Dhcp | Self::Start | Self::Growth => Medium::Disk,
            Self::Tftp | Self::Http | Self::Iscsi | Self::Script | Self::Storm | Self::All => Medium::Memory,
        }
    }

    /// Measures; returns what to write and what falls short.
    fn run(self, bootlace: &Path, dir: &Path, rounds: u32) -> Result<(String, Vec<String>)> {
        let standings = match self {
            Self::Dhcp => dhcp::run(bootlace, dir, rounds)?,
            Self::Tftp => tftp::run(bootlace, dir, rounds)?,
            Self::Http => http::run(bootlace, dir, rounds)?,
            Self::Iscsi => iscsi::run(bootlace, dir, rounds)?,
            Self::Script => script::run(bootlace, dir, rounds)?,
            Self::Storm => storm::run(bootlace, dir, rounds)?,
            Self::Start => {
                let start = start::run(bootlace, dir, rounds)?;
                return Ok((start.table(), start.shortfall().into_iter().collect()));
            }
            Self::Growth => return growth::run(bootlace, dir, rounds),
            Self::All => bail!("each bench has a sandbox of its own"),
        };
        let tables = standings.iter().map(report::table).collect();
        Ok((tables, standings.iter().filter_map(Standings::shortfall).collect()))
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
    let benches = match arguments.bench {
        Bench::All => Bench::EACH.to_vec(),
        one => vec![one],
    };
    let mut short = Vec::new();
    for bench in benches {
        let rounds = arguments.rounds.to_string();
        let again = ["bench", bench.name(), "--rounds", &rounds, "--inside"];
        let status = sandbox::command(project.exe(), again)?.status().context("start a sandbox")?;
        if !status.success() {
            short.push(bench.name());
        }
    }
    ensure!(short.is_empty(), "failed, or below the floor: {}", short.join(", "));
    Ok(ExitCode::SUCCESS)
}

fn inside(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let bootlace = project.bootlace_release().context("this program lies in target/debug")?;
    let name = arguments.bench.name();
    let dir = match arguments.bench.medium() {
        Medium::Memory => memory_dir(project, name)?,
        Medium::Disk => disk_dir(project, name)?,
    };
    let (tables, short) = arguments.bench.run(&bootlace, &dir, arguments.rounds)?;
    report::write(project.root(), name, arguments.rounds, &tables)?;
    println!("written to {}", report::FILE);
    if !short.is_empty() {
        bail!("below the floor: {}", short.join("; "));
    }
    Ok(ExitCode::SUCCESS)
}

/// An empty directory on the disk of the build, kept until the next run.
fn disk_dir(project: &Project, name: &str) -> Result<PathBuf> {
    let dir = project.lab_dir().join("bench").join(name);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("empty {}", dir.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    Ok(dir)
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
