//! `bootlace boots`.

use anyhow::Result;
use clap::Args;

use super::client::Server;
use super::{Format, JsonFlag, table};
use crate::api::{BootDetail, BootView};

/// Boots that happened, newest first; with a number, one boot and its timeline.
#[derive(Args)]
pub(super) struct Boots {
    /// Number of one boot
    session: Option<u64>,
    /// Only boots of the machine with this MAC
    #[arg(long, value_name = "MAC")]
    mac: Option<bootlace_wire::Mac>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    json: JsonFlag,
}

impl Boots {
    pub(super) fn run(&self) -> Result<()> {
        let path = match (self.session, self.mac) {
            (Some(session), _) => format!("/api/v1/boots/{session}"),
            (None, Some(mac)) => format!("/api/v1/boots?mac={mac}"),
            (None, None) => "/api/v1/boots".to_owned(),
        };
        if self.json.format() == Format::Json {
            println!("{}", self.server.get(&path)?);
        } else if self.session.is_some() {
            print_one(self.server.read(&path)?);
        } else {
            print_list(self.server.read(&path)?);
        }
        Ok(())
    }
}

fn print_list(boots: Vec<BootView>) {
    let rows: Vec<_> = boots
        .into_iter()
        .map(|boot| {
            [
                boot.session.to_string(),
                boot.started,
                boot.machine.unwrap_or(boot.mac),
                boot.address.unwrap_or_default(),
                boot.stage,
                boot.boot.unwrap_or_default(),
                boot.by.unwrap_or_default(),
                boot.problem.unwrap_or_default(),
            ]
        })
        .collect();
    table::print(["BOOT", "STARTED", "MACHINE", "ADDRESS", "STAGE", "BOOTS", "BY", "PROBLEM"], &rows);
}

fn print_one(detail: BootDetail) {
    let boot = detail.boot;
    println!(
        "boot {} of {} ({})",
        boot.session,
        boot.machine.as_deref().unwrap_or("an unnamed machine"),
        boot.mac
    );
    println!("reached {}, {} bytes sent", boot.stage, boot.bytes);
    if let Some(problem) = boot.problem {
        println!("problem: {problem}");
    }
    for event in detail.timeline {
        let repeats = if event.repeats > 1 { format!(" (x{})", event.repeats) } else { String::new() };
        println!("{}  {}{repeats}", event.at, event.text);
        for line in event.trail {
            println!("    {line}");
        }
    }
}
