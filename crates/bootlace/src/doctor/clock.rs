//! The host's clock: leases survive a wrong one, but logs, the journal and certificates do not.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bootlace_core::finding::Finding;

use super::{Code, note, warning};

/// 2026-01-01: no host that runs this version is older.
const RELEASED: Duration = Duration::from_secs(1_767_225_600);
/// How far in the future a file may have been written: more than clocks of a network differ.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);
/// Where systemd-timesyncd keeps its state, and the file that says that it has reached a server.
const TIMESYNC: &str = "/run/systemd/timesync";

pub(super) fn wrong(state_dir: &Path, now: SystemTime) -> Option<Finding> {
    past(last_written(state_dir), now).or_else(|| unset(Path::new(TIMESYNC)))
}

/// When the server wrote last.
fn last_written(state_dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(state_dir).ok()?;
    entries.flatten().filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

fn past(written: Option<SystemTime>, now: SystemTime) -> Option<Finding> {
    let released = UNIX_EPOCH + RELEASED;
    let evidence = if now < released {
        "it is earlier than this version of Bootlace"
    } else if written.is_some_and(|written| written > now + AHEAD_MAX) {
        "files of state_dir were written in its future"
    } else {
        return None;
    };
    Some(
        warning(Code::ClockWrong, "the clock of this host shows a time that has been already")
            .evidence(evidence)
            .fix("timedatectl set-ntp true, or date -s 'YYYY-MM-DD hh:mm'"),
    )
}

fn unset(timesync: &Path) -> Option<Finding> {
    (timesync.is_dir() && !timesync.join("synchronized").exists()).then(|| {
        note(Code::ClockUnset, "the time service of this host has not reached its server yet")
            .evidence(format!("{} has no file `synchronized`", timesync.display()))
            .fix("timedatectl timesync-status")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_already_is_wrong() {
        let now = UNIX_EPOCH + RELEASED + Duration::from_secs(3600);
        assert!(past(None, now).is_none());
        assert!(past(Some(now + AHEAD_MAX), now).is_none());
        assert!(past(Some(now + AHEAD_MAX + Duration::from_secs(1)), now).is_some());
        assert!(past(None, UNIX_EPOCH).is_some());
    }

    #[test]
    fn the_time_service_counts_where_it_runs() {
        let run = tempfile::tempdir().unwrap();
        assert!(unset(&run.path().join("nobody")).is_none());
        assert!(unset(run.path()).is_some());
        fs::write(run.path().join("synchronized"), "").unwrap();
        assert!(unset(run.path()).is_none());
    }

    #[test]
    fn the_youngest_file_tells_when_the_server_wrote() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(last_written(state.path()), None);
        fs::write(state.path().join("store.db"), "").unwrap();
        assert!(last_written(state.path()).is_some());
    }
}
