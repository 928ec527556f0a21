//! One plan in the languages of other loaders: pxelinux and GRUB, sent by a DHCP server that knows nothing of it.
//!
//! The network cards of QEMU's machines carry an iPXE, which our own DHCP server would recognise. So the address and the
//! name of the loader come from dnsmasq.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::machine::Running;
use bootlace_lab::{Daemon, Firmware, Host, Lan, Machine};

use super::context::BOOT_LIMIT;
use super::names::announce_ipv6;
use super::served::SERVER;
use super::stage::{Files, Stage, WEB1, WEB1_MAC};
use super::{Context, Scenario, peers};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "pxelinux-generated",
        shows: "pxelinux that dnsmasq names gets the config made for its machine, and boots the kernel of the plan",
        run: |context| by_loader(context, &PXELINUX).map(drop),
    },
    Scenario {
        name: "pxelinux-generated-http",
        shows: "the same with lpxelinux, whose config and files come over HTTP",
        run: |context| by_loader(context, &LPXELINUX).map(drop),
    },
    Scenario {
        name: "grub-bios",
        shows: "GRUB for a BIOS, as grub-mknetdir makes it, gets the config made for its machine",
        run: |context| by_loader(context, &GRUB).map(drop),
    },
    Scenario {
        name: "grub-own",
        shows: "a config of one's own for GRUB comes before the one made, and sources the arguments of its machine",
        run: own_grub_config,
    },
    Scenario {
        name: "one-plan-every-loader",
        shows: "the same machine gets the same kernel and arguments by pxelinux, lpxelinux, GRUB and iPXE",
        run: every_loader,
    },
    Scenario {
        name: "pxelinux-own",
        shows: "a config of one's own comes before the one made, and includes the arguments of its machine",
        run: own_config,
    },
    Scenario {
        name: "pxelinux-menu",
        shows: "pxelinux shows a menu, whose timeout asks for the config of its default",
        run: menu,
    },
];

/// The package of GRUB's modules for a BIOS.
pub(super) const GRUB_PC: &str = "grub-pc-bin";

/// A loader, as dnsmasq sends it.
struct Sent {
    /// Its name.
    file: &'static str,
    /// What else dnsmasq says.
    more: &'static [&'static str],
    /// How its config is asked for: what the journal has for it.
    config: &'static str,
}

const PXELINUX: Sent = Sent { file: "pxelinux.0", more: &[], config: "pxelinux.cfg/01-52-54-00-12-34-57" };
/// Its path prefix (option 210, RFC 5071) makes it fetch all else by HTTP.
const LPXELINUX: Sent =
    Sent { file: "lpxelinux.0", more: &["--dhcp-option-force=210,http://10.188.0.10/"], ..PXELINUX };
const GRUB: Sent =
    Sent { file: "boot/grub/i386-pc/core.0", more: &[], config: "boot/grub/grub.cfg-01-52-54-00-12-34-57" };
const IPXE: Sent = Sent { file: "autoexec.ipxe", more: &[], config: "script" };

const LOADERS: &str = "/usr/lib/PXELINUX";
const MODULES: &str = "/usr/lib/syslinux/modules/bios";
const CMDLINE: &str = "BOOTLACE-LAB cmdline:";
const ARGUMENTS: &str = "console=ttyS0 hostname=web1";

/// A machine on a network whose DHCP server is dnsmasq.
struct Booting<'a> {
    machine: Running,
    stage: Stage<'a>,
    _dnsmasq: Daemon,
    _router: Host,
}

impl<'a> Booting<'a> {
    fn start(context: &'a Context, boots: &str, sent: &Sent, own: &[(&str, &str)]) -> Result<Self> {
        let lan = Lan::new()?;
        let router = lan.host("router", "10.188.0.1/24")?;
        announce_ipv6(router.namespace())?;
        let mut files = Files::on(context, "[dhcp]\nmode = \"off\"\n", boots)?.put_linux("")?;
        for (name, text) in own {
            files = files.put(name, text)?;
        }
        put_loader(context, sent, &context.dir().join("boot"))?;
        let stage = files.serve_on(lan)?;
        let named = format!("--dhcp-boot={},server,{SERVER}", sent.file);
        let mut more = vec![named.as_str(), "--enable-ra", "--dhcp-range=fd00:188::,ra-only"];
        more.extend(sent.more);
        let dnsmasq = peers::start_dnsmasq(context, router.namespace(), &more)?;
        let machine = Machine::new("web1", WEB1_MAC, Firmware::SeaBios).start(&stage.lan, context.dir())?;
        Ok(Self { machine, stage, _dnsmasq: dnsmasq, _router: router })
    }

    /// What its kernel was told.
    fn arguments(&self) -> Result<String> {
        let line = self.machine.console().line_from(CMDLINE, BOOT_LIMIT)?;
        self.stage.context.note(&line);
        let arguments = line.split_once(CMDLINE).map_or("", |(_, arguments)| arguments).trim();
        Ok(arguments.to_owned())
    }

