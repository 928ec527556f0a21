//! The surroundings of a boot: a LAN with Bootlace on it, and machines that are compared with what was foretold.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::initrd::{Initrd, NETWORK_MODULES};
use bootlace_lab::machine::Running;
use bootlace_lab::{Capture, Lan, Machine};

use super::Context;
use super::compare::{self, Foretold};
use super::context::BOOT_LIMIT;
use super::served::Served;

/// The network of the documentation's examples.
const NETWORK: &str = r#"
[dhcp]
mode = "server"
authoritative = true
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]
router = ["10.188.0.1"]
domain = "example.com"
"#;

/// The MAC of the machine of [`WEB1`].
pub(super) const WEB1_MAC: &str = "52:54:00:12:34:57";
/// A machine whose boot is decided, for scenarios that are about the way to it.
pub(super) const WEB1: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "rescue"
"#;

/// Debian's packages of the signed boot, and what is taken of each.
pub(super) const SIGNED_BOOT: [(&str, &str); 2] = [
    ("shim-signed", "usr/lib/shim/shimx64.efi.signed"),
    ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"),
];

/// Waits for its kernel, which has its arguments.
pub(super) fn web1_boots(context: &Context, machine: &Running) -> Result<()> {
    const ARGUMENTS: &str = "console=ttyS0 hostname=web1";
    let line = machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.ends_with(ARGUMENTS), "the kernel was told something else than {ARGUMENTS}: {line}");
    Ok(())
}

/// A scenario's files before the server starts.
#[derive(Debug)]
pub(super) struct Files<'a> {
    context: &'a Context,
    config: String,
}

impl<'a> Files<'a> {
    /// A config with `boots`, machines and rules, and an empty `boot_dir`.
    pub(super) fn new(context: &'a Context, boots: &str) -> Result<Self> {
        Self::on(context, NETWORK, boots)
    }

    /// The same on a network that `network` describes.
    pub(super) fn on(context: &'a Context, network: &str, boots: &str) -> Result<Self> {
        let files = Self { context, config: format!("{network}{boots}") };
        fs::create_dir(files.boot_dir())?;
        Ok(files)
    }

    fn boot_dir(&self) -> PathBuf {
        self.context.dir().join("boot")
    }

    /// Puts a text into `boot_dir`.
    pub(super) fn put(self, name: &str, text: &str) -> Result<Self> {
        let path = self.boot_dir().join(name);
        let folder = path.parent().context("a file has a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(self)
    }

    /// Puts a Debian kernel as `vmlinuz` there, and as `initrd` one that prints its command line and then runs
    /// `commands`.
    pub(super) fn put_linux(self, commands: &str) -> Result<Self> {
        let guest = self.context.guest()?;
        fs::copy(guest.image(), self.boot_dir().join("vmlinuz"))?;
        let initrd = Initrd { modules: NETWORK_MODULES, commands, files: &[] };
        initrd.write(&guest, &self.boot_dir().join("initrd"))?;
        Ok(self)
    }

    /// Puts Debian's signed shim and GRUB there, under the names that their packages give them.
    pub(super) fn put_signed_boot(self) -> Result<Self> {
        for (package, file) in SIGNED_BOOT {
            let unpacked = self.context.debian(package)?;
            let name = Path::new(file).file_name().context("a file has a name")?;
            fs::copy(unpacked.join(file), self.boot_dir().join(name))?;
        }
        Ok(self)
    }

    /// Starts Bootlace on a LAN of its own.
    pub(super) fn serve(self) -> Result<Stage<'a>> {
        self.serve_on(Lan::new()?)
    }

    /// Starts Bootlace on a LAN where others may be already.
    pub(super) fn serve_on(self, lan: Lan) -> Result<Stage<'a>> {
        let context = self.context;
        let capture = lan.capture(context.dir(), "lan")?;
        let server = Served::start(context, &lan, &self.config)?;
        context.note("the server is ready");
        Ok(Stage { context, lan, server, _capture: capture })
    }
}

/// Between two looks at what is foretold.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Bootlace on a LAN.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) context: &'a Context,
    pub(super) lan: Lan,
    pub(super) server: Served,
    _capture: Capture,
}

impl Stage<'_> {
    /// Foretells a machine's boot and switches it on.
    pub(super) fn switch_on(&self, machine: &Machine) -> Result<Boot> {
        self.switch_on_and_pick(machine, None)
    }

    /// The same when what is foretold is as it should be: what a boot taught is stored a moment after it.
    pub(super) fn switch_on_when(&self, machine: &Machine, is_ready: fn(&Foretold) -> bool) -> Result<Boot> {
        let give_up = Instant::now() + BOOT_LIMIT;
        while !is_ready(&compare::foretell(&self.server, machine, None)?) {
            ensure!(Instant::now() < give_up, "something else is still foretold of {}", machine.name);
            std::thread::sleep(LOOK_PAUSE);
        }
        self.switch_on(machine)
    }

    /// The same for a machine at which somebody will pick `pick` from a menu.
    pub(super) fn switch_on_and_pick(&self, machine: &Machine, pick: Option<&str>) -> Result<Boot> {
        let foretold = compare::foretell(&self.server, machine, pick)?;
        let running = machine.start(&self.lan, self.context.dir())?;
        self.context.note(&format!("{} is on", machine.name));
        Ok(Boot { machine: running, mac: machine.mac.clone(), foretold })
    }
}

/// A boot on its way, with what was foretold of it.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) machine: Running,
    pub(super) mac: String,
    foretold: Foretold,
}

impl Boot {
    /// Holds what the journal says now against what was foretold.
    pub(super) fn went_as_foretold(&self, stage: &Stage<'_>) -> Result<()> {
        compare::hold(&stage.server, &self.mac, &self.foretold)?;
        stage.context.note(&format!("{} went as foretold", self.mac));
        Ok(())
    }

    /// The same for a boot that ended before what was foretold did. Says what kind of step was its last.
    pub(super) fn went_as_foretold_until_it_ended(&self, stage: &Stage<'_>) -> Result<String> {
        let last = compare::hold_beginning(&stage.server, &self.mac, &self.foretold)?;
        stage.context.note(&format!("{} went as foretold, as far as it came", self.mac));
        Ok(last)
    }
}
