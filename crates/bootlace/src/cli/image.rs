//! `bootlace image`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bootlace_core::boot::disk::DiskId;
use bootlace_core::config::{Config, is_image_name};
use bootlace_disk::{Disk, Error, Image as Opened, space_of};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::client::Server;
use super::progress::copy;
use super::{ConfigFile, Format, JsonFlag, say, table};
use crate::api::ImageView;
use crate::services::iscsi::{ImageFile, image_file};
use crate::sources;

const PATH: &str = "/api/v1/images";

/// What no disk begins with, and no machine could start from: the first bytes of files that are no image yet.
const NO_IMAGES: [(&[u8], &str); 8] = [
    (b"\xfd7zXZ\0", "compressed (unpack it with xz -d)"),
    (b"\x1f\x8b", "compressed (unpack it with gzip -d)"),
    (b"\x28\xb5\x2f\xfd", "compressed (unpack it with zstd -d)"),
    (b"BZh", "compressed (unpack it with bzip2 -d)"),
    (b"PK\x03\x04", "an archive (unpack it with unzip)"),
    (b"QFI\xfb", "qcow2 without the ending .qcow2 (rename it)"),
    (b"KDMV", "a VMDK (convert it with qemu-img convert -O raw)"),
    (b"vhdxfile", "a VHDX (convert it with qemu-img convert -O raw)"),
];

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
    /// What an image is, and who needs it
    Info {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        json: JsonFlag,
    },
    /// Copy a raw or qcow2 file (`.qcow2`) into the folder of images, as a raw image
    Import {
        /// File to copy
        file: PathBuf,
        /// Name of the image; that of the file unless given
        name: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Read an image through, and say whether it is still what it was
    Verify {
        #[command(flatten)]
        which: Which,
    },
    /// Remove an image that no boot names, no target serves and no disk lies over
    Rm {
        #[command(flatten)]
        which: Which,
    },
}

/// An image of the folder.
#[derive(Args)]
struct Which {
    /// Name of the image, with its ending or without
    name: String,
    #[command(flatten)]
    config: ConfigFile,
}

/// An image and who needs it, as JSON.
#[derive(Serialize)]
struct Info {
    file: PathBuf,
    format: &'static str,
    /// Bytes of the disk.
    size: u64,
    /// Bytes that the file takes.
    space: u64,
    id: String,
    boots: Vec<String>,
    targets: Vec<String>,
    /// Disks of machines that lie over it, as MACHINE+BOOT.
    disks: Vec<String>,
}

impl Image {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Verb::List { server, json } => server.show(PATH, json, list),
            Verb::Info { which, json } => {
                let info = which.info()?;
                match json.format() {
                    Format::Json => say(&serde_json::to_string_pretty(&info)?),
                    Format::Human => say(&info.shown()),
                }
            }
            Verb::Import { file, name, config } => import(file, name.as_deref(), config),
            Verb::Verify { which } => which.verify(),
            Verb::Rm { which } => which.remove(),
        }
    }
}

impl Info {
    fn of(config: &Config, image_file: &ImageFile) -> Result<Self> {
        let ImageFile { path, manifest, boots, targets } = image_file;
        let image = Opened::open(path, manifest).with_context(|| unusable(path))?;
        let disks = ImageFile::disks(config, image.id()).context("the disks of machines cannot be read")?;
        let is_qcow2 = path.extension().is_some_and(|ending| ending == "qcow2");
        Ok(Self {
            format: if is_qcow2 { "qcow2" } else { "raw" },
            size: image.size(),
            space: space_of(path).with_context(|| unusable(path))?,
            id: image.id().to_string(),
            boots: boots.iter().map(ToString::to_string).collect(),
            targets: targets.clone(),
            disks: disks.iter().map(DiskId::folder).collect(),
            file: path.clone(),
        })
    }
}

