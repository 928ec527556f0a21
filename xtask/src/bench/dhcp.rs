//! Four-way exchanges under perfdhcp: the highest rate at which next to nothing is lost.
//!
//! The leases of all servers are files on a disk. Bootlace's are on stable storage before its answer leaves;
//! the others write theirs and leave the rest to the kernel.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::contest::Standings;
use super::wire::{LINK, SERVER, Server, Wire};
use super::{Bound, Contest, Floor, Sample, Subject};
use crate::perfdhcp::field;

/// How long one rate is held.
const PERIOD: Duration = Duration::from_secs(3);
/// How long perfdhcp waits for late answers at its end.
const PATIENCE: Duration = Duration::from_millis(500);
/// Clients that take turns: most come back within the bench, as machines do.
const CLIENTS: u32 = 30_000;
/// What may be lost of the exchanges at a rate that counts: the start of perfdhcp costs a few.
const LOSS_MAX: f64 = 0.01;
/// From one rate to the next.
const STEP: f64 = 1.25;
/// Between the highest rate that was managed and the next one, so often half of the way is tried: what the rates of two
/// servers are apart must not depend on the steps.
const HALVINGS: u32 = 2;
/// A rate that failed is tried once more, since the computer may have been busy with something else.
const TRIES: u32 = 2;
/// Where the first climb begins.
pub(super) const RATE_FIRST: f64 = 100.0;
/// Below it a server does not work at all.
const RATE_MIN: f64 = 5.0;
/// When perfdhcp sends less than this part of what it was asked for, it is the limit itself.
const SENT_MIN: f64 = 0.9;

const BOOTLACE: &str = r#"state_dir = "state"
boot_dir = "boot"
default = "local"

[dhcp]
mode = "server"

[[dhcp.subnet]]
subnet = "10.188.0.0/16"
ranges = ["10.188.1.0-10.188.255.250"]
lease = "12h"
router = ["10.188.0.1"]
dns = ["10.188.0.20"]

[boot.local]
kind = "local"
"#;

/// Debian's file with its memfile store (which it never syncs), raw sockets (without them clients that have no
/// address yet get no answer), and quieter than Debian's: one line for each lease
/// would only slow it down.
const KEA: &str = r#"{ "Dhcp4": {
  "interfaces-config": { "interfaces": ["eth0"], "dhcp-socket-type": "raw" },
  "lease-database": { "type": "memfile", "persist": true, "name": "DIR/kea-leases4.csv", "lfc-interval": 3600 },
  "valid-lifetime": 43200,
  "subnet4": [{
    "subnet": "10.188.0.0/16", "interface": "eth0", "pools": [{ "pool": "10.188.1.0-10.188.255.250" }],
    "option-data": [
      { "name": "routers", "data": "10.188.0.1" },
      { "name": "domain-name-servers", "data": "10.188.0.20" }
    ]
  }],
  "loggers": [{ "name": "kea-dhcp4", "severity": "WARN", "output_options": [{ "output": "stdout" }] }]
} }
"#;

/// perfdhcp before a server.
pub(super) struct Climber<'a> {
    pub(super) wire: &'a Wire,
    pub(super) server: &'a Server,
    /// Clients that take turns.
    pub(super) clients: u32,
    /// More of perfdhcp's arguments.
    pub(super) more: &'a [&'a str],
    /// The rate that the server managed last.
    pub(super) rate: f64,
}

/// What perfdhcp saw at one rate.
#[derive(Debug, PartialEq)]
struct Trial {
    /// What perfdhcp should have sent.
    asked: f64,
    sent: f64,
    done: f64,
    cpu: Duration,
}

impl Trial {
    fn is_lossy(&self) -> bool {
        self.sent - self.done > self.sent * LOSS_MAX
    }
}

/// Runs the contest. `dir` is on a disk.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<Vec<Standings>> {
    fs::create_dir(dir.join("boot"))?;
    fs::write(dir.join("bootlace.toml"), BOOTLACE)?;
    fs::write(dir.join("kea.json"), KEA.replace("DIR", &dir.display().to_string()))?;
    // Kea insists on a folder for pid files even when told another.
    fs::create_dir_all("/run/kea")?;
    let servers = [
        ("bootlace", Command::new(bootlace), vec!["serve", "-c", "bootlace.toml"]),
        ("kea", kea(dir), vec!["-c", "kea.json"]),
        ("dnsmasq", dnsmasq(dir), Vec::new()),
    ];
    let subjects = servers.into_iter().map(|(name, mut command, arguments)| {
        let wire = Wire::new()?;
        let server = wire.serve(name, dir, command.args(arguments), a_few_exchanges)?;
        let mut rate = RATE_FIRST;
        let measure = move || {
            let mut climber = Climber { wire: &wire, server: &server, clients: CLIENTS, more: &[], rate };
            let sample = climber.measure()?;
            rate = climber.rate;
            Ok(sample)
        };
        Ok(Subject { name, measure: Box::new(measure) })
    });
    let contest = Contest {
        work: "four-way exchanges".to_owned(),
        unit: "exchange",
        floor: Floor { rate: 2.0, cpu: Some(1.0 / 3.0) },
        end: "perfdhcp is the limit, 0.10 of Kea's CPU",
        subjects: subjects.collect::<Result<_>>()?,
    };
    Ok(vec![contest.run(rounds)?])
}

