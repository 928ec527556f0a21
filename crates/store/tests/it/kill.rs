//! A server killed in the middle of its work has kept every promise that it made.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bootlace_core::dhcp::LeaseChange;
use bootlace_store::Store;

use crate::make::{ip, lease};

/// Names the directory in which [`the_child_commits_until_it_is_killed`] plays the server.
const CHILD_DIR: &str = "BOOTLACE_TEST_KILL_DIR";
/// What the child says after each commit, so that the harness's own output is told apart.
const ACKNOWLEDGED: &str = "acknowledged ";

#[test]
fn every_acknowledged_lease_is_found_after_a_kill() {
    for acknowledged_before_the_kill in [1, 10, 150] {
        let dir = tempfile::tempdir().unwrap();
        let promised = run_and_kill(dir.path(), acknowledged_before_the_kill);
        assert!(promised.len() >= acknowledged_before_the_kill);
        let leases = Store::open(dir.path()).unwrap().leases().unwrap();
        for number in promised {
            assert!(leases.contains(&lease(number)), "{} was promised", ip(number));
        }
    }
}

/// The numbers that the child acknowledged before it died, at least `least` of them.
fn run_and_kill(dir: &Path, least: usize) -> Vec<u32> {
    let child = concat!(module_path!(), "::the_child_commits_until_it_is_killed");
    let child = child.split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", child, "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut told = String::new();
    while told.matches(ACKNOWLEDGED).count() < least {
        assert_ne!(lines.read_line(&mut told).unwrap(), 0, "the child ended by itself: {told}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said while the kill was on its way counts as well.
    lines.read_to_string(&mut told).unwrap();
    let complete = told.rsplit_once('\n').unwrap().0;
    complete
        .lines()
        .filter_map(|line| line.split_once(ACKNOWLEDGED))
        .map(|(_, number)| number.parse().unwrap())
        .collect()
}

/// Does nothing in an ordinary run.
#[test]
fn the_child_commits_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let mut store = Store::open(Path::new(&dir)).unwrap();
    let mut out = std::io::stdout();
    for number in 0.. {
        store.commit(&[LeaseChange::Put(lease(number))]).unwrap();
        writeln!(out, "{ACKNOWLEDGED}{number}").unwrap();
        out.flush().unwrap();
    }
}
