//! `bootlace probe`.

mod storm;
mod view;

use std::io::{self, IsTerminal, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use bootlace_probe::{Client, Identity, Kind, Outcome};
use bootlace_wire::Mac;
use clap::Args;

use super::client::Server;
use super::{Format, JsonFlag, say};
use crate::probe::{Order, Place, Played, Progress, play};

/// More machines at once than a broadcast domain has.
const COUNT_MAX: u32 = 4_000;
/// Characters of the progress bar.
const BAR: usize = 30;

/// Plays machines on the wire.
#[derive(Args)]
pub(super) struct Probe {
    /// The interface that they are behind: an Ethernet towards the server
    #[arg(long, value_name = "INTERFACE")]
    interface: String,
    /// Ask the running server of this host itself: it takes the machines as if they were behind the interface
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    server: Server,
    /// What they boot with: bios, uefi-x64, uefi-arm64, http-x64, http-arm64, ipxe, ipxe-x64, grub, kernel, dhclient,
    /// networkd, udhcpc
    #[arg(long, value_name = "FIRMWARE", default_value = "bios")]
    firmware: Kind,
    /// MAC of the machine, or of the first of several; without, one that is nobody's
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
    /// How many machines boot at once, with MACs from that one on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
    #[command(flatten)]
    json: JsonFlag,
}

impl Probe {
    /// Exit code 0 when every machine boots, 1 when one does not.
    pub(super) fn run(&self) -> ExitCode {
        match self.play() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("bootlace: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn play(&self) -> Result<bool> {
        let seed = seed();
        let first = self.mac.unwrap_or_else(|| nobodys(seed));
        let machines: Vec<Identity> = (0..self.count).filter_map(|number| identity(first, number)).collect();
        if machines.len() != self.count as usize {
            bail!("there are no {} MACs from {first} on", self.count);
        }
        let ask = || self.server.hold(&format!("/api/v1/probe/{}", self.interface));
        let place = if self.local { Place::Local(&ask) } else { Place::Network(&self.interface) };
        let order = Order { place, kind: self.firmware, machines: &machines, seed };
        let is_shown = self.count > 1 && io::stderr().is_terminal();
        let played = play(order, |progress| {
            if is_shown {
                bar(progress, machines.len());
            }
        })?;
        if is_shown {
            eprintln!();
        }
        let booted = played.clients.iter().filter(|client| client.outcome().is_some_and(boots)).count();
        let text = match (played.clients.as_slice(), self.json.format()) {
            ([client], Format::Json) => view::json(client, self.firmware)?,
            ([client], Format::Human) => view::text(client),
            (clients, Format::Json) => storm::Summary::of(clients).json()?,
            (clients, Format::Human) => storm::Summary::of(clients).text(),
        };
        say(&text)?;
        if booted < played.clients.len() {
            let hints = if self.local { local_hints(&played) } else { hints(&played) };
            for hint in hints {
                eprintln!("bootlace: {hint}");
            }
        }
        Ok(booted == played.clients.len())
    }
}

fn boots(outcome: &Outcome) -> bool {
    outcome.finding().is_none()
}

/// What this host has to do with a boot that failed.
fn hints(played: &Played) -> Vec<String> {
    let mut hints: Vec<String> = played
        .out_of_reach
        .iter()
        .map(|ip: &Ipv4Addr| {
            format!("{ip} is this host itself, which its own interface does not reach: probe from another computer, or with --local")
        })
        .collect();
    if hints.is_empty() && serves_dhcp() {
        hints.push(
            "a DHCP server runs on this host: it does not hear what this host sends, so probe from another computer, or with --local"
                .to_owned(),
        );
    }
    hints
}

/// The same with `--local`.
fn local_hints(played: &Played) -> Vec<String> {
    let hint = |ip: &Ipv4Addr| {
        format!("{ip} is not this host, which is all that --local reaches: probe from another computer")
    };
    played.out_of_reach.iter().map(hint).collect()
}

/// Somebody here listens on UDP port 67.
fn serves_dhcp() -> bool {
    const PORT: &str = ":0043";
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    table.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(PORT)))
}

/// The machine whose MAC is this much further.
fn identity(first: Mac, number: u32) -> Option<Identity> {
    let [a, b, c, rest @ ..] = first.0;
    let [d, e, f] = rest;
    let tail = u32::from_be_bytes([0, d, e, f]).checked_add(number).filter(|tail| *tail < 1 << 24)?;
    let [_, d, e, f] = tail.to_be_bytes();
    let mac = Mac([a, b, c, d, e, f]);
    // A UUID that tells whose it is, and is the same the next time.
    let uuid = [0x62, 0x6f, 0x6f, 0x74, 0x6c, 0x61, 0x40, 0x65, 0x80, 0x70, a, b, c, d, e, f];
    Some(Identity { mac, uuid })
}

/// A locally administered MAC; room above it for a crowd.
fn nobodys(seed: u64) -> Mac {
    let [.., a, b, c] = seed.to_be_bytes();
    Mac([0x02, 0xb0, 0x07, a & 0x7f, b, c])
}

/// Different with every run.
fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 ^ u64::from(std::process::id()) << 40
}

fn bar(progress: Progress, of: usize) {
    let full = progress.ended * BAR / of.max(1);
    let mut stderr = io::stderr();
    let _ = write!(
        stderr,
        "\r[{}{}] {}/{of} machines, {:.1} MB ",
        "#".repeat(full),
        " ".repeat(BAR - full),
        progress.ended,
        progress.bytes as f64 / 1e6
    );
    let _ = stderr.flush();
}

/// Seconds of a boot: its last step.
fn seconds(client: &Client) -> f64 {
    client.report().steps().last().map_or(0.0, |step| step.at.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_of_a_crowd_follow_each_other() {
        let first = "52:54:00:00:00:ff".parse().unwrap();
        assert_eq!(identity(first, 0).unwrap().mac, first);
        assert_eq!(identity(first, 1).unwrap().mac.to_string(), "52:54:00:00:01:00");
        assert_eq!(identity("52:54:00:ff:ff:ff".parse().unwrap(), 1), None);
        assert!((0..COUNT_MAX).all(|number| identity(nobodys(u64::MAX), number).is_some()));
    }
}
