//! CPU time of a server and all that it started.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What /proc says of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time, its own and that of children that have ended and been waited for.
    ticks: u64,
}

/// CPU time of process `root` and its descendants since they started.
pub(super) fn spent(root: u32) -> Result<Duration> {
    let mut stats = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended in the meantime.
        if let Some(stat) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|line| parse(&line))
        {
            stats.insert(pid, stat);
        }
    }
    stats.get(&root).with_context(|| format!("process {root} has ended"))?;
    let ticks: u64 =
        stats.iter().filter(|(pid, _)| descends(&stats, **pid, root)).map(|(_, stat)| stat.ticks).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

fn descends(stats: &HashMap<u32, Stat>, mut pid: u32, root: u32) -> bool {
    while pid != root {
        match stats.get(&pid) {
            Some(stat) if stat.parent != pid => pid = stat.parent,
            _ => return false,
        }
    }
    true
}

/// A line of /proc/PID/stat; the name in it may hold blanks and parentheses.
fn parse(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // proc(5) counts from 1 and we start behind field 2: parent is field 4, the times are 14 to 17.
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>());
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks: ticks.sum::<Result<_, _>>().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let line = "77 (a ) name) S 5 77 77 0 -1 4194560 100 0 0 0 30 4 200 1000 20 0 1 0 999";
        assert_eq!(parse(line), Some(Stat { parent: 5, ticks: 1234 }));
        assert_eq!(parse("77 (cut) S 5"), None);
    }

    #[test]
    fn descendants_are_found_and_strangers_are_not() {
        let stats = [(1, 0), (5, 1), (6, 5), (7, 6), (8, 1)]
            .map(|(pid, parent)| (pid, Stat { parent, ticks: 0 }))
            .into();
        assert!(descends(&stats, 7, 5) && descends(&stats, 5, 5));
        assert!(!descends(&stats, 8, 5) && !descends(&stats, 1, 5));
    }

    #[test]
    fn this_process_has_spent_something_measurable() {
        assert!(spent(std::process::id()).is_ok());
    }
}
