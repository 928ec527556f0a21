//! The commands: one file each. Exit codes: 0 done, 1 failed with one clear line on stderr, 2 bad usage.

mod boots;
mod check;
mod client;
mod counters;
mod doctor;
mod explain;
mod image;
mod learned;
mod leases;
mod loaders;
mod machines;
mod overlay;
mod passwd;
mod probe;
mod progress;
mod prompt;
pub mod render;
mod rendered;
mod serve;
mod state;
mod subject;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

/// Boots machines over the network: DHCP, TFTP, HTTP and per-machine decisions from one config file.
#[derive(Parser)]
#[command(name = "bootlace", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in the foreground; logs `ready` when all sockets are bound
    Serve(serve::Serve),
    /// Read the config and its templates, and say all that is wrong
    Check(check::Check),
    /// Foretell the whole boot of a machine: every offer, script and file it would get, and why
    Explain(explain::Explain),
    /// Print what a machine gets of a file of the templates folder
    Render(rendered::Render),
    /// Look at the host and its networks for what would keep machines from booting, each with its fix
    Doctor(doctor::Doctor),
    /// Play machines on the wire, from the first DISCOVER to the last byte, against any server
    Probe(probe::Probe),
    /// Loaders that firmware is sent, and the signed ones of the iPXE project
    Loaders(loaders::Loaders),
    /// Machines of the config and those that were seen
    Machines(machines::Machines),
    /// Addresses and who holds them
    Leases(leases::Leases),
    /// How machines have to be booted, as their boots have taught, and pins
    Learned(learned::Learned),
    /// Images that disks of machines lie over
    Image(image::Image),
    /// What machines have written to their disks
    Overlay(overlay::Overlay),
    /// Boots that happened, with their timelines
    Boots(boots::Boots),
    /// Limits that were reached: what was refused, given up or forgotten
    Counters(counters::Counters),
    /// Hash a password as crypt(3) does, for answer files and the config
    Passwd(passwd::Passwd),
    /// Copy leases and history, put copies back, and look for damage
    State(state::State),
}

/// Where the config is.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// Config file
    #[arg(short, long, value_name = "FILE", default_value = "/etc/bootlace/bootlace.toml")]
    config: PathBuf,
}

/// How the answer is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people; may improve.
    Human,
    /// For programs; stable.
    Json,
}

/// `--json`.
#[derive(Args)]
pub(crate) struct JsonFlag {
    /// Print JSON, whose fields are stable
    #[arg(long)]
    json: bool,
}

impl JsonFlag {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Human }
    }
}

/// Prints an answer. Who reads only its beginning (`| head`) has read enough.
fn say(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot print the answer")
        }
        _ => Ok(()),
    }
}

/// Parses the command line and runs its command.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Render(command) => command.run(),
        Command::Doctor(command) => return command.run(),
        Command::Probe(command) => return command.run(),
        Command::Loaders(command) => command.run(),
        Command::Machines(command) => command.run(),
        Command::Leases(command) => command.run(),
        Command::Learned(command) => command.run(),
        Command::Image(command) => command.run(),
        Command::Overlay(command) => command.run(),
        Command::Boots(command) => command.run(),
        Command::Counters(command) => command.run(),
        Command::Passwd(command) => command.run(),
        Command::State(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bootlace: {error:#}");
            ExitCode::FAILURE
        }
    }
}