fn kea(dir: &Path) -> Command {
    let mut command = Command::new("kea-dhcp4");
    command.env("KEA_PIDFILE_DIR", dir).env("KEA_LOCKFILE_DIR", dir);
    command
}

fn dnsmasq(dir: &Path) -> Command {
    let mut command = Command::new("dnsmasq");
    command
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--pid-file="])
        .args(["--log-facility=-", "--quiet-dhcp", "--no-ping", "--dhcp-authoritative"])
        .args(["--dhcp-range=10.188.1.0,10.188.255.250,12h", "--dhcp-lease-max=65000"])
        .args(["--dhcp-option=option:router,10.188.0.1", "--dhcp-option=option:dns-server,10.188.0.20"])
        .args([&format!("--interface={LINK}"), "--bind-interfaces"])
        .arg(format!("--dhcp-leasefile={}", dir.join("dnsmasq.leases").display()));
    command
}

/// Succeeds when a server answers; without a rate and a wait at its end perfdhcp would not stay for the answers.
fn a_few_exchanges() -> Command {
    let mut command = Command::new("perfdhcp");
    command.args(["-4", "-r", "20", "-n", "5", "-W", &PATIENCE.as_micros().to_string(), SERVER]);
    command
}

impl Climber<'_> {
    /// Climbs from below the last rate to the highest that loses next to nothing.
    pub(super) fn measure(&mut self) -> Result<Sample> {
        let best = self.climb()?;
        let best = self.refine(best)?;
        let bound = if best.asked * SENT_MIN > best.sent { Bound::Load } else { Bound::Server };
        Ok(Sample { operations: best.done, elapsed: PERIOD, cpu: best.cpu, bound })
    }

    fn refine(&self, mut best: Trial) -> Result<Trial> {
        let (mut good, mut step) = (self.rate, STEP);
        for _ in 0..HALVINGS {
            step = step.sqrt();
            if let Some(trial) = self.good_trial(good * step)?
                && trial.done > best.done
            {
                good *= step;
                best = trial;
            }
        }
        Ok(best)
    }

    fn climb(&mut self) -> Result<Trial> {
        let mut rate = self.rate / STEP;
        let mut best: Option<Trial> = None;
        loop {
            match (self.good_trial(rate)?, &best) {
                (Some(trial), _) => {
                    let perfdhcp_is_the_limit = trial.sent < trial.asked * SENT_MIN;
                    let so_far = best.as_ref().map_or(0.0, |best| best.done);
                    if trial.done > so_far {
                        self.rate = rate;
                        best = Some(trial);
                    }
                    if perfdhcp_is_the_limit {
                        break;
                    }
                    rate *= STEP;
                }
                (None, Some(_)) => break,
                (None, None) => rate /= STEP * STEP,
            }
            if rate < RATE_MIN {
                bail!("it loses exchanges at every rate");
            }
        }
        best.context("no rate was tried")
    }

    fn good_trial(&self, rate: f64) -> Result<Option<Trial>> {
        for _ in 0..TRIES {
            let trial = self.trial(rate)?;
            if !trial.is_lossy() {
                return Ok(Some(trial));
            }
        }
        Ok(None)
    }

    fn trial(&self, rate: f64) -> Result<Trial> {
        let before = self.server.spent()?;
        let printed = self.wire.run(
            Command::new("perfdhcp")
                // One thread: with the second one that it would start, it and the server fight for two cores, and its
                // socket's 200 KiB overflow before either is at its limit.
                .args(["-4", "-g", "single", "-r", &format!("{rate:.0}"), "-R", &self.clients.to_string()])
                .args(self.more)
                .args(["-p", &PERIOD.as_secs().to_string(), "-W", &PATIENCE.as_micros().to_string(), SERVER]),
        )?;
        let cpu = self.server.spent()? - before;
        let counted = || {
            Some((field(&printed, "DISCOVER-OFFER", "sent")?, field(&printed, "REQUEST-ACK", "received")?))
        };
        let (sent, done) =
            counted().with_context(|| format!("perfdhcp printed no statistics:\n{printed}"))?;
        Ok(Trial { asked: rate * PERIOD.as_secs_f64(), sent, done, cpu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_with_losses_does_not_count() {
        let trial = |done| Trial { asked: 1000.0, sent: 1000.0, done, cpu: Duration::ZERO };
        assert!(!trial(990.0).is_lossy());
        assert!(trial(989.0).is_lossy());
    }
}
