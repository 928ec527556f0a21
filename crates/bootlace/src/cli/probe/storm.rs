//! A crowd of played machines in numbers.

use std::collections::BTreeMap;

use anyhow::Result;
use bootlace_probe::{Client, Outcome, StepKind};
use serde::Serialize;

use super::seconds;

/// `--json` of a crowd; its fields are stable.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    machines: usize,
    booted: usize,
    bytes: u64,
    /// From the first DISCOVER to the end of the last boot.
    seconds: f64,
    /// Seconds to the lease, of those that got one.
    lease: Option<Percentiles>,
    /// Seconds to the end, of those that booted.
    boot: Option<Percentiles>,
    /// What stopped the others, by code.
    findings: BTreeMap<&'static str, Stopped>,
}

#[derive(Debug, Serialize)]
struct Stopped {
    machines: usize,
    /// The first of them.
    example: String,
}

/// Of sorted times: so many out of a hundred machines were as fast.
#[derive(Debug, PartialEq, Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Percentiles {
    fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        // The nearest rank.
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: at(50)?, p90: at(90)?, p99: at(99)?, max: at(100)? })
    }

    fn text(&self) -> String {
        format!("p50 {:.3} s, p90 {:.3} s, p99 {:.3} s, max {:.3} s", self.p50, self.p90, self.p99, self.max)
    }
}

impl Summary {
    pub(super) fn of(clients: &[Client]) -> Self {
        let mut findings: BTreeMap<&'static str, Stopped> = BTreeMap::new();
        for found in clients.iter().filter_map(|client| client.outcome().and_then(Outcome::finding)) {
            let entry = Stopped { machines: 0, example: found.to_string() };
            findings.entry(found.code.name()).or_insert(entry).machines += 1;
        }
        let booted: Vec<&Client> =
            clients.iter().filter(|client| client.outcome().is_some_and(super::boots)).collect();
        let lease = clients.iter().filter_map(|client| {
            let steps = client.report().steps();
            steps.iter().find(|step| step.kind == StepKind::Lease).map(|step| step.at.as_secs_f64())
        });
        Self {
            machines: clients.len(),
            booted: booted.len(),
            bytes: clients.iter().map(Client::received).sum(),
            seconds: clients.iter().map(seconds).fold(0.0, f64::max),
            lease: Percentiles::of(lease.collect()),
            boot: Percentiles::of(booted.iter().map(|client| seconds(client)).collect()),
            findings,
        }
    }

    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    pub(super) fn text(&self) -> String {
        let megabytes = self.bytes as f64 / 1e6;
        let mut lines = vec![format!(
            "{} of {} machines boot, {megabytes:.1} MB in {:.3} s ({:.1} MB/s)",
            self.booted,
            self.machines,
            self.seconds,
            megabytes / self.seconds.max(0.001)
        )];
        lines.extend(self.lease.as_ref().map(|times| format!("  lease  {}", times.text())));
        lines.extend(self.boot.as_ref().map(|times| format!("  boot   {}", times.text())));
        for stopped in self.findings.values() {
            lines.push(format!("  {} stopped by {}", stopped.machines, stopped.example));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_seen() {
        let times = |count: u32| (1..=count).rev().map(f64::from).collect();
        assert_eq!(
            Percentiles::of(times(1000)),
            Some(Percentiles { p50: 500.0, p90: 900.0, p99: 990.0, max: 1000.0 })
        );
        assert_eq!(Percentiles::of(times(1)), Some(Percentiles { p50: 1.0, p90: 1.0, p99: 1.0, max: 1.0 }));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }
}
