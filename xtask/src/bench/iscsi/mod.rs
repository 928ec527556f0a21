//! Reads and writes of an iSCSI disk in memory, against tgt.

mod load;
mod login;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::contest::Standings;
use super::wire::{SERVER, Server, Wire};
use super::{Bound, Contest, Floor, Sample, Subject};
use load::{Disk, Kind, Load, Order, Session};

const DISK_BYTES: u64 = 512 << 20;
const TURN: Duration = Duration::from_secs(3);
/// For the image to be read.
const PATIENCE: Duration = Duration::from_secs(60);

const TARGET: &str = "iqn.2026-01.example:disk";
const BOOTLACE: &str = r#"interfaces = ["eth0"]
state_dir = "state"
boot_dir = "boot"
images = "."
default = "seat"

[dhcp]
mode = "off"

[boot.seat]
kind = "disk"
image = "golden.img"
mode = "reset"
chap = "off"

[[iscsi.target]]
name = "iqn.2026-01.example:disk"
file = "ours.img"
mode = "read-write"
shared = true
"#;

/// One piece of work.
#[derive(Debug, Clone, Copy)]
struct Work {
    name: &'static str,
    load: Load,
    connections: u64,
    floor: Floor,
    end: &'static str,
}

const KIB: u64 = 1 << 10;
const NO_CPU_FLOOR: Option<f64> = None;

const fn reads(order: Order, bytes: u64, depth: u32) -> Load {
    Load { kind: Kind::Read, order, bytes, depth }
}

const fn writes(order: Order, bytes: u64, depth: u32) -> Load {
    Load { kind: Kind::Write, order, bytes, depth }
}

const fn small_reads(name: &'static str, depth: u32, connections: u64, rate: f64) -> Work {
    Work {
        name,
        load: reads(Order::Random, 4 * KIB, depth),
        connections,
        floor: Floor { rate, cpu: NO_CPU_FLOOR },
        end: "0.5 million a second and core",
    }
}

const fn large(name: &'static str, load: Load) -> Work {
    let floor = Floor { rate: 1.5, cpu: NO_CPU_FLOOR };
    Work { name, load, connections: 1, floor, end: "bound by copies in the kernel" }
}

const WORKS: [Work; 9] = [
    small_reads("4 KiB reads, one at a time", 1, 1, 1.0),
    Work {
        floor: Floor { rate: 5.0, cpu: Some(0.125) },
        ..small_reads("4 KiB reads, 32 at a time", 32, 1, 5.0)
    },
    small_reads("4 KiB reads, 8 at a time by 8 sessions", 8, 8, 1.0),
    small_reads("4 KiB reads, one at a time by 64 sessions", 1, 64, 1.0),
    small_reads("4 KiB reads, one at a time by 200 sessions", 1, 200, 1.0),
    large("64 KiB reads in order, 8 at a time", reads(Order::Sequential, 64 * KIB, 8)),
    large("256 KiB reads in order, 8 at a time", reads(Order::Sequential, 256 * KIB, 8)),
    large("256 KiB writes in order, 8 at a time", writes(Order::Sequential, 256 * KIB, 8)),
    Work {
        name: "4 KiB writes, 32 at a time",
        load: writes(Order::Random, 4 * KIB, 32),
        connections: 1,
        floor: Floor { rate: 1.0, cpu: NO_CPU_FLOOR },
        end: "bound by the file system",
    },
];

const FRESH: Work = Work {
    name: "4 KiB writes, 32 at a time, to a machine's fresh disk",
    load: writes(Order::Random, 4 * KIB, 32),
    connections: 1,
    floor: Floor { rate: 1.0, cpu: NO_CPU_FLOOR },
    end: "bound by the file system",
};

/// A server, and its name for the disk.
struct Subjects {
    name: &'static str,
    wire: Wire,
    server: Server,
    lun: u8,
}

