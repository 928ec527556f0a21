//! `bootlace overlay`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use bootlace_core::boot::disk::DiskId;
use bootlace_core::config::{BootKind, BootName, Config, DiskMode};
use bootlace_disk::{Disk, Image, exchange_images};
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Server;
use super::progress::copy;
use super::{JsonFlag, say, table};
use crate::api::OverlayView;
use crate::hub;
use crate::services::iscsi::{ImageFile, image_file, open_disk};

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
    #[command(visible_alias = "rm")]
    Reset {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: Server,
    },
    /// Write what the disk of a machine that is off holds to a new raw file
    Export {
        #[command(flatten)]
        which: Which,
        /// File to make, an image by itself
        file: PathBuf,
        #[command(flatten)]
        server: Server,
    },
    /// Make what the disk of a machine that is off holds the new version of its image, for all machines
    Promote {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: Server,
    },
}

/// A machine's disk for a boot.
#[derive(Args)]
struct Which {
    /// Name of the machine, or its MAC with dashes
    machine: String,
    /// The boot that the disk is of
    boot: String,
}

impl Which {
    fn json(&self) -> String {
        json!({ "machine": self.machine, "boot": self.boot }).to_string()
    }

    fn boot(&self) -> Result<BootName> {
        BootName::new(&self.boot).with_context(|| format!("{} is no name of a boot", self.boot))
    }

    /// The disk, which nobody has but this program for as long as it is open.
    fn open(&self, server: &Server, config: &Config) -> Result<Disk> {
        server.post_if_running(&format!("{PATH}/release"), &self.json())?;
        open_disk(config, &DiskId::new(&self.machine, &self.boot()?))
    }
}

impl Overlay {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Verb::List { server, json } => server.show(PATH, json, list),
            Verb::Reset { which, server } => say(&server.post(&format!("{PATH}/reset"), &which.json())?),
            Verb::Export { which, file, server } => export(which, file, server),
            Verb::Promote { which, server } => promote(which, server),
        }
    }
}

fn export(which: &Which, file: &Path, server: &Server) -> Result<()> {
    let disk = which.open(server, &server.config()?)?;
    copy(&disk, file)?;
    say(&format!(
        "{}: {}, as {} has it for {}",
        file.display(),
        table::bytes(disk.size()),
        which.machine,
        which.boot
    ))
}

fn promote(which: &Which, server: &Server) -> Result<()> {
    let config = server.config()?;
    let name = which.boot()?;
    let Some(BootKind::Disk(boot)) = config.boots.get(&name).map(|boot| &boot.kind) else {
        bail!("{name} is no boot of kind disk in the config");
    };
    let ImageFile { path: image, manifest, .. } = image_file(&config, &boot.image)?;
    ensure!(
        image.extension().is_none_or(|extension| extension != "qcow2"),
        "{} is qcow2, and what is promoted is raw: `bootlace overlay export` it to a new image, and name that in the boot",
        image.display()
    );
    let former = former_name(&image);
    let disk = which.open(server, &config)?;
    // What the current version has and that one had not would be gone for everybody.
    let current =
        Image::open(&image, &manifest).with_context(|| format!("{} cannot be used", image.display()))?;
    ensure!(
        matches!(&disk, Disk::Overlay(overlay) if overlay.image_id() == current.id()),
        "the disk of {} lies over a former version of {}: `bootlace overlay export` it, and put that in its place if nothing is lost by that",
        which.machine,
        image.display()
    );
    copy(&disk, &former)?;
    exchange_images(&former, &image).with_context(|| {
        format!(
            "the new version is {}, but cannot be put in the place of {}",
            former.display(),
            image.display()
        )
    })?;
    say(&promoted(which, boot.mode, &image, &former))
}

fn promoted(which: &Which, mode: DiskMode, image: &Path, former: &Path) -> String {
    let Which { machine, boot } = which;
    let mut said = format!(
        "{} is now what {machine} has for {boot}\nThe former version is {}: keep it until all machines have booted again.",
        image.display(),
        former.display()
    );
    if mode == DiskMode::Persistent {
        let own = format!(
            "\nPersistent disks stay on it, {machine}'s too: `bootlace overlay reset {machine} {boot}` moves that one."
        );
        said.push_str(&own);
    }
    said
}

/// What the current version of an image is called from now on: with the same ending, by which its format is known.
fn former_name(image: &Path) -> PathBuf {
    let now = hub::now().to_string();
    let now = now.get(..19).unwrap_or(&now).replace(':', "-");
    let stem = image.file_stem().unwrap_or_default().to_string_lossy();
    let former = image.with_file_name(format!("{stem}-{now}"));
    match image.extension() {
        Some(ending) => former.with_added_extension(ending),
        None => former,
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
