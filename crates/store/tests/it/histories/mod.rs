//! Short histories of two subnets, their server and the server's disk, of which each seed makes one: machines that boot
//! and renew, give back and refuse, move to the other subnet and get new network cards; a wall clock that somebody sets
//! by seconds and by years, while the server runs, is stopped or has no power; and power that fails between any two
//! steps of the disk. The messages, the decisions and the store are the real ones.
//!
//! `BOOTLACE_HISTORIES=FIRST..END` chooses the seeds: one to replay a failure, a million for the long proof.

mod cards;
mod host;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use bootlace_core::config::{self, Config};
use bootlace_store::Store;

use crate::disk::{DISK, Disk, Sync, vfs};

use host::{Host, Told};

/// Fewer addresses than machines, so that the subnets are full now and then. One machine has two cards, one is known by
/// its UUID and gets a new card now and then.
const CONFIG: &str = "default = \"local\"\n[dhcp]\nmode = \"server\"\n\
    [[dhcp.subnet]]\nsubnet = \"10.0.0.0/24\"\nranges = [\"10.0.0.100-10.0.0.104\"]\nlease = \"1h\"\n\
    [[dhcp.subnet]]\nsubnet = \"10.0.1.0/24\"\nranges = [\"10.0.1.100-10.0.1.102\"]\nlease = \"2h\"\n\
    [[machine]]\nname = \"two-cards\"\nmac = [\"02:00:00:00:00:00\", \"02:00:00:00:00:01\"]\naddress = \"10.0.0.9\"\n\
    [[machine]]\nname = \"repaired\"\nuuid = \"4c4c4544-0051-3510-8053-b7c04f4e3233\"\naddress = \"10.0.1.9\"\n";
/// What the gate runs.
const GATE: std::ops::Range<u64> = 0..1000;
/// Histories from one line about the progress to the next.
const PROGRESS: u64 = 10_000;

fn config() -> Config {
    let source = config::Source { name: "bootlace.toml".into(), folder: PathBuf::new(), text: CONFIG.into() };
    match config::load(&source, &config::Files::new()) {
        Ok(loaded) => loaded.config,
        Err(findings) => panic!("{}", findings.iter().map(|f| format!("{f}\n")).collect::<String>()),
    }
}

/// A disk with an empty store.
fn fresh() -> Disk {
    vfs::register();
    DISK.set(Disk::default());
    drop(Store::open_on(vfs::NAME, Path::new("/state")).unwrap());
    DISK.take()
}

/// Lives through the history of a seed; the error says what must not be.
fn live(config: &Config, fresh: &Disk, seed: u64, ignores: Option<Sync>) -> Result<Told, String> {
    let mut host = Host::new(config, fresh, seed, ignores);
    let told = host.start().and_then(|()| {
        for step in 0..host.steps() {
            host.step().map_err(|error| format!("step {step}: {error}"))?;
        }
        Ok(host.told())
    });
    told.map_err(|error| format!("seed {seed}, {error}"))
}

fn seeds() -> std::ops::Range<u64> {
    let Some(range) = std::env::var("BOOTLACE_HISTORIES").ok() else { return GATE };
    let (first, end) = range.split_once("..").expect("FIRST..END");
    first.parse().unwrap()..end.parse().unwrap()
}

/// Lives through all of them, on all processors; says now and then how far it is.
fn live_all(config: &Config, fresh: &Disk, seeds: std::ops::Range<u64>) -> Told {
    let (next, sum, started) = (AtomicU64::new(seeds.start), Mutex::new(Told::default()), Instant::now());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                return;
            }
            match live(config, fresh, seed, None) {
                Ok(told) => sum.lock().unwrap().add(&told),
                Err(violation) => {
                    // The others have no need to go on.
                    next.store(seeds.end, Relaxed);
                    panic!("{violation}\nreplay it alone with BOOTLACE_HISTORIES={seed}..{}", seed + 1)
                }
            }
            let done = seed + 1 - seeds.start;
            if done.is_multiple_of(PROGRESS) {
                let rate = done as f64 / started.elapsed().as_secs_f64();
                println!("{done} histories, {rate:.0} a second");
            }
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, |count| count.get());
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in running {
            if let Err(violation) = worker.join() {
                std::panic::resume_unwind(violation);
            }
        }
    });
    sum.into_inner().unwrap()
}

#[test]
fn every_promise_outlives_a_power_loss() {
    let seeds = seeds();
    let sum = live_all(&config(), &fresh(), seeds.clone());
    println!("seeds {seeds:?}: {sum:?}");
    if seeds.end - seeds.start >= 1000 {
        // Of everything that a promise must survive there was enough.
        let Told { losses, acks, steps, failures, moves, checkpoints } = sum;
        assert!(losses > 1000 && acks > 5000 && steps > 1000, "{sum:?}");
        assert!(failures > 100 && moves > 100 && checkpoints > 100, "{sum:?}");
    }
}

/// The proof of the proof: without any one kind of sync some promise is broken.
#[test]
fn without_any_one_sync_a_promise_is_broken() {
    let (config, fresh) = (config(), fresh());
    for ignored in [Sync::Log, Sync::Database, Sync::Names] {
        let violation = (0..2000).find_map(|seed| {
            let broken = live(&config, &fresh, seed, Some(ignored)).err()?;
            // The same history on an honest disk keeps every promise.
            live(&config, &fresh, seed, None).ok().map(|_| broken)
        });
        println!("{ignored:?}: {violation:?}");
        assert!(violation.is_some(), "nobody misses {ignored:?}");
    }
}
