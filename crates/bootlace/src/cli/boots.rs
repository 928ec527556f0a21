//! `bootlace boots`.

use anyhow::Result;
use clap::Args;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
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
        let text = match (self.json.format(), self.session) {
            (Format::Json, _) => self.server.get(&path)?,
            (Format::Human, Some(_)) => one(self.server.read(&path)?),
            (Format::Human, None) => list(self.server.read(&path)?),
        };
        say(&text)
    }
}

fn list(boots: Vec<BootView>) -> String {
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
    table::table(["BOOT", "STARTED", "MACHINE", "ADDRESS", "STAGE", "BOOTS", "BY", "PROBLEM"], &rows)
}

fn one(detail: BootDetail) -> String {
    let boot = detail.boot;
    let mut lines = vec![
        format!(
            "boot {} of {} ({})",
            boot.session,
            boot.machine.as_deref().unwrap_or("an unnamed machine"),
            boot.mac
        ),
        format!("reached {}, {} bytes sent", boot.stage, boot.bytes),
    ];
    lines.extend(boot.problem.map(|problem| format!("problem: {problem}")));
    for event in detail.timeline {
        let more = if event.repeats > 0 { format!(" (and {} more)", event.repeats) } else { String::new() };
        lines.push(format!("{}  {}{more}", event.at, event.text));
        lines.extend(event.trail.iter().map(|line| format!("    {line}")));
    }
    lines.join("\n")
}
