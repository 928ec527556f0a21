//! The cases of the classic PHP script, one scenario each, and menus.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::machine::Smbios;
use bootlace_lab::{Daemon, Disk, Firmware, Host, Machine};

use super::boots::MAC;
use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::stage::Files;
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kind-pxelinux",
        shows: "pxelinux comes over HTTP, searches its config there and boots what it says",
        run: pxelinux,
    },
    Scenario { name: "kind-san", shows: "iPXE boots an iSCSI disk of another server", run: san },
    Scenario { name: "kind-chain", shows: "iPXE goes on with the script of another HTTP server", run: chain },
    Scenario { name: "kind-menu", shows: "a menu takes its default when nobody chooses", run: menu },
    Scenario { name: "kind-menu-keys", shows: "a key pressed in a menu picks another entry", run: menu_keys },
];

const PXELINUX: &str = r#"
[boot.pxelinux]
kind = "pxelinux"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
address = "10.188.0.61"
boot = "pxelinux"
"#;
const PXELINUX_CFG: &str = "DEFAULT rescue
PROMPT 0
LABEL rescue
  LINUX vmlinuz
  INITRD initrd
  APPEND console=ttyS0 lab.by=pxelinux
";

fn pxelinux(context: &Context) -> Result<()> {
    let files = Files::new(context, PXELINUX)?.put_linux("")?;
    let stage = files.put("pxelinux.cfg/01-00-12-34-56-78-90", PXELINUX_CFG)?.serve()?;
    let uuid = Some("44454c4c-3900-104e-804e-b9c04f4d344a".to_owned());
    let smbios = Smbios { uuid, ..Smbios::default() };
    let machine = Machine { smbios, ..Machine::new("web1", MAC, Firmware::SeaBios) };
    let boot = stage.switch_on(&machine)?;
    let line = boot.machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.contains("console=ttyS0 lab.by=pxelinux"), "another config was used: {line}");
    boot.went_as_foretold(&stage)
}

const SAN: &str = r#"
[boot.san]
kind = "san"
target = "iscsi:10.188.0.20:6:3260:1:iqn.2007-08.com.example.san:sometarget"
initiator = "iqn.2007-08.com.example.initiator:{{ machine.name }}"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
boot = "san"
"#;
const TARGET: &str = "iqn.2007-08.com.example.san:sometarget";
const SAN_SAYS: &str = "BOOTLACE-LAB SAN disk";

fn san(context: &Context) -> Result<()> {
    let stage = Files::new(context, SAN)?.serve()?;
    let host = stage.lan.host("san", "10.188.0.20/24")?;
    let _target = start_target(context, &host)?;
    context.note("the iSCSI target is ready");
    let boot = stage.switch_on(&Machine::new("web1", MAC, Firmware::SeaBios))?;
    boot.machine.wait_for("Registered SAN device", BOOT_LIMIT)?;
    context.note("registered the SAN device");
    boot.machine.wait_for(SAN_SAYS, BOOT_LIMIT)?;
    context.note("booted from it");
    boot.went_as_foretold(&stage)
}

/// tgt with one disk, open to the initiator of the config and to nobody else.
fn start_target(context: &Context, host: &Host) -> Result<Daemon> {
    let socket = context.dir().join("tgt");
    let disk = context.dir().join("san-disk");
    Disk::that_says(SAN_SAYS, &disk)?;
    let mut tgtd = Command::new("tgtd");
    tgtd.args(["--foreground", "--iscsi", "portal=10.188.0.20:3260"]).env("TGT_IPC_SOCKET", &socket);
    let daemon = Daemon::start(host.namespace(), "tgtd", context.dir(), &mut tgtd)?;
    daemon.output().wait_for("bs_init", STEP_LIMIT)?;
    let disk = disk.to_string_lossy();
    let orders: [&[&str]; 3] = [
        &["--mode", "target", "--op", "new", "--targetname", TARGET],
        &["--mode", "logicalunit", "--op", "new", "--lun", "1", "--backing-store", &disk],
        &["--mode", "target", "--op", "bind", "--initiator-name", "iqn.2007-08.com.example.initiator:web1"],
    ];
    for order in orders {
        let mut tgtadm = Command::new("tgtadm");
        tgtadm.args(["--lld", "iscsi", "--tid", "1"]).args(order).env("TGT_IPC_SOCKET", &socket);
        let output = host.namespace().output(&mut tgtadm)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tgtadm {}: {}", order.join(" "), said.trim());
    }
    Ok(daemon)
}

const CHAIN: &str = r#"
[boot.salstar]
kind = "chain"
url = "http://10.188.0.20/{{ machine.name }}/menu.ipxe"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
boot = "salstar"
"#;

fn chain(context: &Context) -> Result<()> {
    let stage = Files::new(context, CHAIN)?.serve()?;
    let other = stage.lan.host("salstar", "10.188.0.20/24")?;
    let root = context.dir().join("salstar");
    fs::create_dir_all(root.join("web1"))?;
    fs::write(root.join("web1/menu.ipxe"), "#!ipxe\necho BOOTLACE-LAB script of another server\n")?;
    // It listens before it goes to the background.
    let mut httpd = Command::new(context.guest()?.busybox());
    httpd.args(["httpd", "-p", "10.188.0.20:80", "-h"]).arg(&root);
    let started = other.namespace().output(&mut httpd)?;
    ensure!(started.status.success(), "httpd: {}", String::from_utf8_lossy(&started.stderr).trim());
    let boot = stage.switch_on(&Machine::new("web1", MAC, Firmware::SeaBios))?;
    boot.machine.wait_for("BOOTLACE-LAB script of another server", BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}

const MENU: &str = r#"
[boot.menu]
kind = "menu"
title = "What shall it be?"
TIMEOUT
entries = ["local", "second", "third"]
default = "second"
[boot.second]
kind = "ipxe"
script = """
echo BOOTLACE-LAB the second of {{ machine.name }}
exit
"""
[boot.third]
kind = "ipxe"
script = """
echo BOOTLACE-LAB the third
exit
"""
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
boot = "menu"
"#;

const MENU_SHOWS: &str = "What shall it be?";

fn menu(context: &Context) -> Result<()> {
    let stage = Files::new(context, &MENU.replace("TIMEOUT", "timeout = \"3s\""))?.serve()?;
    let boot = stage.switch_on(&Machine::new("web1", MAC, Firmware::SeaBios))?;
    boot.machine.wait_for(MENU_SHOWS, BOOT_LIMIT)?;
    context.note("the menu is on the screen");
    boot.machine.wait_for("BOOTLACE-LAB the second of web1", BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}

/// What a serial terminal sends for the arrow down and for Enter.
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";

fn menu_keys(context: &Context) -> Result<()> {
    // Without a timeout: a busy computer must not be faster than the finger.
    let stage = Files::new(context, &MENU.replace("TIMEOUT", ""))?.serve()?;
    let machine = Machine::new("web1", MAC, Firmware::SeaBios);
    let mut boot = stage.switch_on_and_pick(&machine, Some("third"))?;
    boot.machine.wait_for(MENU_SHOWS, BOOT_LIMIT)?;
    boot.machine.type_keys(DOWN)?;
    boot.machine.type_keys(ENTER)?;
    boot.machine.wait_for("BOOTLACE-LAB the third", BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}
