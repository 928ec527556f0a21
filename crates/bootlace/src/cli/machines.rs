//! `bootlace machines`.

use std::time::Duration;

use anyhow::Result;
use bootlace_wire::Mac;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::{MachineView, NextBootView};

const PATH: &str = "/api/v1/machines";

/// Machines of the config and those that were seen; what one of them boots once, and names for those that have none.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Machines {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    json: JsonFlag,
}

#[derive(Subcommand)]
enum Verb {
    /// Say what a machine boots the next time, and then no more
    NextBoot(NextBoot),
    /// Name a machine that was seen
    Adopt(Adopt),
}

#[derive(Args)]
struct Adopt {
    /// MAC of the machine, as `bootlace machines` and its screen show it
    mac: Mac,
    /// Its name from now on
    name: String,
    /// What it boots; without, what rules and default say
    #[arg(long, value_name = "BOOT")]
    boot: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
struct NextBoot {
    /// Name of a machine of the config, or a MAC
    machine: String,
    /// What it boots
    #[arg(required_unless_present = "cancel", conflicts_with = "cancel")]
    boot: Option<String>,
    /// Only if the machine reports this serial number
    #[arg(long, value_name = "SERIAL", conflicts_with = "cancel")]
    confirm: Option<String>,
    /// Only within this time, such as 2h
    #[arg(long, value_name = "TIME", value_parser = span, conflicts_with = "cancel")]
    expires: Option<Duration>,
    /// Take back what was said before
    #[arg(long)]
    cancel: bool,
    #[command(flatten)]
    server: Server,
}

fn span(text: &str) -> Result<Duration, String> {
    bootlace_core::config::duration(text).map_err(str::to_owned)
}

impl Machines {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Some(Verb::NextBoot(next)) => next.run(),
            Some(Verb::Adopt(adopt)) => adopt.run(),
            None => self.list(),
        }
    }

    fn list(&self) -> Result<()> {
        if self.json.format() == Format::Json {
            return say(&self.server.get(PATH)?);
        }
        let machines: Vec<MachineView> = self.server.read(PATH)?;
        let conflicts: Vec<String> = machines
            .iter()
            .filter_map(|machine| Some(format!("{}: {}", machine.name.as_ref()?, machine.conflict.as_ref()?)))
            .collect();
        let rows: Vec<_> = machines
            .into_iter()
            .map(|machine| {
                let fact = |name: &str| machine.facts.get(name).cloned();
                let model = [fact("manufacturer"), fact("product")]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" ");
                [
                    machine.name.unwrap_or_default(),
                    machine.macs.join(","),
                    machine.address.unwrap_or_default(),
                    machine.serial.or(fact("serial")).unwrap_or_default(),
                    model,
                    machine.last_seen.unwrap_or_else(|| "never".to_owned()),
                    machine.next_boot.map(|next| brief(&next)).unwrap_or_default(),
                ]
            })
            .collect();
        let table = table::table(["NAME", "MAC", "ADDRESS", "SERIAL", "MODEL", "SEEN", "NEXT BOOT"], &rows);
        say(&[vec![table], conflicts].concat().join("\n"))
    }
}

fn brief(next: &NextBootView) -> String {
    let why = next.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} ({}{why})", next.boot, next.state)
}

impl Adopt {
    fn run(&self) -> Result<()> {
        let adopt = json!({ "mac": self.mac.to_string(), "name": self.name, "boot": self.boot });
        say(&self.server.post(&format!("{PATH}/adopt"), &adopt.to_string())?)
    }
}

impl NextBoot {
    fn run(&self) -> Result<()> {
        let path = format!("{PATH}/next-boot");
        let Some(boot) = self.boot.as_ref().filter(|_| !self.cancel) else {
            let cancel = json!({ "machine": self.machine });
            return say(&self.server.post(&format!("{path}/cancel"), &cancel.to_string())?);
        };
        let expires = self.expires.map(|span| span.as_secs());
        let arm =
            json!({ "machine": self.machine, "boot": boot, "confirm": self.confirm, "expires": expires });
        say(&self.server.post(&path, &arm.to_string())?)
    }
}
