//! Reading the config again: what was read, and what becomes of it. Nothing is swapped here.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bootlace_core::config::{Changed, Files, keep_what_needs_restart};
use bootlace_core::finding::Finding;

use super::{bind, watched};
use crate::files::FilePlane;
use crate::http::Token;
use crate::net::interfaces;
use crate::serving::Serving;
use crate::sources;

/// Where the config comes from.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) path: PathBuf,
    /// Instead of those in the file: `--interface`.
    pub(super) interfaces: Vec<String>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The config file's, or why there is none.
    main: Option<Result<String, String>>,
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

/// Reads it and checks it against what is in force. May wait for a disk.
pub(super) fn read(origin: &Origin, in_force: &Serving, last: &Read, why: Why) -> (Read, Outcome) {
    let source = sources::read(&origin.path).map_err(|error| format!("{error:#}"));
    let token = in_force.config.admin.token_file.as_deref().map(read_token);
    let mut folders = watched::folders(&origin.path);
    folders.extend(in_force.config.admin.token_file.iter().flat_map(|path| watched::folders(path)));
    folders.insert(in_force.config.templates.clone());
    let (main, others) = match &source {
        Ok((source, files)) => (Ok(source.text.clone()), files.clone()),
        Err(error) => (Err(error.clone()), last.others.clone()),
    };
    folders.extend(others.keys().flat_map(|path| watched::folders(path)));
    let read = Read { main: Some(main), others, token, folders };
    if why == Why::FoldersChanged && read == *last {
        return (read, Outcome::Same);
    }
    let next = source.map_err(|error| anyhow::anyhow!(error)).and_then(|(source, files)| {
        let loaded = sources::check(&source, &files)?;
        next(origin, in_force, loaded, read.token.as_ref())
    });
    let outcome = match next {
        Ok(next) => Outcome::Next(Box::new(next)),
        Err(error) => Outcome::KeptOut(format!("{error:#}")),
    };
    (read, outcome)
}

fn next(
    origin: &Origin,
    in_force: &Serving,
    loaded: bootlace_core::config::Loaded,
    token: Option<&Result<String, (ErrorKind, String)>>,
) -> Result<Next> {
    let mut config = loaded.config;
    if !origin.interfaces.is_empty() {
        config.interfaces.clone_from(&origin.interfaces);
    }
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
    let plane = FilePlane::new(&config.boot_dir, &config.follow).with_context(|| {
        format!("cannot open boot_dir {} or a folder of follow", config.boot_dir.display())
    })?;
    let changed = Changed::between(&in_force.config, &config);
    let serving = Serving::new(config, Arc::new(plane), in_force.edition.next(keys));
    Ok(Next { serving, changed, warnings: loaded.warnings, token })
}

fn read_token(path: &Path) -> Result<String, (ErrorKind, String)> {
    fs::read_to_string(path).map_err(|error| (error.kind(), format!("{}: {error}", path.display())))
}
