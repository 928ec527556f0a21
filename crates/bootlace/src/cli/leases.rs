//! `bootlace leases`.

use anyhow::Result;
use clap::Args;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::LeaseView;
use crate::http::LEASES_MAX;

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
        let leases = self.all()?;
        if self.json.format() == Format::Json {
            return say(&serde_json::to_string(&leases)?);
        }
        let rows: Vec<_> = leases
            .into_iter()
            .map(|lease| {
                let name = lease.machine.or(lease.hostname).unwrap_or_default();
                [lease.address, lease.mac, name, lease.state, lease.until]
            })
            .collect();
        say(&table::table(["ADDRESS", "MAC", "NAME", "STATE", "UNTIL"], &rows))
    }

    /// Part after part, until one is empty.
    fn all(&self) -> Result<Vec<LeaseView>> {
        let mut leases: Vec<LeaseView> = Vec::new();
        loop {
            let after = leases.last().map_or("0.0.0.0", |lease| lease.address.as_str());
            let part: Vec<LeaseView> =
                self.server.read(&format!("/api/v1/leases?after={after}&limit={LEASES_MAX}"))?;
            if part.is_empty() {
                return Ok(leases);
            }
            leases.extend(part);
        }
    }
}
