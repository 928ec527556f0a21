//! A boot storm: a room of machines that are switched on together, from DISCOVER to the last byte of their kernel.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::contest::Standings;
use super::script;
use super::wire::{LINK, SERVER, Server, Wire, http_answers};
use super::{Bound, Contest, Floor, Sample, Subject};

/// Machines in a storm.
const MACHINES: u32 = 500;
/// The size of a distribution's kernel for virtual machines.
const KERNEL_BYTES: usize = 8 << 20;
const FIRST_MAC: &str = "52:54:00:00:01:00";

const BOOTLACE: &str = r#"interfaces = ["eth0"]
state_dir = "state"
boot_dir = "boot"
default = "rescue"

[dhcp]
mode = "server"
authoritative = true
probe = false
[[dhcp.subnet]]
subnet = "10.188.0.0/16"
ranges = ["10.188.1.1-10.188.4.250"]

[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
cmdline = "console=ttyS0"
"#;

/// The classic first script; its second one is PHP.
const BOOT1: &str =
    "#!ipxe\nchain http://10.188.0.10/boot2.php?mac=${mac}&ip=${ip}&uuid=${uuid}&serial=${serial}\n";
const BOOT2: &str = "<?php\necho \"#!ipxe\\nkernel http://10.188.0.10/vmlinuz console=ttyS0\\nboot\\n\";\n";

/// Runs the contest. `dir` is in memory.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<Vec<Standings>> {
    let boot = dir.join("boot");
    fs::create_dir(&boot)?;
    fs::write(boot.join("vmlinuz"), kernel())?;
    fs::write(boot.join("boot1.txt"), BOOT1)?;
    fs::write(boot.join("boot2.php"), BOOT2)?;
    fs::write(dir.join("bootlace.toml"), BOOTLACE)?;
    fs::write(dir.join("apache.conf"), script::apache(dir))?;
    let mut serve = Command::new(bootlace);
    serve.args(["serve", "-c", "bootlace.toml"]);
    let mut apache = Command::new("apache2");
    apache.arg("-f").arg(dir.join("apache.conf")).args(["-D", "FOREGROUND"]);
    let mut dnsmasq = dnsmasq(dir);
    let sets: [(&str, Vec<(&str, &mut Command)>); 2] = [
        ("bootlace", vec![("bootlace", &mut serve)]),
        ("dnsmasq + apache2", vec![("dnsmasq", &mut dnsmasq), ("apache2", &mut apache)]),
    ];
    let subjects = sets.into_iter().map(|(name, commands)| {
        let wire = Wire::new()?;
        // HTTP comes last: when that answers, all are there.
        let servers = commands.into_iter().map(|(program, command)| {
            let ready = if program == "dnsmasq" { nothing } else { http_answers };
            wire.serve(program, dir, command, ready)
        });
        let servers = servers.collect::<Result<Vec<_>>>()?;
        Ok(Subject { name, measure: Box::new(move || measure(bootlace, &wire, &servers)) })
    });
    let contest = Contest {
        work: format!("storm of {MACHINES} machines"),
        unit: "machine",
        floor: Floor { rate: 3.0, cpu: None },
        end: "bound by bytes alone",
        subjects: subjects.collect::<Result<_>>()?,
    };
    Ok(vec![contest.run(rounds)?])
}

fn kernel() -> Vec<u8> {
    // What the bytes are is nobody's business but where Linux has its magic numbers.
    let mut bytes = vec![0x5a; KERNEL_BYTES];
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}

fn nothing() -> Command {
    Command::new("true")
}

/// What `bootlace probe --count N --json` says.
#[derive(Debug, Deserialize)]
struct Storm {
    booted: u32,
    seconds: f64,
    findings: serde_json::Value,
}

fn measure(bootlace: &Path, wire: &Wire, servers: &[Server]) -> Result<Sample> {
    let spent = || servers.iter().map(Server::spent).sum::<Result<Duration>>();
    let before = spent()?;
    let count = MACHINES.to_string();
    let mut probe = Command::new(bootlace);
    probe.args([
        "probe",
        "--interface",
        LINK,
        "--firmware",
        "ipxe",
        "--mac",
        FIRST_MAC,
        "--count",
        &count,
        "--json",
    ]);
    let printed = wire.run(&mut probe)?;
    let storm: Storm = serde_json::from_str(&printed).with_context(|| format!("probe printed {printed}"))?;
    ensure!(storm.booted == MACHINES, "{} of {MACHINES} boot: {}", storm.booted, storm.findings);
    let cpu = spent()? - before;
    Ok(Sample {
        operations: storm.booted.into(),
        elapsed: Duration::from_secs_f64(storm.seconds),
        cpu,
        bound: Bound::Server,
    })
}

fn dnsmasq(dir: &Path) -> Command {
    let mut command = Command::new("dnsmasq");
    command
        .args(["--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--port=0"])
        .args(["--interface=eth0", "--bind-interfaces", "--user=root", "--pid-file=", "--no-ping"])
        .args(["--dhcp-range=10.188.1.1,10.188.4.250,12h", "--dhcp-authoritative", "--dhcp-no-override"])
        // The limit that its manual page names for networks with many machines.
        .args(["--dhcp-lease-max=2000", "--dhcp-userclass=set:ENH,iPXE", "--enable-tftp"])
        .arg(format!("--dhcp-boot=tag:ENH,http://{SERVER}/boot1.txt"))
        .arg(format!("--tftp-root={}", dir.join("boot").display()))
        .arg(format!("--dhcp-leasefile={}", dir.join("dnsmasq.leases").display()));
    command
}
