//! How long a start takes, and how much memory an idle server holds.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bootlace_lab::Daemon;

use super::contest::median;
use super::wire::Wire;

/// From the start of the process to the log line that says that all sockets are bound.
const READY_FLOOR: Duration = Duration::from_millis(100);
/// Resident memory, in KiB.
const MEMORY_FLOOR: f64 = 30.0 * 1024.0;
/// Longer than any start.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"interfaces = ["eth0"]
state_dir = "state"
boot_dir = "boot"
default = "local"

[dhcp]
mode = "server"

[[dhcp.subnet]]
subnet = "10.188.0.0/16"
ranges = ["10.188.0.60-10.188.0.70"]

[boot.local]
kind = "local"
"#;

/// Medians of several starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    ready_millis: f64,
    resident_kib: f64,
}

/// Starts a server `rounds` times, the first time without a state. `dir` is on a disk.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<Start> {
    fs::create_dir(dir.join("boot"))?;
    fs::write(dir.join("bootlace.toml"), CONFIG)?;
    let wire = Wire::new()?;
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..=rounds {
        let (millis, kib) = once(&wire, bootlace, dir)?;
        println!("ready after {millis:.0} ms with {kib:.0} KiB");
        ready.push(millis);
        resident.push(kib);
    }
    Ok(Start { ready_millis: median(ready), resident_kib: median(resident) })
}

/// Starts the server of the config in `dir` once: milliseconds until it is ready, and KiB that it then holds.
pub(super) fn once(wire: &Wire, bootlace: &Path, dir: &Path) -> Result<(f64, f64)> {
    let started = Instant::now();
    let mut serve = Command::new(bootlace);
    serve.args(["serve", "-c", "bootlace.toml"]).current_dir(dir);
    let daemon = Daemon::start(wire.server(), "bootlace", dir, &mut serve)?;
    daemon.output().wait_for("ready", PATIENCE)?;
    Ok((started.elapsed().as_secs_f64() * 1e3, memory_kib(daemon.id(), "VmRSS")?))
}

impl Start {
    /// What is missing to the floor, if anything is.
    pub(super) fn shortfall(self) -> Option<String> {
        if self.ready_millis > READY_FLOOR.as_secs_f64() * 1e3 {
            return Some(format!("start: {:.0} ms", self.ready_millis));
        }
        (self.resident_kib > MEMORY_FLOOR).then(|| format!("idle memory: {:.0} KiB", self.resident_kib))
    }

    /// Its part of BENCHMARKS.md.
    pub(super) fn table(self) -> String {
        format!(
            "\nFloor: ready within {} ms, less than {:.0} MiB resident: {}.\n\n| from start to `ready` | resident when idle |\n\
             |--:|--:|\n| {:.0} ms | {:.1} MiB |\n",
            READY_FLOOR.as_millis(),
            MEMORY_FLOOR / 1024.0,
            self.shortfall().map_or("met", |_| "**missed**"),
            self.ready_millis,
            self.resident_kib / 1024.0
        )
    }
}

/// A line of `/proc/PID/status` that counts KiB: `VmRSS` is what it holds, `VmHWM` the most that it ever did.
pub(super) fn memory_kib(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.with_context(|| format!("/proc has no {field} line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_and_a_fat_server_fall_short() {
        let shortfall = |ready_millis, resident_kib| Start { ready_millis, resident_kib }.shortfall();
        assert_eq!(shortfall(20.0, 9000.0), None);
        assert_eq!(shortfall(120.0, 9000.0).unwrap(), "start: 120 ms");
        assert_eq!(shortfall(20.0, 40_000.0).unwrap(), "idle memory: 40000 KiB");
    }

    #[test]
    fn this_process_holds_memory() {
        assert!(memory_kib(std::process::id(), "VmRSS").unwrap() > 100.0);
    }
}
