//! `bootlace overlay`.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::OverlayView;

const PATH: &str = "/api/v1/overlays";

/// What machines have written to their disks.
#[derive(Args)]
pub(super) struct Overlay {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Every disk of a machine, what it lies over and what it takes
    List {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        json: JsonFlag,
    },
    /// Drop what a machine has written: its next boot finds a fresh disk
    Reset {
        /// Name of the machine, or its MAC with dashes
        machine: String,
        /// The boot that the disk is of
        boot: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Overlay {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Verb::List { server, json } => match json.format() {
                Format::Json => say(&server.get(PATH)?),
                Format::Human => say(&list(server.read(PATH)?)),
            },
            Verb::Reset { machine, boot, server } => {
                let which = json!({ "machine": machine, "boot": boot });
                say(&server.post(&format!("{PATH}/reset"), &which.to_string())?)
            }
        }
    }
}

fn list(overlays: Vec<OverlayView>) -> String {
    let rows: Vec<_> = overlays
        .into_iter()
        .map(|overlay| {
            let image = overlay.image_name.unwrap_or_else(|| {
                format!("{}... (not in the folder)", overlay.image.get(..12).unwrap_or_default())
            });
            let state = match (overlay.in_use, overlay.medium.as_str()) {
                (true, "memory") => "in use, in memory",
                (true, _) => "in use",
                (false, "memory") => "in memory",
                (false, _) => "",
            };
            [
                overlay.machine,
                overlay.boot,
                image,
                table::bytes(overlay.size),
                table::bytes(overlay.space),
                overlay.created.unwrap_or_default(),
                state.to_owned(),
            ]
        })
        .collect();
    table::table(["MACHINE", "BOOT", "IMAGE", "SIZE", "WRITTEN", "CREATED", "STATE"], &rows)
}
