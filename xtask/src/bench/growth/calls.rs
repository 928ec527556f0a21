//! System calls for each operation, as strace counts them.
//!
//! A traced server is many times slower, so this says nothing of rates. What arrives together is taken together:
//! there are two counts for DHCP, one of exchanges that come alone and one of exchanges in a crowd.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bootlace_lab::Daemon;

use super::super::tftp::sink::{Fetch, fetch};
use super::super::wire::{SERVER, Server, Wire, http_answers};
use crate::perfdhcp;

/// How long strace takes to stop all threads, at most.
const ATTACHED: Duration = Duration::from_secs(60);
/// Calls that are less frequent than this are left out of the list, not of the sum: the server's own timers.
const SHOWN_MIN: f64 = 0.01;
const BLKSIZE: u16 = 1432;
const FILE_BYTES: usize = 16 << 20;
const SMALL_BYTES: usize = 4096;

const CONFIG: &str = r#"interfaces = ["eth0"]
state_dir = "state"
boot_dir = "boot"
default = "local"
[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/16"
ranges = ["10.188.1.0-10.188.255.250"]
[boot.local]
kind = "local"
"#;

/// An operation, and how it is made: returns how many there were.
struct Operation {
    name: &'static str,
    make: fn(&Wire) -> Result<f64>,
}

const OPERATIONS: [Operation; 7] = [
    Operation { name: "DHCP exchange, alone", make: |wire| exchanges(wire, "50", "4") },
    Operation { name: "DHCP exchange, in a crowd", make: |wire| exchanges(wire, "2000", "4") },
    Operation { name: "TFTP block of 1432 bytes, windowsize 1", make: |wire| blocks(wire, 1) },
    Operation { name: "TFTP block of 1432 bytes, windowsize 16", make: |wire| blocks(wire, 16) },
    Operation { name: "HTTP request for 4 KiB, kept alive", make: |wire| requests(wire, "small") },
    Operation { name: "HTTP, MiB of a large file", make: mebibytes },
    Operation {
        name: "script decision, kept alive",
        make: |wire| requests(wire, "script?mac=00:12:34:56:78:90"),
    },
];

/// Counts the calls of all operations, one after the other.
pub(super) fn run(bootlace: &Path, dir: &Path) -> Result<String> {
    fs::write(dir.join("bootlace.toml"), CONFIG)?;
    fs::write(dir.join("boot/large"), vec![0x5a; FILE_BYTES])?;
    fs::write(dir.join("boot/small"), vec![0x5a; SMALL_BYTES])?;
    let wire = Wire::new()?;
    let mut serve = Command::new(bootlace);
    serve.args(["serve", "-c", "bootlace.toml"]);
    let server = wire.serve("bootlace", dir, &mut serve, http_answers)?;
    let mut text = "\n### System calls\n\nOf all threads, journal and log included (`strace -c`). A crowd is 2,000 exchanges a second.\n\n\
                    | operation | calls each | of them |\n|---|--:|---|\n"
        .to_owned();
    for Operation { name, make } in OPERATIONS {
        // The first one finds nothing cached.
        make(&wire)?;
        let trace = Trace::attach(&wire, &server, dir)?;
        let count = make(&wire)?;
        let calls = trace.end()?;
        ensure!(count > 0.0, "{name}: none was made");
        let each = |calls: u64| calls as f64 / count;
        let sum = each(calls.values().sum());
        let line = format!("| {name} | {sum:.2} | {} |\n", shown(&calls, each));
        print!("{line}");
        text.push_str(&line);
    }
    Ok(text)
}

/// The calls that are made for operations, the most frequent first.
fn shown(calls: &BTreeMap<String, u64>, each: impl Fn(u64) -> f64) -> String {
    let mut calls: Vec<_> = calls.iter().filter(|(_, count)| each(**count) >= SHOWN_MIN).collect();
    calls.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let texts = calls.iter().map(|(name, count)| format!("{name} {:.2}", each(**count)));
    texts.collect::<Vec<_>>().join(", ")
}

/// A running strace.
struct Trace {
    strace: Daemon,
    summary: PathBuf,
}

impl Trace {
    fn attach(wire: &Wire, server: &Server, dir: &Path) -> Result<Self> {
        let summary = dir.join("calls.txt");
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-c", "-U", "name,calls", "-o"])
            .arg(&summary)
            .args(["-p", &server.id().to_string()]);
        let strace = Daemon::start(wire.server(), "strace", dir, &mut strace)?;
        strace.output().wait_for("attached", ATTACHED)?;
        Ok(Self { strace, summary })
    }

    fn end(mut self) -> Result<BTreeMap<String, u64>> {
        self.strace.signal(rustix::process::Signal::INT)?;
        self.strace.wait(ATTACHED)?;
        let text = fs::read_to_string(&self.summary).context("strace wrote nothing")?;
        let calls = counts(&text);
        ensure!(!calls.is_empty(), "strace counted nothing: {text}");
        Ok(calls)
    }
}

/// The lines `NAME  COUNT` between the rules.
fn counts(summary: &str) -> BTreeMap<String, u64> {
    let lines = summary.lines().filter_map(|line| {
        let (name, count) = line.trim().split_once(char::is_whitespace)?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    });
    lines.filter(|(name, _)| name != "total").collect()
}

fn exchanges(wire: &Wire, rate: &str, seconds: &str) -> Result<f64> {
    let mut command = Command::new("perfdhcp");
    command.args(["-4", "-g", "single", "-r", rate, "-R", "1000", "-p", seconds, "-W", "1000000", SERVER]);
    let printed = wire.run(&mut command)?;
    perfdhcp::field(&printed, "REQUEST-ACK", "received")
        .with_context(|| format!("perfdhcp printed {printed}"))
}

fn blocks(wire: &Wire, windowsize: u16) -> Result<f64> {
    let server = SocketAddrV4::new(SERVER.parse()?, 69);
    let bytes = wire.load.run(|| fetch(&Fetch { server, name: "large", blksize: BLKSIZE, windowsize }))??;
    Ok((bytes / u64::from(BLKSIZE) + 1) as f64)
}

fn requests(wire: &Wire, path: &str) -> Result<f64> {
    let mut wrk = Command::new("wrk");
    wrk.args([
        "--threads",
        "1",
        "--connections",
        "8",
        "--duration",
        "2s",
        &format!("http://{SERVER}/{path}"),
    ]);
    let printed = wire.run(&mut wrk)?;
    ensure!(!printed.contains("Non-2xx"), "not all were answered:\n{printed}");
    super::super::script::requests(&printed).with_context(|| format!("wrk printed {printed}"))
}

fn mebibytes(wire: &Wire) -> Result<f64> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--output", "/dev/null", "--write-out", "%{size_download}"]);
    let printed = wire.run(curl.arg(format!("http://{SERVER}/large")))?;
    Ok(printed.trim().parse::<f64>()? / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read() {
        let summary = "syscall          calls\n---------------- ---------\nfutex                  120\nepoll_wait               7\n\
                       ---------------- ---------\ntotal                  127\n";
        let calls = counts(summary);
        assert_eq!(calls, BTreeMap::from([("futex".to_owned(), 120), ("epoll_wait".to_owned(), 7)]));
        assert_eq!(shown(&calls, |calls| calls as f64 / 1000.0), "futex 0.12");
    }
}
