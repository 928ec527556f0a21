//! The one composition root: reads what only root may read, drops privileges but those that sockets need, opens
//! and binds everything, and only then starts threads (invariant 7). A start that fails says why and leaves nothing
//! running.

mod bind;
mod descriptors;
mod inherited;
mod keeper;
mod links;
mod listeners;
mod reload;
mod run;
mod watched;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bootlace_core::config::{Config, Files};
use bootlace_core::dhcp::LeaseTable;
use bootlace_core::learn::MachineFacts;
use bootlace_core::session::SessionId;
use bootlace_store::{Journal, OneShotStore, Store};

use crate::adopted;
use crate::files::FilePlane;
use crate::hub::Held;
use crate::sandbox::Sandbox;
use crate::services::dhcp::HostClock;
use crate::services::iscsi;
use crate::serving::{Edition, Serving};
use crate::sources::{self, Checked};
use crate::systemd::Manager;
use crate::tokens::Tokens;
use crate::{logging, privileges};

pub(crate) use bind::lends_no_own_address;

use bind::Bound;
use inherited::Inherited;
use reload::{Origin, Read};

/// Everything that needs the host, before any thread exists.
struct Opened {
    origin: Origin,
    read: Read,
    manager: Manager,
    serving: Serving,
    store: Store,
    clock: HostClock,
    table: LeaseTable,
    learned: Vec<MachineFacts>,
    one_shots: OneShotStore,
    tokens: Tokens,
    journal: Journal,
    next_session: SessionId,
    bound: Bound,
    disks: iscsi::Disks,
}

/// Runs the server until SIGTERM or SIGINT.
pub fn serve(config: &Path, interfaces: &[String]) -> Result<()> {
    descriptors::raise_limit();
    let opened = open(config, interfaces)?;
    let _log = logging::detach().context("cannot start the log's thread")?;
    run::run(opened)
}

fn open(path: &Path, interfaces: &[String]) -> Result<Opened> {
    let manager = Manager::of_environment();
    let Checked { source, files, result } = sources::check(path)?;
    let loaded = result.map_err(|findings| sources::unusable(&findings, &source, &files))?;
    for warning in &loaded.warnings {
        tracing::warn!(code = warning.code, "{warning}");
    }
    let mut config = loaded.config;
    if !interfaces.is_empty() {
        config.interfaces = interfaces.to_vec();
    }
    sources::hash_passwords(&mut config.passwords, None)?;
    let state_dir = config.state_dir.clone();
    let user = config.user.as_deref();
    let token = bind::read_token(&config.admin)?;
    let inherited = Inherited::take()?;
    // From here on as the user that serves: in a folder of that user, root could be led anywhere.
    privileges::make_state_dir(&state_dir, user)?;
    privileges::drop_for_binding(user)?;
    let mut store = Store::open(&state_dir)?;
    adopted::ensure(&state_dir)?;
    let mut table = LeaseTable::new(&config, store.leases()?);
    let learned = store.learned()?;
    let one_shots = OneShotStore::open(&state_dir)?;
    let tokens = Tokens::open(&state_dir)?;
    let clock = HostClock::start(&mut table, &mut store)?;
    let journal = Journal::open(&state_dir)?;
    let next_session = journal.next_session()?;
    let plane = FilePlane::of(&config).with_context(|| {
        format!("cannot open boot_dir {} or a folder of follow", config.boot_dir.display())
    })?;
    let disks = iscsi::Disks::open(&config.iscsi)?;
    let bound = Bound::bind(&config, token, inherited)?;
    privileges::drop_the_rest()?;
    let serving = Serving::new(config, Arc::new(plane), Edition::first());
    let sandbox = shut_in(path, &serving.config, &files);
    let origin =
        Origin { path: path.to_owned(), interfaces: interfaces.to_vec(), sandbox: Arc::new(sandbox) };
    let mut files = files;
    let adopted = bootlace_core::config::adopted_file(&state_dir);
    files.entry(adopted).or_insert_with(|| Ok(String::new()));
    let read = Read::at_start(&origin, &serving, source.text, files);
    Ok(Opened {
        origin,
        read,
        manager,
        serving,
        store,
        clock,
        table,
        learned,
        one_shots,
        tokens,
        journal,
        next_session,
        bound,
        disks,
    })
}

/// What is open stays; from here on only what the server reads and writes can be opened.
fn shut_in(path: &Path, config: &Config, files: &Files) -> Sandbox {
    let mut readable = watched::config_folders(path, config, files);
    readable.insert(config.boot_dir.clone());
    if config.has_disks() {
        readable.insert(config.images.clone());
    }
    readable.extend(config.follow.iter().cloned());
    Sandbox::enter(config.sandbox, &config.state_dir, &readable)
}

/// Addresses in use at the start.
fn held(leases: &LeaseTable) -> impl Iterator<Item = (std::net::Ipv4Addr, Held)> {
    leases.iter().filter_map(|lease| Some((lease.address, Held::by(lease)?)))
}
