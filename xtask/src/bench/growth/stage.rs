//! One size of config and store.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::super::contest::median;
use super::super::dhcp::{Climber, RATE_FIRST};
use super::super::start::{memory_kib, once};
use super::super::wire::{SERVER, Server, Wire, http_answers};
use super::super::{Sample, script};
use super::filler::{self, Asks};

/// What the API lists.
const LISTS: [&str; 3] = ["machines", "leases", "boots"];
/// What perfdhcp adds when its clients are firmware: options 60 and 93, in hexadecimal.
const AS_FIRMWARE: [&str; 4] =
    ["-o", "60,505845436c69656e743a417263683a30303030303a554e44493a303032303031", "-o", "93,0000"];
/// The machine of the load's own MAC, which asks for scripts.
const LOAD_MACHINE: &str =
    "\n[[machine]]\nname = \"load\"\nmac = \"00:12:34:56:78:90\"\nboot = \"chained\"\n";
const QUERY: &str = "mac=00:12:34:56:78:90&ip=10.188.0.11&manufacturer=QEMU&serial=X1";

/// How much a server knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    /// In the config, each with a MAC, a reserved address and a boot.
    pub(super) machines: u32,
    /// In the store; the first of them are the machines'.
    pub(super) leases: u32,
    /// Whether each lease also opens a session.
    pub(super) asks: Asks,
}

/// Medians of one stage.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) stage: Stage,
    pub(super) check_millis: f64,
    pub(super) ready_millis: f64,
    pub(super) ready_kib: f64,
    pub(super) loaded_kib: f64,
    /// The most that it ever held, with a list in the making.
    pub(super) peak_kib: f64,
    pub(super) dhcp: Cost,
    pub(super) script: Cost,
    /// In the order of [`LISTS`].
    pub(super) gets: Vec<Get>,
}

/// Of one kind of work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Operations in a second.
    pub(super) rate: f64,
    /// Of the server, for each.
    pub(super) cpu_micros: f64,
}

/// An answer of the API.
#[derive(Debug, Clone, Copy)]
pub(super) struct Get {
    pub(super) millis: f64,
    pub(super) bytes: f64,
}

impl Stage {
    pub(super) fn name(self) -> String {
        format!("{}-machines-{}-leases", self.machines, self.leases)
    }

    pub(super) fn sessions(self) -> u32 {
        if self.asks == Asks::Firmware { self.leases } else { 0 }
    }

    /// Fills a store, starts servers on it and puts the last of them to work.
    pub(super) fn measure(self, wire: &Wire, bootlace: &Path, dir: &Path, rounds: u32) -> Result<Measured> {
        println!("---- {}", self.name());
        fs::write(dir.join("bootlace.toml"), self.config())?;
        let checks = (0..rounds).map(|_| check(bootlace, dir)).collect::<Result<_>>()?;
        {
            let _server = self.serve(wire, bootlace, dir)?;
            let started = Instant::now();
            filler::fill(wire, self.leases, Asks::System)?;
            println!("{} leases after {:.1} s", self.leases, started.elapsed().as_secs_f64());
        }
        let starts = (0..rounds).map(|_| once(wire, bootlace, dir)).collect::<Result<Vec<_>>>()?;
        let server = self.serve(wire, bootlace, dir)?;
        if self.asks == Asks::Firmware {
            filler::fill(wire, self.leases, Asks::Firmware)?;
        }
        let dhcp = self.dhcp(wire, &server, rounds)?;
        let url = format!("http://{SERVER}/script?{QUERY}");
        let scripts =
            (0..rounds).map(|_| script::measure(wire, &server, &url)).collect::<Result<Vec<_>>>()?;
        let loaded_kib = memory_kib(server.id(), "VmRSS")?;
        let gets = LISTS.into_iter().map(|list| gets(dir, list, rounds)).collect::<Result<_>>()?;
        let measured = Measured {
            stage: self,
            check_millis: median(checks),
            ready_millis: median(starts.iter().map(|(millis, _)| *millis).collect()),
            ready_kib: median(starts.iter().map(|(_, kib)| *kib).collect()),
            loaded_kib,
            peak_kib: memory_kib(server.id(), "VmHWM")?,
            dhcp,
            script: Cost::median(&scripts),
            gets,
        };
        println!("{measured:?}");
        Ok(measured)
    }

