//! Against our server.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Daemon, Lan};
use rustix::process::Signal;

use super::context::STEP_LIMIT;
use super::served::{SUBNET, Served};
use super::{Context, kernel, leaves_nothing, play, play_all};

const KERNEL_BYTES: usize = 700_001;
const INITRD_BYTES: usize = 2_000_000;
pub(super) const CONFIG: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "debian/linux"
initrd = ["debian/initrd.gz"]
cmdline = "console=ttyS0 quiet"
[boot.san]
kind = "san"
target = "iscsi:10.188.0.10:6:3260:0:iqn.2007-08.com.example.san:disk"
[boot.menu]
kind = "menu"
title = "What shall it be?"
timeout = "1s"
entries = ["here", "rescue"]
default = "rescue"
[boot.here]
kind = "local"
[[machine]]
name = "san1"
mac = "52:54:00:00:00:21"
boot = "san"
[[machine]]
name = "menu1"
mac = "52:54:00:00:00:22"
boot = "menu"
[[machine]]
name = "local1"
mac = "52:54:00:00:00:23"
boot = "here"
[boot.own]
kind = "pxelinux"
file = "lpxelinux.0"
[[machine]]
name = "own1"
mac = "52:54:00:00:00:24"
boot = "own"
[[machine]]
name = "made1"
mac = "52:54:00:00:00:25"
boot = "menu"
loader = "lpxelinux.0"
[[rule]]
match = { mac = "52:54:00:*" }
boot = "rescue"
"#;
pub(super) const CMDLINE: &str = "console=ttyS0 quiet";
const MACHINES: u32 = 200;

/// A kernel and an initial file system, and the configs of loaders that boot the two.
pub(super) fn fill(context: &Context) -> Result<()> {
    let boot = context.dir().join("boot");
    for folder in ["debian", "grub", "pxelinux.cfg"] {
        fs::create_dir_all(boot.join(folder))?;
    }
    fs::write(boot.join("debian/linux"), kernel(KERNEL_BYTES))?;
    fs::write(boot.join("debian/initrd.gz"), vec![7; INITRD_BYTES])?;
    fs::copy("/usr/lib/PXELINUX/lpxelinux.0", boot.join("lpxelinux.0"))?;
    fs::copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", boot.join("ldlinux.c32"))?;
    let config =
        format!("DEFAULT a\nLABEL a\nKERNEL debian/linux\nINITRD debian/initrd.gz\nAPPEND {CMDLINE}\n");
    fs::write(boot.join("pxelinux.cfg/default"), config)?;
    let config = format!("menuentry a {{\n linux /debian/linux {CMDLINE}\n initrd /debian/initrd.gz\n}}\n");
    fs::write(boot.join("grub/grub.cfg"), config)?;
    Ok(())
}

fn serve(context: &Context, lan: &Lan) -> Result<Served> {
    fill(context)?;
    Served::start(context, lan, &format!("[dhcp]\nmode = \"server\"\nauthoritative = true\n{SUBNET}{CONFIG}"))
}

pub(super) fn kinds(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let _server = serve(context, &lan)?;
    let host = lan.client("probe")?;
    let machines = [
        ("bios", "52:54:00:00:00:01", "linux"),
        ("uefi-x64", "52:54:00:00:00:02", "linux"),
        ("grub", "52:54:00:00:00:03", "linux"),
        ("http-x64", "52:54:00:00:00:0a", "linux"),
        ("bios", "52:54:00:00:00:24", "linux"),
        ("bios", "52:54:00:00:00:25", "linux"),
        ("ipxe", "52:54:00:00:00:04", "linux"),
        ("ipxe-x64", "52:54:00:00:00:05", "linux"),
        ("ipxe", "52:54:00:00:00:21", "san"),
        ("ipxe", "52:54:00:00:00:22", "linux"),
        ("ipxe", "52:54:00:00:00:23", "local"),
        ("kernel", "52:54:00:00:00:06", "lease"),
        ("dhclient", "52:54:00:00:00:07", "lease"),
        ("networkd", "52:54:00:00:00:08", "lease"),
        ("udhcpc", "52:54:00:00:00:09", "lease"),
    ];
    let played = play_all(context, &host, &machines.map(|(kind, mac, _)| (kind, mac)))?;
    for ((kind, mac, end), played) in machines.iter().zip(&played) {
        context.note(&format!("{kind} {mac} {}", played.text("/end/text")));
        ensure!(played.succeeded && played.text("/end/kind") == *end, "{kind} {mac}: {:#}", played.view);
        if *end == "linux" {
            ensure!(played.text("/end/cmdline").ends_with(CMDLINE), "{kind}: {:#}", played.view);
            let bytes = (played.bytes_of("debian/linux"), played.bytes_of("debian/initrd.gz"));
            let expected = (Some(KERNEL_BYTES as u64), Some(INITRD_BYTES as u64));
            ensure!(bytes == expected, "{kind}: {bytes:?} bytes came");
        }
    }
    leaves_nothing(&host)
}

pub(super) fn ends(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let host = lan.client("probe")?;
    let watcher = lan.host("watcher", "10.188.0.20/24")?;
    let socket = watcher.namespace().run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67)))??;
    socket.set_read_timeout(Some(STEP_LIMIT))?;
    let mac = "52:54:00:00:00:31";
    // Not INT, which is ignored in what a shell starts in the background.
    for signal in [Signal::TERM, Signal::KILL] {
        let mut command = Command::new(context.bootlace());
        command.args(["probe", "--interface", "eth0", "--firmware", "uefi-x64", "--mac", mac]);
        let mut probe = Daemon::start(host.namespace(), "probe", context.dir(), &mut command)?;
        socket.recv(&mut [0; 1500]).context("no DISCOVER came")?;
        probe.signal(signal)?;
        ensure!(!probe.wait(STEP_LIMIT)?.success(), "it went on after {signal:?}");
        leaves_nothing(&host)?;
    }
    drop(socket);
    let server = serve(context, &lan)?;
    // The MAC is free again.
    let played = play(context, &host, &["--firmware", "udhcpc", "--mac", mac])?;
    ensure!(played.succeeded, "{:#}", played.view);
    let mut command = Command::new(context.bootlace());
    command.args(["probe", "--interface", "eth0", "--firmware", "udhcpc"]);
    let output = server.host().namespace().output(&mut command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("a DHCP server runs on this host"), "{said}");
    Ok(())
}

pub(super) fn storm(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let subnet = "
[[dhcp.subnet]]
subnet = \"10.188.0.0/16\"
ranges = [\"10.188.1.1-10.188.4.250\"]
";
    fill(context)?;
    let config = format!("[dhcp]\nmode = \"server\"\nauthoritative = true\n{subnet}{CONFIG}");
    let host = lan.host("server", "10.188.0.10/16")?;
    let _server = Served::start_on(context, host, &config, &[])?;
    let host = lan.client("probe")?;
    let count = MACHINES.to_string();
    let played =
        play(context, &host, &["--firmware", "ipxe", "--mac", "52:54:00:00:01:00", "--count", &count])?;
    context.note(&played.view.to_string());
    let number = |name: &str| played.view[name].as_u64();
    ensure!(played.succeeded && number("booted") == Some(u64::from(MACHINES)), "{:#}", played.view);
    // Beside kernel and initrd there is at least one script.
    let least = u64::from(MACHINES) * (KERNEL_BYTES + INITRD_BYTES) as u64;
    ensure!(number("bytes").is_some_and(|bytes| bytes > least), "{:#}", played.view);
    leaves_nothing(&host)
}
