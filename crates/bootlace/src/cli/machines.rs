//! `bootlace machines`.

use anyhow::Result;
use clap::Args;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::MachineView;

/// Machines of the config and those that were seen.
#[derive(Args)]
pub(super) struct Machines {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    json: JsonFlag,
}

impl Machines {
    pub(super) fn run(&self) -> Result<()> {
        const PATH: &str = "/api/v1/machines";
        if self.json.format() == Format::Json {
            return say(&self.server.get(PATH)?);
        }
        let machines: Vec<MachineView> = self.server.read(PATH)?;
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
                ]
            })
            .collect();
        say(&table::table(["NAME", "MAC", "ADDRESS", "SERIAL", "MODEL", "SEEN"], &rows))
    }
}