    fn config(self) -> String {
        let mut text = format!(
            "interfaces = [\"eth0\"]\nstate_dir = \"state\"\nboot_dir = \"boot\"\ndefault = \"local\"\n\
             [dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.176.0.0/12\"\nranges = {}\nlease = \"12h\"\n\
             [boot.local]\nkind = \"local\"\n[boot.chained]\nkind = \"chain\"\nurl = \"http://boot.example.com\"\n\
             {LOAD_MACHINE}",
            filler::RANGES
        );
        for client in 0..self.machines {
            let mac = filler::mac(client).map(|byte| format!("{byte:02x}")).join(":");
            let address = filler::address(client);
            text.push_str(&format!(
                "[[machine]]\nname = \"m{client}\"\nmac = \"{mac}\"\naddress = \"{address}\"\nboot = \"chained\"\n"
            ));
        }
        text
    }

    fn serve(self, wire: &Wire, bootlace: &Path, dir: &Path) -> Result<Server> {
        let mut serve = Command::new(bootlace);
        serve.args(["serve", "-c", "bootlace.toml"]);
        wire.serve("bootlace", dir, &mut serve, http_answers)
    }

    fn dhcp(self, wire: &Wire, server: &Server, rounds: u32) -> Result<Cost> {
        let mut more = filler::PERFDHCP_BASE.to_vec();
        if self.asks == Asks::Firmware {
            more.extend(AS_FIRMWARE);
        }
        let mut climber = Climber { wire, server, clients: self.leases, more: &more, rate: RATE_FIRST };
        let samples = (0..rounds).map(|_| climber.measure()).collect::<Result<Vec<_>>>()?;
        Ok(Cost::median(&samples))
    }
}

impl Cost {
    fn median(samples: &[Sample]) -> Self {
        Self {
            rate: median(samples.iter().map(Sample::rate).collect()),
            cpu_micros: median(samples.iter().map(Sample::cpu_micros).collect()),
        }
    }
}

/// Milliseconds that `bootlace check` takes.
fn check(bootlace: &Path, dir: &Path) -> Result<f64> {
    let started = Instant::now();
    let output = Command::new(bootlace).args(["check", "-c", "bootlace.toml"]).current_dir(dir).output()?;
    let millis = started.elapsed().as_secs_f64() * 1e3;
    ensure!(output.status.success(), "check: {}", String::from_utf8_lossy(&output.stderr));
    Ok(millis)
}

/// Medians of `rounds` answers of the API.
fn gets(dir: &Path, list: &str, rounds: u32) -> Result<Get> {
    let gets = (0..rounds).map(|_| get(dir, list)).collect::<Result<Vec<_>>>()?;
    Ok(Get {
        millis: median(gets.iter().map(|get| get.millis).collect()),
        bytes: median(gets.iter().map(|get| get.bytes).collect()),
    })
}

fn get(dir: &Path, list: &str) -> Result<Get> {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--output",
        "/dev/null",
        "--unix-socket",
        "state/admin.sock",
    ]);
    curl.args(["--write-out", "%{time_total} %{size_download}", &format!("http://localhost/api/v1/{list}")]);
    let output = curl.current_dir(dir).output().context("run curl")?;
    ensure!(output.status.success(), "{list}: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout)?;
    let (seconds, bytes) = printed.split_once(' ').with_context(|| format!("curl printed {printed}"))?;
    Ok(Get { millis: seconds.parse::<f64>()? * 1e3, bytes: bytes.parse()? })
}
