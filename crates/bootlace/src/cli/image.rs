//! `bootlace image`.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::ImageView;

const PATH: &str = "/api/v1/images";

/// Images that disks of machines lie over.
#[derive(Args)]
pub(super) struct Image {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The images that boots name or disks lie over, and whether they can be used
    List {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        json: JsonFlag,
    },
}

impl Image {
    pub(super) fn run(&self) -> Result<()> {
        let Verb::List { server, json } = &self.verb;
        match json.format() {
            Format::Json => say(&server.get(PATH)?),
            Format::Human => say(&list(server.read(PATH)?)),
        }
    }
}

fn list(images: Vec<ImageView>) -> String {
    let rows: Vec<_> = images
        .into_iter()
        .map(|image| {
            let id = image.id.unwrap_or_default();
            let size = image.size.map(table::bytes).unwrap_or_default();
            [image.name, size, id.get(..12).unwrap_or_default().to_owned(), image.state]
        })
        .collect();
    table::table(["IMAGE", "SIZE", "ID", "STATE"], &rows)
}