impl Which {
    fn find(&self) -> Result<(Config, ImageFile)> {
        let config = sources::load(&self.config.config)?.config;
        let file = image_file(&config, &self.name)?;
        Ok((config, file))
    }

    fn info(&self) -> Result<Info> {
        let (config, file) = self.find()?;
        Info::of(&config, &file)
    }

    fn verify(&self) -> Result<()> {
        let (_, ImageFile { path, manifest, .. }) = self.find()?;
        let known = Opened::known(&path, &manifest).with_context(|| unusable(&path))?;
        let found = Opened::open_afresh(&path).with_context(|| unusable(&path))?.id();
        match known {
            Some(known) if known != found => bail!(
                "{} is damaged: nobody has written to it, but it was {known} and is {found}",
                path.display()
            ),
            Some(_) => say(&format!("{}: {found}, as it was", path.display())),
            None => say(&format!("{}: {found}; nothing was known of it", path.display())),
        }
    }

    fn remove(&self) -> Result<()> {
        let (config, image) = self.find()?;
        let Info { boots, targets, disks, .. } = Info::of(&config, &image)?;
        let ImageFile { path, manifest, .. } = image;
        let file = path.display();
        ensure!(boots.is_empty(), "boots name {file}: {}", boots.join(", "));
        ensure!(targets.is_empty(), "targets serve {file}: {}", targets.join(", "));
        ensure!(disks.is_empty(), "disks of machines lie over {file}: {}", disks.join(", "));
        match Opened::remove(&path, &manifest) {
            Err(Error::Busy) => {
                bail!("the server has {file} open: a machine that runs has a disk over it, or had one")
            }
            removed => removed.with_context(|| format!("{file} cannot be removed"))?,
        }
        say(&format!("{file} is removed"))
    }
}

impl Info {
    fn shown(&self) -> String {
        let rows = [
            ("file", self.file.display().to_string()),
            ("format", self.format.to_owned()),
            ("size", table::bytes(self.size)),
            ("takes", table::bytes(self.space)),
            ("id", self.id.clone()),
            ("boots", self.boots.join(", ")),
            ("targets", self.targets.join(", ")),
            ("disks", self.disks.join(", ")),
        ];
        let lines = rows.iter().filter(|(_, value)| !value.is_empty());
        lines.map(|(name, value)| format!("{name:<8} {value}")).collect::<Vec<_>>().join("\n")
    }
}

fn import(file: &Path, name: Option<&str>, config: &ConfigFile) -> Result<()> {
    let images = sources::load(&config.config)?.config.images;
    let name = match name {
        Some(name) => name.to_owned(),
        None => file
            .file_stem()
            .with_context(|| format!("{} has no name", file.display()))?
            .to_string_lossy()
            .into(),
    };
    let name = if name.ends_with(".img") { name } else { format!("{name}.img") };
    ensure!(
        is_image_name(&name),
        "{name:?} is no name for an image: give one of letters, digits, dots, - and _ behind the file"
    );
    let to = images.join(name);
    no_other_format(file)?;
    let image = Opened::open_afresh(file).with_context(|| unusable(file))?;
    ensure!(image.size() > 0, "{} is empty", file.display());
    let disk = Disk::Image(Arc::new(image));
    copy(&disk, &to)?;
    say(&format!("{}: {}", to.display(), table::bytes(disk.size())))
}

/// A file that would be taken for a raw image, and is none.
fn no_other_format(file: &Path) -> Result<()> {
    if file.extension().is_some_and(|ending| ending == "qcow2") {
        return Ok(());
    }
    let mut start = Vec::new();
    let opened = fs::File::open(file).with_context(|| unusable(file))?;
    opened.take(8).read_to_end(&mut start).with_context(|| unusable(file))?;
    match NO_IMAGES.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, what)) => bail!("{} is {what}", file.display()),
        None => Ok(()),
    }
}

fn unusable(path: &Path) -> String {
    format!("{} cannot be used", path.display())
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
