//! Two computers on one cable: a server under test and the one that loads it.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bootlace_lab::Namespace;
use bootlace_lab::link::LinkAddr;

use super::cpu;

/// The link at either end.
pub(super) const LINK: &str = "eth0";
/// The server's address. Its network holds a large pool of leases.
pub(super) const SERVER: &str = "10.188.0.10";
const SERVER_CIDR: &str = "10.188.0.10/16";
/// The load's own.
pub(super) const LOAD: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 11);
const LOAD_CIDR: &str = "10.188.0.11/16";
/// The machine that the scripts of the bench know.
const LOAD_MAC: LinkAddr = LinkAddr([0x00, 0x12, 0x34, 0x56, 0x78, 0x90]);

/// A server and its load, each in a namespace of its own, so that every server has the usual ports.
pub(super) struct Wire {
    pub(super) load: Namespace,
    server: Namespace,
}

impl Wire {
    pub(super) fn new() -> Result<Self> {
        let (load, server) = (Namespace::new()?, Namespace::new()?);
        server.links().add_veth(LINK, LINK, LOAD_MAC, load.as_fd())?;
        for (ns, cidr) in [(&server, SERVER_CIDR), (&load, LOAD_CIDR)] {
            ns.links().add_addr(LINK, cidr.parse()?)?;
            ns.links().up(LINK)?;
        }
        Ok(Self { load, server })
    }

    /// The server's namespace.
    pub(super) fn server(&self) -> &Namespace {
        &self.server
    }

    /// Starts a server that writes what it prints to `DIR/NAME.log`, as a service would, and waits until `ready`
    /// (a program in the load's namespace) succeeds.
    pub(super) fn serve(
        &self,
        name: &str,
        dir: &Path,
        command: &mut Command,
        ready: Ready,
    ) -> Result<Server> {
        let log = File::create(dir.join(format!("{name}.log"))).context("make a log")?;
        command.current_dir(dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = Server(self.server.spawn(command)?);
        for _ in 0..READY_TRIES {
            if self.load.output(&mut ready())?.status.success() {
                return Ok(server);
            }
        }
        let log = std::fs::read_to_string(dir.join(format!("{name}.log")))?;
        anyhow::bail!("{name} does not answer; it printed:\n{log}")
    }

    /// Runs a load to its end and returns what it printed.
    pub(super) fn run(&self, command: &mut Command) -> Result<String> {
        let output = self.load.output(command)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(!text.is_empty(), "it printed nothing, but {}", String::from_utf8_lossy(&output.stderr));
        Ok(text)
    }
}

/// Makes a command that succeeds when the server answers, and takes up to a second when not.
pub(super) type Ready = fn() -> Command;

/// Servers start within ten seconds even on a busy computer.
const READY_TRIES: u32 = 20;

/// Succeeds when a TCP server is there.
pub(super) fn http_answers() -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--output", "/dev/null", "--retry", "1", "--retry-delay", "1"]);
    command.args(["--retry-connrefused", &format!("http://{SERVER}/")]);
    command
}

/// A running server. Dropping it kills it.
pub(super) struct Server(Child);

impl Server {
    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// CPU time that it has spent so far.
    pub(super) fn spent(&self) -> Result<Duration> {
        cpu::spent(self.0.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