/// Runs all contests. `dir` is in memory.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<Vec<Standings>> {
    fs::create_dir(dir.join("boot"))?;
    fs::write(dir.join("bootlace.toml"), BOOTLACE)?;
    for name in ["ours.img", "golden.img", "tgt.img"] {
        fill(&dir.join(name)).context("make a disk")?;
    }
    let servers = [serve_bootlace(bootlace, dir)?, serve_tgt(dir)?];
    let mut standings = Vec::new();
    for work in WORKS {
        standings.push(contest(&servers, work.name, work.floor, work.end, |at| at.loaded(work)).run(rounds)?);
    }
    standings
        .push(contest(&servers, FRESH.name, FRESH.floor, FRESH.end, Subjects::loaded_afresh).run(rounds)?);
    let floor = Floor { rate: 3.0, cpu: NO_CPU_FLOOR };
    let witness = contest(&servers, "iscsi-perf, 32 at a time", floor, "iscsi-perf is the limit", |at| {
        at.loaded_by_another()
    });
    standings.push(witness.run(rounds)?);
    Ok(standings)
}

fn contest<'a>(
    servers: &'a [Subjects],
    work: &str,
    floor: Floor,
    end: &'static str,
    measure: impl Fn(&Subjects) -> Result<Sample> + Copy + 'a,
) -> Contest<'a> {
    let subjects =
        servers.iter().map(|at| Subject { name: at.name, measure: Box::new(move || measure(at)) }).collect();
    Contest { work: work.to_owned(), unit: "command", floor, end, subjects }
}

impl Subjects {
    fn loaded(&self, work: Work) -> Result<Sample> {
        self.loaded_on(
            &Disk { target: TARGET.to_owned(), initiator: None, lun: self.lun, bytes: DISK_BYTES },
            work,
        )
    }

    /// Our disk is an overlay that nobody has written to, tgt's the same as always.
    fn loaded_afresh(&self) -> Result<Sample> {
        if self.name != "bootlace" {
            return self.loaded(FRESH);
        }
        let (target, initiator) = self.boot()?;
        self.loaded_on(&Disk { target, initiator: Some(initiator), lun: self.lun, bytes: DISK_BYTES }, FRESH)
    }

    /// Starts as a machine does, which begins another boot, and returns the disk that the script tells and who it is for.
    fn boot(&self) -> Result<(String, String)> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            self.fetch("boot.ipxe")?;
            let script = self.fetch("script?platform=pcbios&buildarch=i386")?;
            let word =
                |before: &str| script.lines().find_map(|line| line.strip_prefix(before)?.split(' ').next());
            if let (Some(uri), Some(initiator)) = (word("sanboot "), word("set initiator-iqn ")) {
                let target = uri.splitn(6, ':').nth(5).context("a URI without a target")?;
                return Ok((target.to_owned(), initiator.to_owned()));
            }
            ensure!(
                script.contains("is being read") && Instant::now() < give_up,
                "no disk is told: {script}"
            );
        }
    }

    fn fetch(&self, name: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "20", &format!("http://{SERVER}/{name}")]);
        let output = self.wire.load.output(&mut curl)?;
        ensure!(output.status.success(), "curl of {name}: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn loaded_on(&self, disk: &Disk, work: Work) -> Result<Sample> {
        // One after the other, as those of one address have to.
        let open = |seed| Session::open(disk, work.load, seed);
        let sessions: Result<Vec<_>> = self.wire.load.run(|| (1..=work.connections).map(open).collect())?;
        let sessions = sessions?;
        self.measured(|| {
            thread::scope(|scope| {
                let running: Vec<_> =
                    sessions.into_iter().map(|session| scope.spawn(|| session.run(TURN))).collect();
                let done = running
                    .into_iter()
                    .map(|session| session.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                done.sum()
            })
        })
    }

    /// By libiscsi's own program, as a witness that the load above is fair.
    fn loaded_by_another(&self) -> Result<Sample> {
        let seconds = TURN.as_secs().to_string();
        let url = format!("iscsi://{SERVER}/{TARGET}/{}", self.lun);
        let sample = self.measured(|| {
            let mut perf = Command::new("iscsi-perf");
            perf.args(["-b", "8", "-m", "32", "-r", "-t", &seconds, &url]);
            let output = perf.output().context("run iscsi-perf")?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let rate = average(&said).with_context(|| format!("iscsi-perf said {said:?}"))?;
            Ok((rate * TURN.as_secs_f64()) as u64)
        })?;
        Ok(Sample { elapsed: TURN, ..sample })
    }

    fn measured(&self, load: impl FnOnce() -> Result<u64> + Send) -> Result<Sample> {
        let (before, started) = (self.server.spent()?, Instant::now());
        let done = self.wire.load.run(load)??;
        let (elapsed, cpu) = (started.elapsed(), self.server.spent()? - before);
        ensure!(done > 0, "nothing was read");
        Ok(Sample { operations: done as f64, elapsed, cpu, bound: Bound::Server })
    }
}

