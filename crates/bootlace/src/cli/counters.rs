//! `bootlace counters`.

use anyhow::Result;
use clap::Args;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::CounterView;

/// What was refused, given up or forgotten since the server started: the limits that were reached.
#[derive(Args)]
pub(super) struct Counters {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    json: JsonFlag,
}

impl Counters {
    pub(super) fn run(&self) -> Result<()> {
        const PATH: &str = "/api/v1/counters";
        if self.json.format() == Format::Json {
            return say(&self.server.get(PATH)?);
        }
        let counters: Vec<CounterView> = self.server.read(PATH)?;
        let rows: Vec<_> = counters
            .into_iter()
            .map(|counter| [counter.name, counter.value.to_string(), counter.meaning])
            .collect();
        say(&table::table(["COUNTER", "VALUE", "WHAT"], &rows))
    }
}
