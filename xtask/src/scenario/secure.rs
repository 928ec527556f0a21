//! Signed boot: the distribution's shim and GRUB on firmware with Secure Boot.

use std::fs;

use anyhow::{Result, ensure};
use bootlace_lab::{Disk, Firmware, Machine};

use super::context::BOOT_LIMIT;
use super::stage::{Files, Stage, WEB1, WEB1_MAC, web1_boots};
use super::{Context, Scenario, compare};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "secure-boot-ovmf",
        shows: "firmware with Secure Boot starts Debian's shim and GRUB, which boot a signed kernel with its arguments",
        run: signed_kernel,
    },
    Scenario {
        name: "secure-boot-menu",
        shows: "the same GRUB shows a menu, whose timeout starts the signed system on the machine's disk",
        run: menu_to_disk,
    },
    Scenario {
        name: "secure-boot-refuses",
        shows: "firmware with Secure Boot refuses an unsigned loader: it is sent, and nothing comes after it",
        run: unsigned,
    },
    Scenario {
        name: "learn-secure-boot",
        shows: "after two refusals of an unsigned loader the same machine is given the signed one and boots, and it stays so",
        run: learned_around,
    },
];

const CMDLINE: &str = "BOOTLACE-LAB cmdline:";
/// With what means something to GRUB's shell: `;`, `$` and braces.
const ARGUMENTS: &str = "console=ttyS0 hostname=web1 ds=nocloud;s=http://10.188.0.10/$x{y}/ role=web";

const LINUX: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }} ds=nocloud;s={{ server.url }}/$x{y}/ role={{ vars.role }}"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
address = "10.188.0.61"
boot = "rescue"
loader = "secure"
vars = { role = "web" }
"#;

fn secure_machine() -> Machine {
    Machine { memory_mib: 1024, ..Machine::new("web1", WEB1_MAC, Firmware::OvmfSecureBoot) }
}

fn signed_kernel(context: &Context) -> Result<()> {
    let stage = Files::new(context, LINUX)?.put_linux("")?.put_signed_boot()?.serve()?;
    let mut boot = stage.switch_on(&secure_machine())?;
    let line = boot.machine.console().line_from(CMDLINE, BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.ends_with(ARGUMENTS), "the kernel was told something else than {ARGUMENTS}: {line}");
    boot.machine.wait_off(BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}

const MENU: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
[boot.choice]
kind = "menu"
timeout = "1s"
default = "local"
entries = ["rescue", "local"]
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "choice"
loader = "secure"
"#;

const DISK_SAYS: &str = "BOOTLACE-LAB local disk";

fn menu_to_disk(context: &Context) -> Result<()> {
    let stage = Files::new(context, MENU)?.put_signed_boot()?.serve()?;
    let machine = Machine { disk: Some(installed(context)?), ..secure_machine() };
    let boot = stage.switch_on(&machine)?;
    boot.machine.wait_for(DISK_SAYS, BOOT_LIMIT)?;
    context.note("the disk's own GRUB is there");
    boot.went_as_foretold(&stage)
}

/// The EFI system partition of a Debian whose GRUB says that it is there.
fn installed(context: &Context) -> Result<Disk> {
    let disk = context.dir().join("disk");
    let folder = disk.join("EFI/debian");
    fs::create_dir_all(&folder)?;
    let files = [
        ("shim-signed", "usr/lib/shim/shimx64.efi.signed", "shimx64.efi"),
        ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "grubx64.efi"),
    ];
    for (package, file, name) in files {
        fs::copy(context.debian(package)?.join(file), folder.join(name))?;
    }
    fs::write(folder.join("grub.cfg"), format!("echo '{DISK_SAYS}'\nsleep 600\n"))?;
    Ok(Disk::Directory(disk))
}

fn unsigned(context: &Context) -> Result<()> {
    let stage = Files::new(context, WEB1)?.put_linux("")?.serve()?;
    let boot = stage.switch_on(&secure_machine())?;
    boot.machine.wait_for("Access Denied", BOOT_LIMIT)?;
    context.note("the firmware refuses the loader");
    let came_to = boot.went_as_foretold_until_it_ended(&stage)?;
    ensure!(came_to == "file", "the loader was sent, and nothing after it: {came_to}");
    Ok(())
}

/// Nothing in the config speaks of Secure Boot.
fn learned_around(context: &Context) -> Result<()> {
    let stage = Files::new(context, WEB1)?.put_linux("")?.put_signed_boot()?.serve()?;
    for number in ["first", "second"] {
        let boot = stage.switch_on(&secure_machine())?;
        boot.machine.wait_for("Access Denied", BOOT_LIMIT)?;
        boot.went_as_foretold_until_it_ended(&stage)?;
        context.note(&format!("the firmware refuses the loader for the {number} time"));
    }
    for number in ["third", "fourth"] {
        let mut boot = stage.switch_on_when(&secure_machine(), |foretold| foretold.fetches("shimx64.efi"))?;
        web1_boots(context, &boot.machine)?;
        boot.machine.wait_off(BOOT_LIMIT)?;
        boot.went_as_foretold(&stage)?;
        context.note(&format!("the {number} boot is signed"));
    }
    commands(&stage)
}

/// What `bootlace learned` shows and changes, each seen by the next of them or by `explain`.
fn commands(stage: &Stage<'_>) -> Result<()> {
    let ask = |arguments: &[&str]| stage.server.ask(&[&["learned"], arguments].concat());
    let learned = ask(&["list", "--json"])?;
    ensure!(
        learned.contains("\"secure\"") && learned.contains("\"worked\""),
        "nothing was learned: {learned}"
    );
    let exported = ask(&["export"])?;
    ensure!(exported.contains("loader = \"secure\""), "nothing to paste: {exported}");
    ask(&["pin", WEB1_MAC, "usual"])?;
    ensure!(ask(&["list"])?.contains("pinned"), "the pin is not shown");
    let foretold = compare::foretell(&stage.server, &secure_machine(), None)?;
    ensure!(foretold.fetches("snponly.efi"), "the pin does not count");
    ask(&["clear", WEB1_MAC])?;
    ensure!(!ask(&["list"])?.contains(WEB1_MAC), "the machine is not forgotten");
    Ok(())
}
