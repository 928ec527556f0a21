//! `bootlace state` beside a running server and without one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bootlace_store::{Journal, LeaseReader, Store};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Server;
use crate::world::{CONFIG, at, folder, ip, lease, mac};

fn state(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
    command.arg("state").args(words).current_dir(dir).args(["-c", "bootlace.toml"]).output().unwrap()
}

#[track_caller]
fn says(output: &Output, wanted: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(wanted), "nothing of {wanted:?} in: {said}");
}

/// Fails with one line that says this.
#[track_caller]
fn fails(output: &Output, wanted: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.lines().count() == 1 && said.contains(wanted), "{said}");
}

/// A folder with a config and a state of one lease.
fn with_lease() -> TempDir {
    let dir = folder(CONFIG);
    let bound = bootlace_core::dhcp::LeaseState::Bound;
    let mut store = Store::open(&dir.path().join("state")).unwrap();
    store.commit(&[lease(61, 1, bound, at(60))]).unwrap();
    drop((store, Journal::open(&dir.path().join("state")).unwrap()));
    dir
}

#[test]
fn a_backup_beside_a_running_server_and_the_way_back() {
    let mut server = Server::start(":");
    let dir = server.path("");
    says(&state(&dir, &["backup", "first"]), "made first: 0 leases");
    fails(&state(&dir, &["backup", "first"]), "is there already");
    says(&state(&dir, &["verify"]), "leases: fine: 0 leases");
    says(&state(&dir, &["verify", "first"]), "first is a backup of 2");
    fails(&state(&dir, &["restore", "first"]), "in use by another Bootlace");
    server.signal(Signal::TERM);
    server.wait_for("stopped");
    assert!(server.child.wait().unwrap().success());
    says(&state(&dir, &["restore", "first"]), "bootlace.db.before-");
    says(&state(&dir, &["verify"]), "history: fine:");
}

#[test]
fn a_restore_brings_the_leases_back() {
    let dir = with_lease();
    let database = dir.path().join("state/bootlace.db");
    says(&state(dir.path(), &["backup", "good"]), "1 leases");
    fs::write(&database, "a page of a book".repeat(500)).unwrap();
    let damaged = state(dir.path(), &["verify"]);
    fails(&damaged, "not all is well");
    let lines = String::from_utf8(damaged.stdout).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let [leases, history] = lines[..] else { panic!("{lines:?}") };
    assert!(leases.contains("is damaged") && leases.contains("`bootlace state restore`"), "{leases}");
    assert!(history.starts_with("history: fine:"), "{history}");
    fails(&state(dir.path(), &["backup", "bad"]), "is damaged");
    assert!(!dir.path().join("bad").exists());

    says(&state(dir.path(), &["restore", "good"]), "restored the backup of 2");
    let leases = LeaseReader::open(&dir.path().join("state")).unwrap().leases().unwrap();
    assert_eq!(leases.iter().map(|lease| (lease.address, lease.hw)).collect::<Vec<_>>(), [(ip(61), mac(1))]);
    fails(&state(dir.path(), &["restore", "nowhere"]), "it is no backup");
    fails(&state(dir.path(), &["restore", "boot"]), "it is no backup");
}

#[test]
fn before_the_first_start_there_is_nothing_to_copy() {
    let dir = folder(CONFIG);
    fails(&state(dir.path(), &["backup", "early"]), "first start");
    fails(&state(dir.path(), &["verify"]), "not all is well");
    assert!(!dir.path().join("state").exists() && !dir.path().join("early").exists());
}
