//! Made-up machines that want every address there is.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::{Host, Lan};

use super::Context;
use super::context::STEP_LIMIT;
use super::crowd::fetch;
use super::rawdhcp::{Packet, RawDhcp};
use super::served::Served;

const MADE_UP: u32 = 20_000;
/// Sent before a real machine is switched on: far more than there are addresses.
const AHEAD: u32 = 2_000;
/// 2,000 a second: what the server takes beside two other tests on the same cores.
const AT_ONCE: u32 = 20;
const PACE: Duration = Duration::from_millis(10);
/// The server's memory after all of them: their sessions are bounded, and so is what the journal holds.
const RSS_MAX_KIB: u64 = 128 << 10;
/// Switched on one after the other, in the middle of it.
const REAL: u8 = 5;
const CONFIG: &str = "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\n\
    ranges = [\"10.188.0.60-10.188.0.99\"]\n\
    [[machine]]\nname = \"web1\"\nmac = \"52:54:00:00:00:77\"\naddress = \"10.188.0.200\"\n";
const WEB1: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0x77];

pub(super) fn flood(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let server = Served::start(context, &lan, CONFIG)?;
    std::fs::write(server.boot_dir().join("kernel"), [7; 100_000])?;
    let (crowd, real, boot) =
        (lan.client("crowd")?, lan.client("real")?, lan.host("boot", "10.188.0.21/24")?);
    let idle = server.status("VmRSS")?;
    let sent = AtomicU32::new(0);
    thread::scope(|scope| -> Result<()> {
        let flood = scope.spawn(|| made_up(&crowd, &sent));
        let done = beside(context, &real, &boot, &sent);
        match flood.join() {
            Ok(flooded) => flooded.and(done),
            Err(_) => bail!("the flood panicked"),
        }
    })?;
    let peak = server.status("VmHWM")?;
    context.note(&format!("idle {} MiB, peak {} MiB", idle >> 10, peak >> 10));
    ensure!(peak <= RSS_MAX_KIB, "{peak} KiB are more than {RSS_MAX_KIB}");
    let leases = server.ask_json("leases")?;
    ensure!(leases.len() == usize::from(REAL) + 1, "{} leases", leases.len());
    let counters = server.ask_json("counters")?;
    let counted: Vec<String> = counters
        .iter()
        .filter(|counter| counter["value"] != 0)
        .map(|counter| format!("{} {}", counter["name"].as_str().unwrap_or_default(), counter["value"]))
        .collect();
    context.note(&counted.join(", "));
    ensure!(counted.iter().any(|line| line.starts_with("dhcp-offer-superseded ")), "{counted:?}");
    server.log().line_from("dhcp-offer-superseded", STEP_LIMIT)?;
    Ok(())
}

/// DISCOVERs of firmware that does not exist; nobody goes on.
fn made_up(host: &Host, sent: &AtomicU32) -> Result<()> {
    let raw = RawDhcp::open(host.namespace())?;
    for number in 0..MADE_UP {
        let [a, b, c, d] = number.to_be_bytes();
        let packet = Packet::discover([0x02, 0xee, a, b, c, d], number).unicast();
        raw.send(&packet.with(60, b"PXEClient:Arch:00000:UNDI:002001").with(93, &[0, 0]))?;
        sent.store(number + 1, Relaxed);
        if number % AT_ONCE == 0 {
            sleep(PACE);
        }
    }
    Ok(())
}

/// Real machines get addresses, one of the config gets its own, and files are served.
fn beside(context: &Context, real: &Host, boot: &Host, sent: &AtomicU32) -> Result<()> {
    let began = Instant::now();
    while sent.load(Relaxed) < AHEAD {
        ensure!(began.elapsed() < STEP_LIMIT, "no flood");
        sleep(PACE);
    }
    let raw = RawDhcp::open(real.namespace())?;
    let mut given = Vec::new();
    for number in 0..REAL {
        let ack = raw.lease(&Packet::discover([0x52, 0x54, 0, 1, 0, number], 0x7000 + u32::from(number)))?;
        ensure!(!given.contains(&ack.address), "{} twice", ack.address);
        given.push(ack.address);
    }
    let ack = raw.lease(&Packet::discover(WEB1, 0x7077))?;
    ensure!(ack.address == Ipv4Addr::new(10, 188, 0, 200), "web1 got {}", ack.address);
    let bytes = fetch(boot, "/kernel").context("a file beside the flood")?;
    ensure!(bytes > 100_000, "{bytes} bytes");
    let sent = sent.load(Relaxed);
    context.note(&format!("{} real machines served when {sent} of {MADE_UP} had asked", REAL + 1));
    Ok(())
}
