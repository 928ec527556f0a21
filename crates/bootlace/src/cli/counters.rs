//! `bootlace counters`.

use anyhow::Result;
use clap::Args;

use super::client::Server;
use super::{JsonFlag, table};
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
        self.server.show("/api/v1/counters", &self.json, list)
    }
}

fn list(counters: Vec<CounterView>) -> String {
    let rows: Vec<_> = counters
        .into_iter()
        .map(|counter| [counter.name, counter.value.to_string(), counter.meaning])
        .collect();
    table::table(["COUNTER", "VALUE", "WHAT"], &rows)
}
