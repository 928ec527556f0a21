//! How cost grows with what a server knows: machines in the config, leases in the store, open sessions.
//!
//! There is no peer here: each stage is held against the first one. Below it stands what an operation costs in
//! system calls.

mod calls;
mod filler;
mod stage;

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::wire::Wire;
use filler::Asks;
use stage::{Measured, Stage};

/// From what a small office has to what one server can be asked to hold.
const STAGES: [Stage; 6] = [
    Stage { machines: 10, leases: 10, asks: Asks::System },
    Stage { machines: 1_000, leases: 1_000, asks: Asks::System },
    Stage { machines: 100_000, leases: 100_000, asks: Asks::System },
    Stage { machines: 10, leases: 100, asks: Asks::Firmware },
    Stage { machines: 10, leases: 10_000, asks: Asks::Firmware },
    Stage { machines: 10, leases: 1_000_000, asks: Asks::System },
];
/// A decision must not cost more than so many times what it costs in the first stage; an exchange, in the first whose
/// clients ask for the same: what firmware is told has a boot, opens sessions, and goes into the journal and the log.
const GROWTH_MAX: f64 = 2.0;
/// What the largest stage may take from start to ready.
const READY_MILLIS_MAX: f64 = 5_000.0;
/// Memory for each machine and each lease.
const BYTES_EACH_MAX: f64 = 2048.0;

/// Measures all stages; what to write, and what grows too much. `dir` is on a disk.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<(String, Vec<String>)> {
    let mut measured: Vec<Measured> = Vec::new();
    for stage in STAGES {
        let dir = dir.join(stage.name());
        fs::create_dir_all(dir.join("boot"))?;
        measured.push(stage.measure(&Wire::new()?, bootlace, &dir, rounds)?);
    }
    let dir = dir.join("calls");
    fs::create_dir_all(dir.join("boot"))?;
    let calls = calls::run(bootlace, &dir)?;
    let short = shortfalls(&measured);
    let verdict = if short.is_empty() { "met" } else { "**missed**" };
    Ok((format!("{}{}", tables(&measured, verdict), calls), short))
}

fn tables(measured: &[Measured], verdict: &str) -> String {
    let mut text = format!(
        "\nFloor: no decision costs more than {GROWTH_MAX} x the CPU time of the first line (an exchange with \
         sessions: of the first that has some), ready within {} s, at most {} KiB of \
         memory for a machine or a lease: {verdict}. An API answer is one `GET` over `admin.sock`; `boots` shows the newest 100.\n\n\
         | machines | leases | sessions | `check` | ready | MiB when ready | MiB after load | most MiB |\n\
         |--:|--:|--:|--:|--:|--:|--:|--:|\n",
        READY_MILLIS_MAX / 1e3,
        BYTES_EACH_MAX / 1024.0,
    );
    let mib = |kib: f64| kib / 1024.0;
    for Measured { stage, check_millis, ready_millis, ready_kib, loaded_kib, peak_kib, .. } in measured {
        text.push_str(&format!(
            "| {} | {} | {} | {check_millis:.0} ms | {ready_millis:.0} ms | {:.1} | {:.1} | {:.1} |\n",
            stage.machines,
            stage.leases,
            stage.sessions(),
            mib(*ready_kib),
            mib(*loaded_kib),
            mib(*peak_kib),
        ));
    }
    text.push_str(
        "\n| machines | leases | sessions | exchange/s | us CPU each | script/s | us CPU each | `machines` | `leases` | `boots` |\n\
         |--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for Measured { stage, dhcp, script, gets, .. } in measured {
        let gets: Vec<String> = gets
            .iter()
            .map(|get| format!("{:.0} ms, {:.1} MiB", get.millis, get.bytes / f64::from(1 << 20)))
            .collect();
        text.push_str(&format!(
            "| {} | {} | {} | {:.0} | {:.1} | {:.0} | {:.1} | {} |\n",
            stage.machines,
            stage.leases,
            stage.sessions(),
            dhcp.rate,
            dhcp.cpu_micros,
            script.rate,
            script.cpu_micros,
            gets.join(" | "),
        ));
    }
    text
}

/// What grows more than it may.
fn shortfalls(all: &[Measured]) -> Vec<String> {
    let Some((first, later)) = all.split_first() else { return Vec::new() };
    let mut short = Vec::new();
    for measured in later {
        let name = measured.stage.name();
        let alike = all.iter().find(|other| other.stage.asks == measured.stage.asks).unwrap_or(first);
        let grown = [
            ("an exchange", measured.dhcp.cpu_micros / alike.dhcp.cpu_micros),
            ("a script", measured.script.cpu_micros / first.script.cpu_micros),
        ];
        for (what, times) in grown {
            if times > GROWTH_MAX {
                short.push(format!("{name}: {what} costs {times:.1} x"));
            }
        }
        if measured.ready_millis > READY_MILLIS_MAX {
            short.push(format!("{name}: ready after {:.0} ms", measured.ready_millis));
        }
        let things = f64::from(measured.stage.machines.max(measured.stage.leases));
        let each = (measured.ready_kib - first.ready_kib) * 1024.0 / things;
        if each > BYTES_EACH_MAX {
            short.push(format!("{name}: {each:.0} bytes each"));
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::stage::{Cost, Get};
    use super::*;

    fn measured(stage: Stage, cpu_micros: f64, ready_millis: f64, ready_kib: f64) -> Measured {
        let cost = Cost { rate: 1_000.0, cpu_micros };
        let get = Get { millis: 1.0, bytes: 2048.0 };
        let (check_millis, loaded_kib, peak_kib) = (1.0, ready_kib, ready_kib);
        let gets = vec![get; 3];
        Measured {
            stage,
            check_millis,
            ready_millis,
            ready_kib,
            loaded_kib,
            peak_kib,
            dhcp: cost,
            script: cost,
            gets,
        }
    }

    #[test]
    fn growth_is_noticed() {
        let first = || measured(STAGES[0], 10.0, 8.0, 10_000.0);
        assert!(shortfalls(&[first(), measured(STAGES[1], 19.0, 4_000.0, 11_000.0)]).is_empty());
        let fat = shortfalls(&[first(), measured(STAGES[1], 10.0, 8.0, 13_000.0)]);
        assert_eq!(fat, ["1000-machines-1000-leases: 3072 bytes each"]);
        let slow = shortfalls(&[first(), measured(STAGES[5], 21.0, 6_000.0, 11_000.0)]);
        assert_eq!(slow.len(), 3, "{slow:?}");
        let booting = |stage, exchange_micros| {
            let costly = measured(stage, exchange_micros, 8.0, 10_000.0);
            Measured { script: first().script, ..costly }
        };
        let held = |micros| shortfalls(&[first(), booting(STAGES[3], 40.0), booting(STAGES[4], micros)]);
        assert_eq!(held(79.0), [] as [String; 0], "firmware is held against firmware");
        assert_eq!(held(81.0), ["10-machines-10000-leases: an exchange costs 2.0 x"]);
    }

    #[test]
    fn each_stage_has_a_line_in_both_tables() {
        let all: Vec<_> = STAGES.into_iter().map(|stage| measured(stage, 10.0, 8.0, 10_240.0)).collect();
        let text = tables(&all, "met");
        assert_eq!(text.matches("\n| 100000 | 100000 | 0 |").count(), 2, "{text}");
        assert_eq!(text.matches("\n| 10 | 10000 | 10000 |").count(), 2, "{text}");
    }
}
