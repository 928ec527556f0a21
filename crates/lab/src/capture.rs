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
