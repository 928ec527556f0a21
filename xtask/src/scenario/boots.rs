//! Which machine gets which boot, on real firmware.

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::machine::Smbios;
use bootlace_lab::{Disk, Firmware, Machine};

use super::context::BOOT_LIMIT;
use super::stage::{Boot, Files};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "boot-linux-seabios",
        shows: "SeaBIOS and QEMU's iPXE boot a kernel with the arguments of their machine entry",
        run: |context| linux(context, Firmware::SeaBios),
    },
    Scenario {
        name: "boot-linux-ovmf",
        shows: "OVMF's own PXE loads the distribution's snponly.efi, which boots the same",
        run: |context| linux(context, Firmware::Ovmf),
    },
    Scenario {
        name: "boot-http-ovmf",
        shows: "OVMF's HTTP Boot fetches snponly.efi from the URL of its offer, which boots the same",
        run: |context| linux(context, Firmware::OvmfHttpBoot),
    },
    Scenario {
        name: "boot-by-rule",
        shows: "a machine that no entry names is asked what it is, and a rule decides",
        run: by_rule,
    },
    Scenario {
        name: "boot-unknown-seabios",
        shows: "a machine that nothing knows goes on to its disk: SeaBIOS with iPXE",
        run: |context| unknown(context, Firmware::SeaBios),
    },
    Scenario {
        name: "boot-unknown-ovmf",
        shows: "firmware that nothing knows gets no boot file and goes on to its disk: OVMF",
        run: |context| unknown(context, Firmware::Ovmf),
    },
    Scenario {
        name: "boot-two-at-once",
        shows: "two machines boot at the same time, each its own",
        run: two_at_once,
    },
    Scenario {
        name: "boot-rechain-seabios",
        shows: "a ROM that lacks what a boot needs is sent into a real undionly.kpxe, once",
        run: rechain,
    },
];

pub(super) const MAC: &str = "00:12:34:56:78:90";
const OTHER_MAC: &str = "00:11:22:33:44:55";
const CMDLINE: &str = "BOOTLACE-LAB cmdline:";
const DISK_SAYS: &str = "BOOTLACE-LAB local disk";

const LINUX: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }} role={{ vars.role }}"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
address = "10.188.0.61"
boot = "rescue"
vars = { role = "web" }
"#;

fn linux(context: &Context, firmware: Firmware) -> Result<()> {
    let files = Files::new(context, LINUX)?;
    let stage = files.put_linux("ip link set eth0 up\nudhcpc -i eth0 -n -q -f")?.serve()?;
    let mut boot = stage.switch_on(&Machine::new("web1", MAC, firmware))?;
    let line = boot.machine.console().line_from(CMDLINE, BOOT_LIMIT)?;
    context.note(&line);
    // A UEFI kernel finds its initrd by name, and iPXE gives it its own name first.
    let expected = match firmware {
        Firmware::SeaBios => format!("{CMDLINE} {ARGUMENTS}"),
        _ => {
            format!("{CMDLINE} vmlinuz initrd=initrd0.img {ARGUMENTS}")
        }
    };
    ensure!(line == expected, "the kernel was told something else than\n{expected}:\n{line}");
    let lease = boot.machine.console().line_from("BOOTLACE-LAB lease: bound", BOOT_LIMIT)?;
    context.note(&lease);
    ensure!(lease.contains("ip=10.188.0.61/"), "the system got another address than its firmware: {lease}");
    boot.machine.wait_off(BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}

const ARGUMENTS: &str = "console=ttyS0 hostname=web1 role=web";

const RULES: &str = r#"
[boot.racks]
kind = "ipxe"
script = """
echo BOOTLACE-LAB rack {{ client.serial }} at {{ client.ip }}
exit
"""
[boot.wrong]
kind = "ipxe"
script = """
echo BOOTLACE-LAB the wrong rule
exit
"""
[[rule]]
match = { manufacturer = "Lab" }
boot = "wrong"
[[rule]]
match = { manufacturer = "Lab & Sons", product = "Rack ?", serial = "!VMware*" }
boot = "racks"
[[rule]]
match = {}
boot = "wrong"
"#;

fn by_rule(context: &Context) -> Result<()> {
    let stage = Files::new(context, RULES)?.serve()?;
    let smbios = Smbios {
        manufacturer: Some("Lab & Sons".to_owned()),
        product: Some("Rack 7".to_owned()),
        serial: Some("L-42".to_owned()),
        ..Smbios::default()
    };
    let machine = Machine { smbios, ..Machine::new("rack", MAC, Firmware::SeaBios) };
    let boot = stage.switch_on(&machine)?;
    boot.machine.wait_for("BOOTLACE-LAB rack L-42 at 10.188.0.", BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)
}

fn unknown(context: &Context, firmware: Firmware) -> Result<()> {
    let stage = Files::new(context, "")?.serve()?;
    let boot = stage.switch_on(&with_disk(context, Machine::new("stranger", MAC, firmware))?)?;
    boot.machine.wait_for(DISK_SAYS, BOOT_LIMIT)?;
    context.note("booted from its disk");
    boot.went_as_foretold(&stage)
}

/// The machine with a disk that says so when it is booted.
pub(super) fn with_disk(context: &Context, machine: Machine) -> Result<Machine> {
    let path = context.dir().join(format!("{}-disk", machine.name));
    let disk = match machine.firmware {
        Firmware::SeaBios => Disk::that_says(DISK_SAYS, &path)?,
        _ => Disk::whose_shell_says(DISK_SAYS, &path)?,
    };
    Ok(Machine { disk: Some(disk), ..machine })
}

const TWO: &str = r#"
[boot.one]
kind = "ipxe"
script = """
echo BOOTLACE-LAB this is {{ machine.name }} at {{ machine.address }}
exit
"""
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
address = "10.188.0.61"
boot = "one"
[[machine]]
name = "web2"
mac = ["00:11:22:33:44:55"]
address = "10.188.0.62"
boot = "rescue"
"#;

fn two_at_once(context: &Context) -> Result<()> {
    let stage = Files::new(context, TWO)?.put_linux("")?.serve()?;
    let first = stage.switch_on(&Machine::new("web1", MAC, Firmware::SeaBios))?;
    let second = stage.switch_on(&Machine::new("web2", OTHER_MAC, Firmware::SeaBios))?;
    first.machine.wait_for("BOOTLACE-LAB this is web1 at 10.188.0.61", BOOT_LIMIT)?;
    context.note("web1 has its script");
    let line = second.machine.console().line_from(CMDLINE, BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.ends_with("hostname=web2"), "web2 booted something else: {line}");
    [first, second].iter().try_for_each(|boot: &Boot| boot.went_as_foretold(&stage))
}

/// QEMU's ROM has no https; neither has undionly.kpxe, which is the point of sending it there only once.
const NEEDS: &str = r#"
[boot.secure]
kind = "ipxe"
needs = ["https"]
script = """
echo BOOTLACE-LAB iPXE on ${net0/chip} runs the script
exit
"""
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
boot = "secure"
"#;

fn rechain(context: &Context) -> Result<()> {
    let stage = Files::new(context, NEEDS)?.serve()?;
    let boot = stage.switch_on(&Machine::new("web1", MAC, Firmware::SeaBios))?;
    let line = boot.machine.console().line_from("BOOTLACE-LAB iPXE on", BOOT_LIMIT)?;
    context.note(&line);
    let chip = line.split_whitespace().nth(3).context("the script names the chip")?;
    ensure!(chip == "UNDI" || chip == "undionly", "the ROM ran the script itself: {line}");
    boot.went_as_foretold(&stage)
}