/// What iscsi-perf found: "iops average 31234 (122 MB/s)".
fn average(said: &str) -> Option<f64> {
    let text = said.rsplit_once("iops average ")?.1;
    text.split_whitespace().next()?.parse().ok()
}

fn serve_bootlace(bootlace: &Path, dir: &Path) -> Result<Subjects> {
    let mut serve = Command::new(bootlace);
    serve.args(["serve", "-c", "bootlace.toml"]);
    let wire = Wire::new()?;
    let server = wire.serve("bootlace", dir, &mut serve, answers)?;
    Ok(Subjects { name: "bootlace", wire, server, lun: 0 })
}

fn serve_tgt(dir: &Path) -> Result<Subjects> {
    let socket = dir.join("tgt");
    let mut tgtd = Command::new("tgtd");
    tgtd.args(["--foreground", "--iscsi", &format!("portal={SERVER}:3260")]).env("TGT_IPC_SOCKET", &socket);
    let wire = Wire::new()?;
    let server = wire.serve("tgt", dir, &mut tgtd, answers)?;
    let image = dir.join("tgt.img");
    let image = image.to_string_lossy();
    let orders: [&[&str]; 3] = [
        &["--mode", "target", "--op", "new", "--targetname", TARGET],
        &["--mode", "logicalunit", "--op", "new", "--lun", "1", "--backing-store", &image],
        &["--mode", "target", "--op", "bind", "--initiator-address", "ALL"],
    ];
    for order in orders {
        let mut tgtadm = Command::new("tgtadm");
        tgtadm.args(["--lld", "iscsi", "--tid", "1"]).args(order).env("TGT_IPC_SOCKET", &socket);
        let output = wire.server().output(&mut tgtadm)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tgtadm {}: {}", order.join(" "), said.trim());
    }
    Ok(Subjects { name: "tgt", wire, server, lun: 1 })
}

/// Succeeds when the portal takes connections.
fn answers() -> Command {
    let mut command = Command::new("bash");
    let connect = format!("exec 3<>/dev/tcp/{SERVER}/3260");
    command.args(["-c", &format!("for i in 1 2 3 4 5; do ({connect}) && exit 0; sleep 0.2; done; exit 1")]);
    command.stderr(Stdio::null());
    command
}

fn fill(path: &Path) -> std::io::Result<()> {
    let block: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    let mut file = File::create(path)?;
    (0..DISK_BYTES >> 20).try_for_each(|_| file.write_all(&block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_witness_is_understood() {
        let said =
            "capacity is 0.5 GByte\rprogress 3s, iops current 10 (0 MB/s)\niops average 31234 (122 MB/s)\n";
        assert_eq!(average(said), Some(31234.0));
        assert_eq!(average("failed to log in"), None);
    }
}
