//! Every packet of a LAN in a file.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::daemon::Daemon;
use crate::ns::Namespace;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A running `tcpdump`. Dropping it ends the capture.
#[derive(Debug)]
pub struct Capture {
    _tcpdump: Daemon,
}

impl Capture {
    /// Captures `link` of `ns` to `DIR/NAME.pcap`, and returns when the capture has begun.
    pub fn start(ns: &Namespace, link: &str, dir: &Path, name: &str) -> Result<Self> {
        let file = dir.join(format!("{name}.pcap"));
        let mut command = Command::new("tcpdump");
        // Unbuffered, so that killing it loses nothing; as root, since it is root of nothing but the sandbox.
        command.args(["-i", link, "--immediate-mode", "-U", "-Z", "root", "-w"]).arg(file);
        let tcpdump = Daemon::start(ns, &format!("{name}-tcpdump"), dir, &mut command)?;
        tcpdump.output().wait_for("listening on", START_LIMIT).context("start tcpdump")?;
        Ok(Self { _tcpdump: tcpdump })
    }
}

/// Prints the packets of `link` that `filter` lets through, with all that tcpdump knows of them: a line for each, and
/// indented ones behind it. Returns when it has begun.
pub(crate) fn print(ns: &Namespace, link: &str, dir: &Path, name: &str, filter: &str) -> Result<Daemon> {
    let mut command = Command::new("tcpdump");
    command.args(["-i", link, "--immediate-mode", "-l", "-n", "-v", "-Z", "root", filter]);
    let tcpdump = Daemon::start(ns, name, dir, &mut command)?;
    tcpdump.output().wait_for("listening on", START_LIMIT).context("start tcpdump")?;
    Ok(tcpdump)
}
