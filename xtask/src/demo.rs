//! `cargo xtask demo`: one real firmware, one real kernel, and Bootlace between them, for somebody who watches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bootlace_lab::initrd::{Initrd, MARK, NETWORK_MODULES};
use bootlace_lab::{Daemon, Firmware, Guest, Host, Lan, Machine, sandbox};
use rustix::process::Signal;

use crate::gate;
use crate::project::Project;

/// Only ends what hangs.
const LIMIT: Duration = Duration::from_secs(400);
const CONFIG: &str = include_str!("../../examples/demo.toml");
/// Debian lets everybody open it; what it allows is up to the sandbox.
const TUN: &str = "/dev/net/tun";
/// As the config has them.
const NAME: &str = "web1";
const MAC: &str = "00:12:34:56:78:90";
const SERVER: &str = "10.188.0.10/24";
/// What the machine does once it runs: it asks for an address again, as every operating system does.
const GREETING: &str = "echo \"Hello! I am a Debian kernel, and $(hostname) came over the network.\"
ip link set eth0 up
udhcpc -i eth0 -n -q 2>/dev/null
";

/// Prepares everything and runs the demo in a sandbox, whose network has no way out.
pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    // Both before the long part: where the host does not allow a demo, it fails at once and says what to do.
    let mut sandbox = sandbox::command(project.exe(), ["demo-inside"])?;
    fs::File::options().read(true).write(true).open(TUN).with_context(|| {
        format!(
            "the machine's network cable is a tap, and {TUN} cannot be opened: run as root; in a container, \
             pass it in with --device {TUN}"
        )
    })?;
    println!("Preparing packages, a test kernel and the server. The first time takes some minutes.");
    // The debug build is good enough for one machine. It is ready in half the time of a release build, and
    // the tests use it too.
    gate::prepare(project)?;
    let status = sandbox.status().context("start a sandbox")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The demo itself, as the first process of its sandbox.
pub(crate) fn inside(project: &Project) -> Result<ExitCode> {
    let dir = fill(project)?;
    let lan = Lan::new()?;
    let server = lan.host("server", SERVER)?;
    let bootlace = Bootlace { program: project.bootlace(), dir: &dir, host: &server };

    heading("The config: one file, no other server");
    for line in CONFIG.lines() {
        println!("    {line}");
    }
    heading("What would this machine do? Bootlace knows it before the machine is switched on");
    bootlace.show(&["explain", "-c", "bootlace.toml", "--mac", MAC, "--set", "loader=ipxe"])?;

    heading("Now for real: the server starts, and a virtual machine with SeaBIOS and iPXE is switched on");
    let mut daemon = bootlace.serve()?;
    let mut machine = Machine::new(NAME, MAC, Firmware::SeaBios).start(&lan, &dir)?;
    machine.console().show();
    machine.wait_for(&format!("{MARK} done"), LIMIT)?;
    machine.wait_off(LIMIT)?;

    heading("What happened? Every boot is kept, step by step, with the reasons");
    bootlace.show(&["boots", "-c", "bootlace.toml"])?;
    bootlace.show(&["boots", "-c", "bootlace.toml", "1"])?;
    bootlace.show(&["leases", "-c", "bootlace.toml"])?;

    daemon.signal(Signal::TERM)?;
    let status = daemon.wait(LIMIT)?;
    ensure!(status.success(), "bootlace serve ended with {status}");
    farewell(project, &dir);
    Ok(ExitCode::SUCCESS)
}

/// The folder of the demo, emptied and filled: a config and what it serves.
fn fill(project: &Project) -> Result<PathBuf> {
    let dir = project.lab_dir().join("demo");
    if dir.exists() {
        fs::remove_dir_all(&dir).context("empty the demo's directory")?;
    }
    let boot_dir = dir.join("boot");
    fs::create_dir_all(&boot_dir).with_context(|| format!("make {}", boot_dir.display()))?;
    fs::write(dir.join("bootlace.toml"), CONFIG)?;
    let guest = Guest::fetch(&project.cache_dir())?;
    fs::copy(guest.image(), boot_dir.join("vmlinuz"))?;
    let initrd = Initrd { modules: NETWORK_MODULES, commands: GREETING, ..Initrd::default() };
    initrd.write(&guest, &boot_dir.join("initrd"))?;
    Ok(dir)
}

/// The program on the demo's server.
struct Bootlace<'a> {
    program: PathBuf,
    dir: &'a Path,
    host: &'a Host,
}

impl Bootlace<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        println!("$ bootlace {}", arguments.join(" "));
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.dir);
        command
    }

    /// Runs a command to its end and shows what it says.
    fn show(&self, arguments: &[&str]) -> Result<()> {
        let output = self.host.namespace().output(&mut self.command(arguments))?;
        println!("{}", String::from_utf8_lossy(&output.stdout));
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "bootlace {}: {}", arguments.join(" "), errors.trim());
        Ok(())
    }

    /// Starts the server and shows its log.
    fn serve(&self) -> Result<Daemon> {
        let mut command = self.command(&["serve", "-c", "bootlace.toml"]);
        let daemon = Daemon::start(self.host.namespace(), "bootlace", self.dir, &mut command)?;
        daemon.output().show();
        daemon.output().wait_for("ready", LIMIT)?;
        Ok(daemon)
    }
}

fn heading(text: &str) {
    println!("\n=== {text}\n");
}

fn farewell(project: &Project, dir: &Path) {
    let dir = dir.strip_prefix(project.root()).unwrap_or(dir).display();
    println!(
        "\n=== That was all; nothing runs any more\n
Config, logs and databases of this run are in {dir}. Try next:

- Change the config there and ask again, no server needed. For a machine that it does not know:
  cargo run -p bootlace -- explain -c {dir}/bootlace.toml --mac 52:54:00:00:00:01 --firmware uefi-x64
- See more machines boot, one scenario each:  cargo xtask lab list
- Boot a machine of your own: \"Your first real machine\" in README.md"
    );
}
