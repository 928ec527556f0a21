//! Everything at once for a while: what a server loses little by little shows at the end.

mod corpus;
mod files;
mod load;

use std::fs;
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use bootlace_lab::{Host, Lan};

use super::context::STEP_LIMIT;
use super::rawdhcp::{Packet, RawDhcp};
use super::served::{SERVER, Served};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "soak-short",
        shows: "two minutes of leases, downloads, reloads and damaged packets leave no memory, file or fault behind",
        run: |context| soak(context, Duration::from_secs(120)),
    },
    Scenario {
        name: "soak",
        shows: "the same for an hour",
        run: |context| soak(context, Duration::from_secs(3_600)),
    },
];

/// The same in every run: what fails today fails tomorrow, as far as the order of threads allows.
const SEED: u64 = 0x736f_616b;
/// What the server may grow by after the first quarter. By then every machine and file has been seen; what still
/// comes are the mutants' machines (some hundred bytes each) and the allocator's waste.
const RSS_GROWTH_MAX_KIB: u64 = 24 << 10;
/// How often in a run memory and open files are noted.
const LOOKS: u32 = 12;
const RELOAD_EVERY: Duration = Duration::from_secs(1);
const SMALL: usize = 300_001;
const LARGE: usize = 3_000_000;
/// What a reload says of a config that it keeps out: the only error that is asked for.
const KEPT_OUT: &str = "the config that was in force stays";

/// Enough addresses for perfdhcp's machines and for the mutants that a server takes for machines.
fn config(domain: &str) -> String {
    format!(
        "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/16\"\n\
         ranges = [\"10.188.16.0-10.188.127.255\"]\ndomain = \"{domain}\"\n"
    )
}

fn soak(context: &Context, time: Duration) -> Result<()> {
    let lan = Lan::new()?;
    let server = lan.host("server", &format!("{SERVER}/16"))?;
    let mut server = Served::start_on(context, server, &config("one.example"), &[])?;
    let (small, large) = (content(SMALL), content(LARGE));
    fs::write(server.boot_dir().join("small.img"), &small)?;
    fs::write(server.boot_dir().join("large.img"), &large)?;
    let first = lan.host("first", "10.188.0.20/16")?;
    fresh(&first, 1, &small)?;
    let files = files::at_rest(server.id(), &server.boot_dir(), None)?;
    context.note(&format!("seed {SEED:#x}; before it: {files} files, {} KiB", server.status("VmRSS")?));

    let (machines, hostile) = (lan.client("machines")?, lan.host("hostile", "10.188.0.66/16")?);
    let relay = lan.host("relay", "10.188.0.30/16")?;
    let (tftp, http) = (format!("tftp://{SERVER}/small.img"), format!("http://{SERVER}/large.img"));
    let begin = Instant::now();
    let end = begin + time;
    let quarter = scope(|scope| {
        let workers = [
            ("leases", scope.spawn(|| load::machines(&machines, SEED, end))),
            ("exchanges of perfdhcp", scope.spawn(|| load::perfdhcp(&relay, end))),
            ("TFTP downloads", scope.spawn(|| load::downloads(&first, &tftp, &small, end))),
            ("HTTP downloads", scope.spawn(|| load::downloads(&first, &http, &large, end))),
            ("mutants", scope.spawn(|| load::mutants(&hostile, SEED, end))),
        ];
        let quarter = reloads(context, &server, begin, time);
        for (what, worker) in workers {
            context.note(&format!("{} {what}", joined(worker)?));
        }
        quarter
    })?;

    let rss = server.status("VmRSS")?;
    context.note(&format!("memory: {quarter} KiB after a quarter, {rss} KiB at the end"));
    ensure!(rss <= quarter + RSS_GROWTH_MAX_KIB, "it grew from {quarter} to {rss} KiB");
    // Its packet also lets the DHCP service go from the config before the last reload, whose folders are open.
    fresh(&lan.host("fresh", "10.188.0.21/16")?, 2, &small)?;
    files::at_rest(server.id(), &server.boot_dir(), Some(files))?;
    context.note(&format!("a fresh machine is served, and {files} files are open again"));
    let ended = server.end()?;
    ensure!(ended.success(), "SIGTERM ended it with {ended}");
    no_fault(&server.log().text())
}

fn joined(worker: ScopedJoinHandle<'_, Result<u64>>) -> Result<u64> {
    worker.join().map_err(|_| anyhow!("a worker panicked"))?
}

/// Good, bad and good configs in turn for `time`, with a look at memory and files from time to time. Returns the
/// memory after a quarter of it.
fn reloads(context: &Context, server: &Served, begin: Instant, time: Duration) -> Result<u64> {
    let (mut count, mut looks, mut quarter) = (0u64, 0, None);
    while begin.elapsed() < time {
        for (domain, said) in
            [("two.example", "reloaded: "), ("not a domain", KEPT_OUT), ("one.example", "reloaded: ")]
        {
            super::served::write_config(context.dir(), &config(domain))?;
            server.reload()?;
            server.log().wait_for(said, STEP_LIMIT)?;
            count += 1;
            sleep(RELOAD_EVERY);
        }
        if begin.elapsed() >= time * (looks + 1) / LOOKS {
            looks += 1;
            let (rss, files) = (server.status("VmRSS")?, files::count(server.id())?);
            context.note(&format!("{rss} KiB, {files} files"));
            if quarter.is_none() && looks >= LOOKS / 4 {
                quarter = Some(rss);
            }
        }
    }
    context.note(&format!("{count} reloads"));
    quarter.map_or_else(|| server.status("VmRSS"), Ok)
}

/// A machine that nobody knows gets a lease and a file.
fn fresh(host: &Host, number: u8, small: &[u8]) -> Result<()> {
    let mac = [0x52, 0x54, 2, 0, 0, number];
    RawDhcp::open(host.namespace())?.lease(&Packet::discover(mac, u32::from(number)))?;
    load::fetch(host, &format!("tftp://{SERVER}/small.img"), small)?;
    load::fetch(host, &format!("http://{SERVER}/small.img"), small)
}

/// No line of level ERROR but the one that was provoked, and no panic.
fn no_fault(log: &str) -> Result<()> {
    for line in log.lines() {
        let is_error = line.split_whitespace().take(2).any(|word| word == "ERROR");
        ensure!(!is_error || line.contains(KEPT_OUT), "an error in the log: {line}");
        ensure!(!line.contains("panicked"), "a panic: {line}");
    }
    Ok(())
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::no_fault;

    #[test]
    fn only_the_provoked_error_is_none() {
        let log = "T ERROR the config that was in force stays: x\nT  WARN refused file=ERROR\nready\n";
        assert!(no_fault(log).is_ok());
        assert!(no_fault("T ERROR leases cannot be stored").is_err());
        assert!(no_fault("thread 'x' panicked at y").is_err());
    }
}
