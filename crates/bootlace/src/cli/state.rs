//! `bootlace state`.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use bootlace_store::StoreError;
use bootlace_store::state::{
    self, Backup, JournalFile, LeasesFile, is_backup, verify_backup, verify_journal, verify_leases,
};
use clap::{Args, Subcommand};

use super::{ConfigFile, say};
use crate::{hub, privileges, sources};

/// Copies leases and history, puts copies back, and looks for damage.
#[derive(Args)]
pub(super) struct State {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Copy leases and history to a new folder; a running server goes on
    Backup(BackUp),
    /// Put a backup in the place of leases and history, which are kept; the server must not run
    Restore(Restore),
    /// Look through leases and history, or through a backup, for damage; changes nothing
    Verify(Verify),
}

#[derive(Args)]
struct BackUp {
    /// Folder to make; it must not be there yet
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Args)]
struct Restore {
    /// Folder that `bootlace state backup` made
    #[arg(value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Args)]
struct Verify {
    /// A backup, or a copy of a state folder; without, the state folder of the config
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

impl State {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Verb::Backup(command) => command.run(),
            Verb::Restore(command) => command.run(),
            Verb::Verify(command) => command.run(),
        }
    }
}

impl BackUp {
    fn run(&self) -> Result<()> {
        let state_dir = sources::load(&self.file.config)?.config.state_dir;
        let made = state::backup(&state_dir, &self.to, hub::now())?;
        say(&format!("made {}: {}, {}", self.to.display(), Leases(made.leases), Journal(made.journal)))
    }
}

impl Restore {
    fn run(&self) -> Result<()> {
        let config = sources::load(&self.file.config)?.config;
        let backup = Backup::open(&self.from)?;
        // As for the server: in a folder of that user, root could be led anywhere. The backup is open already.
        privileges::make_state_dir(&config.state_dir, config.user.as_deref())?;
        privileges::drop_for_binding(config.user.as_deref())?;
        privileges::drop_the_rest()?;
        let restored = backup.restore(&config.state_dir, hub::now())?;
        let manifest = restored.manifest;
        say(&format!(
            "restored the backup of {}: {}, {}",
            manifest.made,
            Leases(manifest.leases),
            Journal(manifest.journal)
        ))?;
        for kept in restored.kept {
            say(&format!("what was there before is kept as {}", kept.display()))?;
        }
        Ok(())
    }
}

impl Verify {
    fn run(&self) -> Result<()> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => sources::load(&self.file.config)?.config.state_dir,
        };
        if is_backup(&dir) {
            let manifest = verify_backup(&dir)?;
            say(&format!("{} is a backup of {}", dir.display(), manifest.made))?;
        }
        let fine = [
            report("leases", verify_leases(&dir).map(Leases))?,
            report("history", verify_journal(&dir).map(Journal))?,
        ];
        if fine.contains(&Health::Bad) {
            bail!("not all is well in {}: see above", dir.display());
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Fine,
    Bad,
}

/// One line of a database.
fn report(name: &str, found: Result<impl fmt::Display, StoreError>) -> Result<Health> {
    match found {
        Ok(content) => say(&format!("{name}: fine: {content}")).map(|()| Health::Fine),
        Err(error) => say(&format!("{name}: {error}")).map(|()| Health::Bad),
    }
}

struct Leases(LeasesFile);

impl fmt::Display for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeasesFile { schema, leases } = self.0;
        write!(f, "{leases} leases (schema {schema})")
    }
}

struct Journal(JournalFile);

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JournalFile { schema, events, sessions, machines } = self.0;
        write!(f, "{events} events of {sessions} boots and {machines} machines (schema {schema})")
    }
}
