//! `cargo xtask demo`: one real firmware, one real kernel, and Bootlace between them, for somebody who watches.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bootlace_lab::initrd::{Initrd, NETWORK_MODULES};
use bootlace_lab::{Daemon, Firmware, Guest, Lan, Machine, sandbox};

use crate::gate;
use crate::project::Project;
use crate::setup::{self, Need};

/// Only ends what hangs.
const LIMIT: Duration = Duration::from_secs(400);
const MAC: &str = "00:12:34:56:78:90";
const CONFIG: &str = r#"interfaces = ["eth0"]
state_dir = "state"
boot_dir = "boot"
default = "local"

[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]
router = ["10.188.0.1"]

[boot.local]
kind = "local"

[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }}"

[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
address = "10.188.0.61"
boot = "rescue"
"#;

/// Prepares everything and runs the demo in a sandbox, whose network has no way out.
pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    setup::run(&[Need::Test])?;
    Guest::fetch(&project.cache_dir())?;
    println!("building bootlace as users get it; the first time takes some minutes");
    gate::cargo(project, &["build", "--release", "--package", "bootlace"])?;
    let status = sandbox::command(project.exe(), ["demo-inside"])?.status().context("start a sandbox")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The demo itself, as the first process of its sandbox.
pub(crate) fn inside(project: &Project) -> Result<ExitCode> {
    let dir = project.lab_dir().join("demo");
    if dir.exists() {
        fs::remove_dir_all(&dir).context("empty the demo's directory")?;
    }
    fill(project, &dir)?;
    let bootlace = project.bootlace_release().context("this program lies in target/debug")?;
    let lan = Lan::new()?;
    let server = lan.host("server", "10.188.0.10/24")?;
    println!("\n# bootlace serve -c bootlace.toml, with this bootlace.toml:\n\n{CONFIG}");
    let mut serve = Command::new(&bootlace);
    serve.args(["serve", "-c", "bootlace.toml"]).current_dir(&dir);
    let daemon = Daemon::start(server.namespace(), "bootlace", &dir, &mut serve)?;
    daemon.output().show();
    daemon.output().wait_for("ready", LIMIT)?;

    println!("\n# switching on {MAC}: SeaBIOS and iPXE, as in every KVM machine\n");
    let mut machine = Machine::new("web1", MAC, Firmware::SeaBios).start(&lan, &dir)?;
    machine.console().show();
    machine.wait_for("BOOTLACE-LAB done", LIMIT)?;
    machine.wait_off(LIMIT)?;

    println!("\n# bootlace boots\n");
    let boots = server
        .namespace()
        .output(Command::new(&bootlace).args(["boots", "-c", "bootlace.toml"]).current_dir(&dir))?;
    print!("{}", String::from_utf8_lossy(&boots.stdout));
    ensure!(boots.status.success(), "bootlace boots: {}", String::from_utf8_lossy(&boots.stderr).trim());
    Ok(ExitCode::SUCCESS)
}

fn fill(project: &Project, dir: &Path) -> Result<()> {
    let boot_dir = dir.join("boot");
    fs::create_dir_all(&boot_dir).with_context(|| format!("make {}", boot_dir.display()))?;
    fs::create_dir(dir.join("state"))?;
    fs::write(dir.join("bootlace.toml"), CONFIG)?;
    let guest = Guest::fetch(&project.cache_dir())?;
    fs::copy(guest.image(), boot_dir.join("vmlinuz"))?;
    Initrd { modules: NETWORK_MODULES, ..Initrd::default() }.write(&guest, &boot_dir.join("initrd"))
}
