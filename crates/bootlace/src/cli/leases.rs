//! `bootlace leases`.

use anyhow::Result;
use clap::Args;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::LeaseView;

/// Addresses and who holds them.
#[derive(Args)]
pub(super) struct Leases {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    json: JsonFlag,
}

impl Leases {
    pub(super) fn run(&self) -> Result<()> {
        const PATH: &str = "/api/v1/leases";
        if self.json.format() == Format::Json {
            return say(&self.server.get(PATH)?);
        }
        let leases: Vec<LeaseView> = self.server.read(PATH)?;
        let rows: Vec<_> = leases
            .into_iter()
            .map(|lease| {
                let name = lease.machine.or(lease.hostname).unwrap_or_default();
                [lease.address, lease.mac, name, lease.state, lease.until]
            })
            .collect();
        say(&table::table(["ADDRESS", "MAC", "NAME", "STATE", "UNTIL"], &rows))
    }
}
