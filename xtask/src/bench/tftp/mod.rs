//! One large file from memory to several clients at once, each with the same sink.

pub(super) mod sink;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use bootlace_lab::{Daemon, Namespace};

use super::contest::Standings;
use super::{Bound, Contest, Floor, Sample, Subject, cpu};
use sink::{Fetch, fetch};

/// The file, larger than any cache of the CPU.
const NAME: &str = "image";
const FILE_BYTES: u64 = 64 << 20;
/// As many as keep the server busy on the other core of a small computer.
const CLIENTS: u32 = 4;
/// What iPXE asks for; every server grants it.
const BLKSIZE: u16 = 1432;

const CONFIG: &str = r#"interfaces = ["lo"]
state_dir = "state"
boot_dir = "boot"
default = "local"

[dhcp]
mode = "off"

[boot.local]
kind = "local"
"#;

/// A server in a namespace of its own, where all of them have port 69.
struct Server {
    name: &'static str,
    ns: Namespace,
    daemon: Daemon,
}

/// Runs both contests.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<Vec<Standings>> {
    let boot = dir.join("boot");
    fs::create_dir(&boot)?;
    fs::create_dir(dir.join("state"))?;
    fs::write(dir.join("bootlace.toml"), CONFIG)?;
    File::create(boot.join(NAME)).and_then(|file| fill(&file)).context("make the file")?;
    let servers = [
        Server::start("bootlace", dir, Command::new(bootlace).args(["serve", "-c", "bootlace.toml"]))?,
        Server::start("atftpd", dir, atftpd(&boot).args(["--maxthread", "100"]))?,
        Server::start("dnsmasq", dir, &mut dnsmasq(&boot))?,
    ];
    let contests = [(16, 2.0), (1, 1.2)];
    contests.into_iter().map(|(windowsize, floor)| contest(&servers, windowsize, floor).run(rounds)).collect()
}

fn contest(servers: &[Server], windowsize: u16, floor: f64) -> Contest<'_> {
    let subjects = servers
        .iter()
        .map(|server| Subject { name: server.name, measure: Box::new(move || server.measure(windowsize)) });
    Contest {
        work: format!("blksize {BLKSIZE}, windowsize {windowsize}"),
        unit: "MiB",
        floor: Floor { rate: floor, cpu: None },
        end: "10 GbE wire speed",
        subjects: subjects.collect(),
    }
}

fn fill(mut file: &File) -> std::io::Result<()> {
    let block: Vec<u8> = (0..1u32 << 20).map(|at| (at % 251) as u8).collect();
    (0..FILE_BYTES >> 20).try_for_each(|_| std::io::Write::write_all(&mut file, &block))
}

fn atftpd(boot: &Path) -> Command {
    let mut command = Command::new("atftpd");
    command.args(["--daemon", "--no-fork", "--user", "root.root", "--verbose=3", "--logfile", "-"]).arg(boot);
    command
}

fn dnsmasq(boot: &Path) -> Command {
    let mut command = Command::new("dnsmasq");
    command
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--pid-file="])
        .args(["--log-facility=-", "--enable-tftp"])
        .arg(format!("--tftp-root={}", boot.display()));
    command
}

impl Server {
    fn start(name: &'static str, dir: &Path, command: &mut Command) -> Result<Self> {
        let ns = Namespace::new()?;
        let daemon = Daemon::start(&ns, name, dir, command.current_dir(dir))?;
        Ok(Self { name, ns, daemon })
    }

    /// Sends the file to all clients once.
    fn measure(&self, windowsize: u16) -> Result<Sample> {
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 69);
        let request = Fetch { server, name: NAME, blksize: BLKSIZE, windowsize };
        let spent = || cpu::spent(self.daemon.id());
        let (cpu, started) = (spent()?, Instant::now());
        let bytes = self.ns.run(|| {
            thread::scope(|scope| {
                // A thread is born into the namespace of the one that starts it.
                let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| fetch(&request))).collect();
                let fetched = clients
                    .into_iter()
                    .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                fetched.sum::<Result<u64>>()
            })
        })?;
        let bytes = bytes.with_context(|| format!("it printed:\n{}", self.daemon.output().text()))?;
        let elapsed = started.elapsed();
        anyhow::ensure!(bytes == FILE_BYTES * u64::from(CLIENTS), "{bytes} bytes came");
        Ok(Sample {
            operations: bytes as f64 / f64::from(1 << 20),
            elapsed,
            cpu: spent()? - cpu,
            bound: Bound::Server,
        })
    }
}