    /// One boot is in the journal, which has this name in it.
    fn asked_for(&self, name: &str) -> Result<()> {
        let boots = self.stage.server.ask_json("boots")?;
        ensure!(boots.len() == 1 && boots[0]["mac"] == WEB1_MAC, "the journal has another story: {boots:?}");
        let told = self.stage.server.ask(&["boots", &boots[0]["session"].to_string(), "--json"])?;
        ensure!(told.contains(&format!("\"{name}\"")), "nobody asked for {name}: {told}");
        Ok(())
    }
}

fn put_loader(context: &Context, sent: &Sent, to: &Path) -> Result<()> {
    if sent.file.starts_with("boot/grub/") {
        let modules = context.debian(GRUB_PC)?.join("usr/lib/grub/i386-pc");
        let mut make = Command::new("grub-mknetdir");
        make.arg("--net-directory").arg(to).args(["--subdir", "boot/grub"]).arg("-d").arg(modules);
        let made = make.output().context("run grub-mknetdir")?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "grub-mknetdir: {}", said.trim());
        return Ok(());
    }
    if sent.file.ends_with(".0") {
        fs::copy(PathBuf::from(LOADERS).join(sent.file), to.join(sent.file))?;
        for module in ["ldlinux.c32", "menu.c32", "libutil.c32"] {
            fs::copy(PathBuf::from(MODULES).join(module), to.join(module)).context(module)?;
        }
    }
    Ok(())
}

/// Boots the machine; what the loader itself told the kernel beside the plan's arguments.
fn by_loader(context: &Context, sent: &Sent) -> Result<String> {
    let booting = Booting::start(context, WEB1, sent, &[])?;
    let arguments = booting.arguments()?;
    booting.asked_for(sent.config)?;
    booting.asked_for("vmlinuz")?;
    let own =
        arguments.split_once(ARGUMENTS).context("the plan's arguments are not there, one after the other")?;
    Ok(format!("{}|{}", own.0, own.1))
}

fn every_loader(context: &Context) -> Result<()> {
    for sent in [PXELINUX, LPXELINUX, GRUB, IPXE] {
        let own = by_loader(&context.part(sent.file)?, &sent)?;
        context.note(&format!("{} adds to the arguments: {own:?}", sent.file));
        // What the two say of the files that they loaded.
        let words = own.split([' ', '|']).filter(|word| !word.is_empty());
        let unknown: Vec<_> =
            words.filter(|word| !word.starts_with("BOOT_IMAGE=") && !word.starts_with("initrd=")).collect();
        ensure!(unknown.is_empty(), "{} told the kernel {unknown:?}", sent.file);
    }
    Ok(())
}

const TREE: &str = r#"
[boot.tree]
kind = "pxelinux"
cmdline = "console=ttyS0 hostname={{ machine.name }}"
serial = "0 115200"
menu_title = "Bootlace for {{ machine.name }}"
[boot.local]
kind = "local"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "tree"
"#;
const OWN: &str = "INCLUDE pxelinux.cfg/include/serial
SAY BOOTLACE-LAB a config of one's own
DEFAULT mine
PROMPT 0
INCLUDE pxelinux.cfg/include/menu
LABEL mine
  LINUX vmlinuz
  INITRD initrd
  INCLUDE pxelinux.cfg/include/append
";

fn own_config(context: &Context) -> Result<()> {
    let booting = Booting::start(context, TREE, &PXELINUX, &[("pxelinux.cfg/default", OWN)])?;
    booting.machine.wait_for("BOOTLACE-LAB a config of one's own", BOOT_LIMIT)?;
    let arguments = booting.arguments()?;
    ensure!(arguments.contains(ARGUMENTS), "the included arguments are not there: {arguments}");
    for name in ["default", "include/serial", "include/append"] {
        booting.asked_for(&format!("pxelinux.cfg/{name}"))?;
    }
    Ok(())
}

/// GRUB writes on the screen only, so that its kernel is all that is seen of it.
const OWN_GRUB: &str = "source $prefix/grub.cfg-include
linux /vmlinuz $bootlace_cmdline own=yes
initrd /initrd
boot
";

fn own_grub_config(context: &Context) -> Result<()> {
    let own = [("boot/grub/grub.cfg", OWN_GRUB)];
    let booting = Booting::start(context, TREE, &GRUB, &own)?;
    let arguments = booting.arguments()?;
    let expected = format!("{ARGUMENTS} own=yes");
    ensure!(arguments.contains(&expected), "the sourced arguments are not there: {arguments}");
    for name in ["grub.cfg", "grub.cfg-include"] {
        booting.asked_for(&format!("boot/grub/{name}"))?;
    }
    Ok(())
}

const MENU: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[boot.menu]
kind = "menu"
title = "What shall it be?"
timeout = "3s"
default = "rescue"
entries = ["local", "rescue"]
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "menu"
"#;

fn menu(context: &Context) -> Result<()> {
    let booting = Booting::start(context, MENU, &PXELINUX, &[])?;
    booting.machine.wait_for("What shall it be?", BOOT_LIMIT)?;
    let arguments = booting.arguments()?;
    ensure!(arguments.contains(ARGUMENTS), "another entry was started: {arguments}");
    booting.asked_for("pxelinux.cfg/boot-rescue")
}
