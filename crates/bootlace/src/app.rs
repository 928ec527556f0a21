//! The one composition root: reads, opens and binds everything, drops privileges, and only then starts threads
//! (invariant 7). A start that fails says why and leaves nothing running.

mod bind;
mod descriptors;
mod run;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bootlace_core::config::Config;
use bootlace_core::dhcp::{Lease, LeaseState, LeaseTable};
use bootlace_core::session::SessionId;
use bootlace_store::{Journal, Store};

use crate::files::FilePlane;
use crate::serving::Serving;
use crate::{privileges, sources};

use bind::Bound;

/// Everything that needs the host, before any thread exists.
struct Opened {
    serving: Serving,
    plane: FilePlane,
    store: Store,
    leases: Vec<Lease>,
    table: LeaseTable,
    journal: Journal,
    next_session: SessionId,
    bound: Bound,
}

/// Runs the server until SIGTERM or SIGINT.
pub fn serve(config: &Path, interfaces: &[String]) -> Result<()> {
    descriptors::raise_limit();
    let opened = open(config, interfaces)?;
    run::run(opened)
}

fn open(path: &Path, interfaces: &[String]) -> Result<Opened> {
    let loaded = sources::load(path)?;
    for warning in &loaded.warnings {
        tracing::warn!(code = warning.code, "{warning}");
    }
    let mut config = loaded.config;
    if !interfaces.is_empty() {
        config.interfaces = interfaces.to_vec();
    }
    let state_dir = config.state_dir.clone();
    let store = Store::open(&state_dir)?;
    let leases = store.leases()?;
    let journal = Journal::open(&state_dir)?;
    let next_session = journal.next_session()?;
    let plane = FilePlane::new(&config.boot_dir, &config.follow).with_context(|| {
        format!("cannot open boot_dir {} or a folder of follow", config.boot_dir.display())
    })?;
    let bound = Bound::bind(&config)?;
    own_state(&config)?;
    privileges::drop(config.user.as_deref())?;
    let table = LeaseTable::new(&config, leases.clone());
    let serving = Serving::new(config, &plane);
    Ok(Opened { serving, plane, store, leases, table, journal, next_session, bound })
}

/// The databases were made before the change of user: they must stay writable after it.
fn own_state(config: &Config) -> Result<()> {
    let Some(user) = &config.user else { return Ok(()) };
    let state_dir = &config.state_dir;
    let entries = fs::read_dir(state_dir)?.filter_map(Result::ok).map(|entry| entry.path());
    for path in entries.chain([state_dir.clone()]) {
        privileges::give(&path, user).with_context(|| format!("cannot give {} to {user}", path.display()))?;
    }
    Ok(())
}

/// Addresses in use at the start.
fn held(leases: &[Lease]) -> impl Iterator<Item = (std::net::Ipv4Addr, bootlace_wire::HwAddr)> {
    leases.iter().filter(|lease| lease.state == LeaseState::Bound).map(|lease| (lease.address, lease.hw))
}
