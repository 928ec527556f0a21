//! `bootlace loaders`.

mod list;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::{ConfigFile, JsonFlag, say};
use crate::loaders::{ARCHIVE_BYTES_MAX, Pins, RELEASES, SET, State, Sum, home, install, unpack, verify};
use crate::{privileges, sources};

/// Shows the programs that firmware is sent first, and keeps the signed ones.
#[derive(Args)]
pub(super) struct Loaders {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Every loader that a firmware may be sent: where it is, and what it is
    List(List),
    /// Unpack the signed iPXE from its project's release, whose sum must be known or given
    Fetch(Fetch),
    /// Hold the signed iPXE against its pins; fails when anything differs
    Verify(Verify),
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    json: JsonFlag,
}

#[derive(Args)]
struct Fetch {
    /// The release's ipxeboot.tar.gz; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Its SHA-256, where this version does not know the release
    #[arg(long, value_name = "HEX")]
    sha256: Option<Sum>,
    /// Folder to keep it in, instead of the server's
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Args)]
struct Verify {
    /// Folder that it was fetched to, instead of the server's
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

impl Loaders {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Verb::List(command) => {
                list::run(&sources::load(&command.file.config)?.config, command.json.format())
            }
            Verb::Fetch(command) => command.run(),
            Verb::Verify(command) => command.run(),
        }
    }
}

impl Fetch {
    fn run(&self) -> Result<()> {
        let Some(from) = &self.from else { return Err(how_to_download()) };
        let archive = read(from).with_context(|| format!("cannot read {}", from.display()))?;
        let sum = Sum::of(&archive);
        let release = self.release(sum)?;
        let files = unpack(&archive).with_context(|| format!("cannot use {}", from.display()))?;
        let home = self.home()?;
        let sums = files.iter().map(|(name, bytes)| ((*name).to_owned(), Sum::of(bytes)));
        let pins = Pins { archive: sum, release: release.to_owned(), files: sums.collect() };
        install(&home, &pins, &files)?;
        for (name, sum) in &pins.files {
            say(&format!("{sum}  {name}"))?;
        }
        say(&format!(
            "{release} is in {}: a running server takes it at its next reload",
            home.join(SET).display()
        ))
    }

    /// What the archive is, if it may be used.
    fn release(&self, sum: Sum) -> Result<&'static str> {
        let known = sum.release().map(|release| release.name);
        match (self.sha256, known) {
            (Some(wanted), _) if wanted != sum => {
                bail!("the archive is not what --sha256 says: it has {sum}")
            }
            (_, Some(known)) => Ok(known),
            (Some(_), None) => Ok("an archive that was vouched for by --sha256"),
            (None, None) => bail!(
                "no release that this version knows has the SHA-256 {sum}: when its project gives the same for the \
                 file, repeat this with --sha256 {sum}"
            ),
        }
    }

    /// Where to. The server's folder is written as its user: in a folder of that user, root could be led anywhere.
    fn home(&self) -> Result<PathBuf> {
        if let Some(to) = &self.to {
            return Ok(to.clone());
        }
        let config = sources::load(&self.file.config)?.config;
        privileges::make_state_dir(&config.state_dir, config.user.as_deref())?;
        privileges::drop_for_binding(config.user.as_deref())?;
        privileges::drop_the_rest()?;
        Ok(home(&config.state_dir))
    }
}

impl Verify {
    fn run(&self) -> Result<()> {
        let home = match &self.dir {
            Some(dir) => dir.clone(),
            None => home(&sources::load(&self.file.config)?.config.state_dir),
        };
        let Some(health) = verify(&home)? else {
            bail!("there is no {SET} in {}: fetch it with `bootlace loaders fetch`", home.display())
        };
        say(&format!("{SET}: {}, SHA-256 {}", health.pins.release, health.pins.archive))?;
        for (name, state) in &health.files {
            say(&format!("{name}: {state}"))?;
        }
        let bad = health.files.iter().filter(|(_, state)| *state != State::Fine).count();
        if bad > 0 {
            let files = if bad == 1 { "file" } else { "files" };
            bail!("{bad} {files} in {} not as pinned: fetch it again", home.join(SET).display());
        }
        Ok(())
    }
}

/// The whole archive: nothing of it is looked at before its sum is known.
fn read(from: &Path) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    let source: &mut dyn Read =
        if from == Path::new("-") { &mut io::stdin().lock() } else { &mut File::open(from)? };
    source.take(ARCHIVE_BYTES_MAX + 1).read_to_end(&mut archive)?;
    if archive.len() as u64 > ARCHIVE_BYTES_MAX {
        bail!("it has more than {ARCHIVE_BYTES_MAX} bytes");
    }
    Ok(archive)
}

/// HTTPS is for a program that does nothing else.
fn how_to_download() -> anyhow::Error {
    let url = RELEASES[0].url;
    anyhow::anyhow!("say where the archive is: curl -fL {url} | bootlace loaders fetch --from -")
}
