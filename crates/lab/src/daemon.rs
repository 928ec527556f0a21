//! A server process in a namespace.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::ns::Namespace;
use crate::output::Output;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    output: Output,
}

impl Daemon {
    /// Starts `command` in `ns`; what it prints goes to `DIR/NAME.log`.
    pub fn start(ns: &Namespace, name: &str, dir: &Path, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ns.spawn(command)?;
        let output = Output::new(name);
        let log = dir.join(format!("{name}.log"));
        output.follow(child.stdout.take().context("stdout is a pipe")?, &log)?;
        output.follow(child.stderr.take().context("stderr is a pipe")?, &log)?;
        Ok(Self { child, output })
    }

    /// What it printed, to wait on.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Its process id inside the sandbox.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: HUP to reload, TERM to end in peace, KILL for a power cut.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("signal a server")
    }

    /// Waits until it has ended by itself or by a signal.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.output.wait_closed(limit)?;
        self.child.wait().context("wait for a server")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
