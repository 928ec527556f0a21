//! The lab itself, proved with a server that is not ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::initrd::{Initrd, NETWORK_MODULES};
use bootlace_lab::{Daemon, Disk, Firmware, Host, Lan, Machine};

use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab-dnsmasq-seabios",
        shows: "SeaBIOS and QEMU's iPXE boot a kernel from dnsmasq",
        run: |context| boot(context, Firmware::SeaBios),
    },
    Scenario {
        name: "lab-dnsmasq-ovmf",
        shows: "OVMF's own PXE loads snponly.efi, which boots a kernel from dnsmasq",
        run: |context| boot(context, Firmware::Ovmf),
    },
    Scenario {
        name: "lab-exit-seabios",
        shows: "a script that exits lets SeaBIOS go on to the disk",
        run: |context| exit(context, Firmware::SeaBios),
    },
    Scenario {
        name: "lab-exit-ovmf",
        shows: "a script that exits lets OVMF go on to the disk",
        run: |context| exit(context, Firmware::Ovmf),
    },
];

const MAC: &str = "52:54:00:12:34:56";
const DISK_SAYS: &str = "BOOTLACE-LAB local disk";
const SCRIPT: &str = "#!ipxe
kernel vmlinuz initrd=initrd console=ttyS0 lab.mac=${net0/mac}
initrd initrd
boot
";

fn boot(context: &Context, firmware: Firmware) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let server = lan.host("server", "10.188.0.10/24")?;
    let root = fill(context, SCRIPT)?;
    let dnsmasq = start_dnsmasq(context, &server, &root)?;

    let mut machine = Machine::new("web1", MAC, firmware).start(&lan, context.dir())?;
    context.note("switched on");
    dnsmasq.output().wait_for("sent", BOOT_LIMIT)?;
    context.note("first file sent");
    let line = machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.contains(&format!("lab.mac={MAC}")), "the kernel was not told its MAC: {line}");
    let lease = machine.console().line_from("BOOTLACE-LAB lease: bound", BOOT_LIMIT)?;
    context.note(&lease);
    ensure!(lease.contains("ip=10.188.0.6"), "the system got an address outside of the range: {lease}");
    machine.wait_off(BOOT_LIMIT)?;
    context.note("switched itself off");
    Ok(())
}

/// A UEFI boot manager goes on to the next entry only after a failure: a plain `exit` is a success, after
/// which it shows its menu (UEFI 2.10 section 3.1.1). A BIOS goes on after either.
const EXIT_SCRIPT: &str = "#!ipxe\nexit 1\n";

fn exit(context: &Context, firmware: Firmware) -> Result<()> {
    let lan = Lan::new()?;
    let server = lan.host("server", "10.188.0.10/24")?;
    let root = fill(context, EXIT_SCRIPT)?;
    let dnsmasq = start_dnsmasq(context, &server, &root)?;
    let disk = match firmware {
        Firmware::SeaBios => Disk::that_says(DISK_SAYS, &context.dir().join("disk.img"))?,
        _ => Disk::whose_shell_says(DISK_SAYS, &context.dir().join("disk"))?,
    };
    let machine = Machine { disk: Some(disk), ..Machine::new("web1", MAC, firmware) };
    let machine = machine.start(&lan, context.dir())?;
    dnsmasq.output().wait_for("boot.ipxe", BOOT_LIMIT)?;
    context.note("script sent");
    machine.wait_for(DISK_SAYS, BOOT_LIMIT)?;
    context.note("booted from its disk");
    Ok(())
}

/// A directory for TFTP with the loader, the script and what it boots.
fn fill(context: &Context, script: &str) -> Result<PathBuf> {
    let root = context.dir().join("tftp");
    fs::create_dir(&root)?;
    let guest = context.guest()?;
    fs::copy(guest.image(), root.join("vmlinuz"))?;
    fs::copy("/usr/lib/ipxe/snponly.efi", root.join("snponly.efi"))?;
    fs::write(root.join("boot.ipxe"), script)?;
    let commands = "ip link set eth0 up\nudhcpc -i eth0 -n -q -f";
    Initrd { modules: NETWORK_MODULES, commands, files: &[] }.write(&guest, &root.join("initrd"))?;
    Ok(root)
}

fn start_dnsmasq(context: &Context, server: &Host, root: &Path) -> Result<Daemon> {
    let mut command = Command::new("dnsmasq");
    command
        .args(["--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--log-dhcp"])
        .args(["--port=0", "--interface=eth0", "--bind-interfaces", "--user=root", "--pid-file="])
        .args(["--dhcp-range=10.188.0.60,10.188.0.69,12h", "--dhcp-authoritative"])
        .args(["--dhcp-option=option:router,10.188.0.1", "--dhcp-userclass=set:ENH,iPXE"])
        .args(["--dhcp-boot=tag:ENH,boot.ipxe", "--dhcp-boot=tag:!ENH,snponly.efi", "--enable-tftp"])
        .arg(format!("--tftp-root={}", root.display()))
        .arg(format!("--dhcp-leasefile={}", context.dir().join("leases").display()));
    let dnsmasq = Daemon::start(server.namespace(), "dnsmasq", context.dir(), &mut command)?;
    dnsmasq.output().wait_for("TFTP root is", STEP_LIMIT)?;
    Ok(dnsmasq)
}
