//! Reading the config again: what was read, and what becomes of it. Nothing is swapped here.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bootlace_core::config::{
    Changed, Config, Draft, Files, Loaded, Source, keep_what_needs_restart, may_be_absent,
};
use bootlace_core::finding::Finding;

use super::{bind, watched};
use crate::files::FilePlane;
use crate::http::Token;
use crate::net::interfaces;
use crate::sandbox::{NEEDS_RESTART, Sandbox};
use crate::serving::Serving;
use crate::sources;

/// Where the config comes from.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) path: PathBuf,
    /// Instead of those in the file: `--interface`.
    pub(super) interfaces: Vec<String>,
    /// What of it may be read.
    pub(super) sandbox: Arc<Sandbox>,
}

/// Why the config is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// SIGHUP: also loaders, links and the token are looked at again.
    Asked,
    /// Something has changed in one of the folders; perhaps nothing of ours.
    FoldersChanged,
}

/// Everything that a config is made of, as it was read; to tell whether something is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// The config file's, or why there is none.
    main: Result<String, String>,
    /// Those that it names.
    others: Files,
    token: Option<Result<String, (ErrorKind, String)>>,
    /// Where another config would show.
    pub(super) folders: BTreeSet<PathBuf>,
}

/// What came of it.
pub(super) enum Outcome {
    /// All is as it was when it was last read.
    Same,
    /// Why the config in force stays: findings, with their places.
    KeptOut(String),
    /// What to swap in.
    Next(Box<Next>),
}

/// A config that can be served.
pub(super) struct Next {
    pub(super) serving: Serving,
    pub(super) changed: Changed,
    pub(super) warnings: Vec<Finding>,
    pub(super) token: Option<Token>,
}

impl Read {
    /// What the start has read, as whoever serves can read it: it may have been read by another user. `others` are
    /// the files that it names.
    pub(super) fn at_start(origin: &Origin, in_force: &Serving, main: String, others: Files) -> Self {
        Self::new(origin, in_force, Ok(main), read_others(origin, others.into_keys()))
    }

    fn new(origin: &Origin, in_force: &Serving, main: Result<String, String>, others: Files) -> Self {
        let token = in_force.config.admin.token_file.as_deref().map(read_token);
        let folders = watched::config_folders(&origin.path, &in_force.config, &others);
        Self { main, others, token, folders }
    }
}

/// Reads it and checks it against what is in force. May wait for a disk.
pub(super) fn read(origin: &Origin, in_force: &Serving, last: &Read, why: Why) -> (Read, Outcome) {
    let source = read_main(origin);
    let main = source.as_ref().map(|source| source.text.clone()).map_err(String::clone);
    if why == Why::FoldersChanged && main == last.main {
        // The same text names the same files: nothing is parsed for the changes that are none of ours.
        let others = read_others(origin, last.others.keys().cloned());
        let again = Read::new(origin, in_force, main.clone(), others);
        if again == *last {
            return (again, Outcome::Same);
        }
    }
    let source = match source {
        Ok(source) => source,
        Err(error) => {
            let read = Read::new(origin, in_force, main, last.others.clone());
            return (read, Outcome::KeptOut(error));
        }
    };
    let draft = Draft::parse(&source);
    let others = read_others(origin, draft.wanted());
    let loaded = draft.load(&others).map_err(|findings| sources::unusable(&findings, &source, &others));
    let read = Read::new(origin, in_force, main, others);
    let outcome = match loaded.and_then(|loaded| next(origin, in_force, loaded, read.token.as_ref())) {
        Ok(next) => Outcome::Next(Box::new(next)),
        Err(error) => Outcome::KeptOut(format!("{error:#}")),
    };
    (read, outcome)
}

fn next(
    origin: &Origin,
    in_force: &Serving,
    loaded: Loaded,
    token: Option<&Result<String, (ErrorKind, String)>>,
) -> Result<Next> {
    let mut config = loaded.config;
    if !origin.interfaces.is_empty() {
        config.interfaces.clone_from(&origin.interfaces);
    }
    sources::hash_passwords(&mut config.passwords, Some(&in_force.config.passwords))?;
    let mut keys = keep_what_needs_restart(&in_force.config, &mut config);
    let here = interfaces().context("cannot list the network interfaces")?;
    bind::lends_no_own_address(&config, here.values())?;
    let token = match token {
        None => None,
        // It was read at the start by a user who could.
        Some(Err((ErrorKind::PermissionDenied, _))) => {
            keys.push("admin.token_file");
            None
        }
        Some(Err((_, error))) => anyhow::bail!("cannot read token_file: {error}"),
        Some(Ok(text)) => Some(Token::from_file(text).context("token_file must hold 16 characters or more")?),
    };
    let plane = plane(&origin.sandbox, in_force, &mut config, &mut keys)?;
    let changed = Changed::between(&in_force.config, &config);
    let serving = Serving::new(config, plane, in_force.edition.next(keys));
    Ok(Next { serving, changed, warnings: loaded.warnings, token })
}

/// The config; where the sandbox keeps it from the server, that it does.
fn read_main(origin: &Origin) -> Result<Source, String> {
    sources::read(&origin.path).map_err(|error| {
        let outside = !origin.sandbox.covers(&origin.path);
        if outside { format!("{}: {NEEDS_RESTART}", origin.path.display()) } else { format!("{error:#}") }
    })
}

/// The files that it names, in the same way.
fn read_others(origin: &Origin, names: impl IntoIterator<Item = PathBuf>) -> Files {
    let mut files = sources::read_files(names);
    for (path, text) in &mut files {
        if text.is_err() && !origin.sandbox.covers(path) {
            // Adopted machines of another `state_dir`, which itself takes a restart and says so.
            *text = if may_be_absent(path) { Ok(String::new()) } else { Err(NEEDS_RESTART.to_owned()) };
        }
    }
    files
}

/// The folders of files, opened; those in force where one of the new ones could not be read.
fn plane(
    sandbox: &Sandbox,
    in_force: &Serving,
    config: &mut Config,
    keys: &mut Vec<&'static str>,
) -> Result<Arc<FilePlane>> {
    let old = &in_force.config;
    if config.disk_boots().next().is_some() && !sandbox.covers(&config.images) && !keys.contains(&"images") {
        keys.push("images");
    }
    let boot_dir = !sandbox.covers(&config.boot_dir);
    let follow = !config.follow.iter().all(|path| sandbox.covers(path));
    if !boot_dir && !follow {
        let plane = FilePlane::of(config).with_context(|| {
            format!("cannot open boot_dir {} or a folder of follow", config.boot_dir.display())
        })?;
        return Ok(Arc::new(plane));
    }
    // They were opened together, and what is open stays what it was, wherever its name leads now.
    if boot_dir || config.boot_dir != old.boot_dir {
        keys.push("boot_dir");
    }
    if follow || config.follow != old.follow {
        keys.push("follow");
    }
    config.boot_dir.clone_from(&old.boot_dir);
    config.follow.clone_from(&old.follow);
    Ok(Arc::clone(&in_force.plane))
}

fn read_token(path: &Path) -> Result<String, (ErrorKind, String)> {
    fs::read_to_string(path).map_err(|error| (error.kind(), format!("{}: {error}", path.display())))
}
