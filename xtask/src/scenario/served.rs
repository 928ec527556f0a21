//! A Bootlace on a LAN, to be asked, killed and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::output::Output;
use bootlace_lab::{Daemon, Host, Lan};
use rustix::process::Signal;
use serde_json::Value;

use super::Context;
use super::context::STEP_LIMIT;

/// The server's address in every scenario.
pub(super) const SERVER: &str = "10.188.0.10";
/// The user id of nobody, who every Linux has.
pub(super) const NOBODY: u32 = 65534;
/// The subnet that most scenarios serve: enough addresses for all of their clients.
pub(super) const SUBNET: &str = "
[[dhcp.subnet]]
subnet = \"10.188.0.0/24\"
ranges = [\"10.188.0.60-10.188.0.99\"]
";

/// A config, its folder and, while it runs, its server.
#[derive(Debug)]
pub(super) struct Served {
    host: Host,
    dir: PathBuf,
    bootlace: PathBuf,
    wrapper: Vec<String>,
    daemon: Daemon,
}

impl Served {
    /// Starts a server on a new host of `lan`. `config` goes on behind the keys of the top level, so it begins
    /// with a section.
    pub(super) fn start(context: &Context, lan: &Lan, config: &str) -> Result<Self> {
        Self::start_under(context, lan, config, &[])
    }

    /// The same under a program such as strace, which is given the server's command line.
    pub(super) fn start_under(context: &Context, lan: &Lan, config: &str, wrapper: &[&str]) -> Result<Self> {
        let host = lan.host("server", &format!("{SERVER}/24"))?;
        Self::start_on(context, host, config, wrapper)
    }

    /// The same on a host that is there already.
    pub(super) fn start_on(context: &Context, host: Host, config: &str, wrapper: &[&str]) -> Result<Self> {
        write_config(context.dir(), config)?;
        Self::start_as_written(context, host, wrapper)
    }

    /// The same with a config that is there already.
    pub(super) fn start_as_written(context: &Context, host: Host, wrapper: &[&str]) -> Result<Self> {
        let dir = context.dir().to_owned();
        let bootlace = context.bootlace();
        let wrapper: Vec<String> = wrapper.iter().map(|&word| word.to_owned()).collect();
        let daemon = launch(&host, &dir, &bootlace, &wrapper)?;
        Ok(Self { host, dir, bootlace, wrapper, daemon })
    }

    /// Its log.
    pub(super) fn log(&self) -> &Output {
        self.daemon.output()
    }

    /// The computer that it runs on.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Asks it to read its config again.
    pub(super) fn reload(&self) -> Result<()> {
        self.daemon.signal(Signal::HUP)
    }

    /// Where it finds files.
    pub(super) fn boot_dir(&self) -> PathBuf {
        self.dir.join("boot")
    }

    /// Cuts its power.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.daemon.signal(Signal::KILL)?;
        self.daemon.wait(STEP_LIMIT)?;
        Ok(())
    }

    /// Asks it to end, and says how it did.
    pub(super) fn end(&mut self) -> Result<std::process::ExitStatus> {
        self.daemon.signal(Signal::TERM)?;
        self.daemon.wait(STEP_LIMIT)
    }

    /// Starts it again after [`Served::kill`].
    pub(super) fn revive(&mut self) -> Result<()> {
        self.daemon = launch(&self.host, &self.dir, &self.bootlace, &self.wrapper)?;
        Ok(())
    }

    /// What `bootlace WHAT` prints, as a person sees it.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.bootlace);
        command.args(arguments).arg("-c").arg(self.dir.join("bootlace.toml"));
        let output = self.host.namespace().output(&mut command)?;
        ensure!(
            output.status.success(),
            "bootlace {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        String::from_utf8(output.stdout).context("the answer is not UTF-8")
    }

    /// The same as JSON: `leases`, `machines`, `boots`.
    pub(super) fn ask_json(&self, what: &str) -> Result<Vec<Value>> {
        let text = self.ask(&[what, "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("bootlace {what} --json: {text}"))
    }

    /// A number of the server's `/proc/PID/status`; memory is in KiB.
    pub(super) fn status(&self, field: &str) -> Result<u64> {
        status_of(self.daemon.id(), field)
    }
}

/// A number of a process's `/proc/PID/status`.
pub(super) fn status_of(pid: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).with_context(|| format!("{field} of process {pid}"))
}

/// Whether there is more than one user: a sandbox that was not started by root has one.
pub(super) fn has_nobody() -> Result<bool> {
    Ok(Command::new("setpriv").args(["--reuid", &NOBODY.to_string(), "true"]).output()?.status.success())
}

/// Writes `DIR/bootlace.toml` with the folders that it names.
pub(super) fn write_config(dir: &Path, config: &str) -> Result<()> {
    fs::create_dir_all(dir.join("boot"))?;
    let text = format!("interfaces = [\"eth0\"]\nstate_dir = \"state\"\nboot_dir = \"boot\"\n{config}");
    fs::write(dir.join("bootlace.toml"), text).context("write the config")
}

/// Adds an interface to those of the config in `dir`.
pub(super) fn serve_also(dir: &Path, link: &str) -> Result<()> {
    let path = dir.join("bootlace.toml");
    let text = fs::read_to_string(&path)?.replacen("[\"eth0\"]", &format!("[\"eth0\", {link:?}]"), 1);
    fs::write(path, text).context("write the config")
}

/// The command that serves the config in `dir`.
pub(super) fn serve(bootlace: &Path, dir: &Path) -> Command {
    let mut command = Command::new(bootlace);
    command.arg("serve").arg("-c").arg(dir.join("bootlace.toml"));
    command
}

fn launch(host: &Host, dir: &Path, bootlace: &Path, wrapper: &[String]) -> Result<Daemon> {
    let serve = serve(bootlace, dir);
    let mut command = match wrapper {
        [] => serve,
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(serve.get_program()).args(serve.get_args());
            command
        }
    };
    let daemon = Daemon::start(host.namespace(), "bootlace", dir, &mut command)?;
    daemon.output().wait_for("ready", STEP_LIMIT)?;
    Ok(daemon)
}
