//! Whole-machine scenarios: a real firmware, a real network, a real server.
//!
//! To add one: write a function `fn name(context: &Context) -> Result<()>` in the file of its group, list it in
//! that file's `SCENARIOS`, and give it a line in `gate.toml`. It runs in a sandbox of its own, may leave files
//! in `context.dir()`, and fails by returning an error.

mod adopt;
mod boots;
mod clients;
mod compare;
pub(crate) mod conformance;
mod context;
mod disks;
mod dnsmasq;
mod doctor;
mod firmware;
mod fuzz;
mod histories;
mod hostile;
mod images;
mod installs;
mod iscsi;
mod kinds;
mod links;
mod loaders;
mod names;
mod next_boot;
mod passwd;
mod peers;
mod probe;
mod process;
mod proxy;
mod rawdhcp;
mod secure;
mod served;
mod soak;
mod stage;
mod state;
mod trees;

use std::path::Path;

use anyhow::{Context as _, Result};
use bootlace_lab::debian;

pub(crate) use context::Context;

/// A scenario by name.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What it shows, in one line.
    pub(crate) shows: &'static str,
    pub(crate) run: fn(&Context) -> Result<()>,
}

const GROUPS: &[&[Scenario]] = &[
    links::SCENARIOS,
    dnsmasq::SCENARIOS,
    clients::SCENARIOS,
    hostile::SCENARIOS,
    boots::SCENARIOS,
    firmware::SCENARIOS,
    kinds::SCENARIOS,
    iscsi::SCENARIOS,
    disks::SCENARIOS,
    proxy::SCENARIOS,
    images::SCENARIOS,
    proxy::auto::SCENARIOS,
    names::SCENARIOS,
    next_boot::SCENARIOS,
    adopt::SCENARIOS,
    installs::SCENARIOS,
    secure::SCENARIOS,
    trees::SCENARIOS,
    loaders::SCENARIOS,
    process::SCENARIOS,
    probe::SCENARIOS,
    doctor::SCENARIOS,
    passwd::SCENARIOS,
    state::SCENARIOS,
    soak::SCENARIOS,
    fuzz::SCENARIOS,
    histories::SCENARIOS,
    conformance::SCENARIOS,
];

/// Gets the packages that scenarios take files of: inside of its sandbox a scenario has no network. What only the long proof uses
/// may be missing.
pub(crate) fn fetch_packages(cache: &Path) -> Result<()> {
    let packages = stage::SIGNED_BOOT.iter().map(|(package, _)| *package);
    let packages = packages.chain(disks::ISCSISTART.iter().map(|(package, _)| *package));
    let packages = packages.chain([trees::GRUB_PC, installs::INSTALLER, installs::CLOUD_INIT]);
    packages.into_iter().try_for_each(|package| debian::unpack(cache, package).map(drop))?;
    if let Err(error) = installs::fetch_readers(cache) {
        eprintln!("warning: install-examples cannot be run: {error:#}");
    }
    Ok(())
}

pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    GROUPS.iter().copied().flatten()
}

pub(crate) fn find(name: &str) -> Result<&'static Scenario> {
    all()
        .find(|scenario| scenario.name == name)
        .with_context(|| format!("no scenario is called {name}; `cargo xtask lab list` names them all"))
}
