//! Machines that nobody knows.

use anyhow::{Result, ensure};
use bootlace_lab::{Firmware, Machine};

use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::stage::Files;
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "adopt",
    shows: "an unknown machine waits on its screen, and boots when it is adopted, also after a power cut",
    run: adopt,
}];

const MAC: &str = "52:54:00:12:34:58";
const CONFIG: &str = r#"
[boot.unknown]
kind = "wait"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[[rule]]
match = { mac = "52:54:00:*" }
boot = "unknown"
"#;

fn adopt(context: &Context) -> Result<()> {
    let mut stage = Files::new(context, CONFIG)?.put_linux("")?.serve()?;
    let machine = Machine::new("web9", MAC, Firmware::SeaBios);
    let boot = stage.switch_on(&machine)?;
    boot.machine.wait_for(&format!("bootlace machines adopt {MAC} NAME"), BOOT_LIMIT)?;
    boot.went_as_foretold(&stage)?;
    let told = stage.server.ask(&["machines", "adopt", MAC, "web9", "--boot", "rescue"])?;
    ensure!(told == format!("{MAC} is web9\n"), "it says {told:?}");
    stage.server.log().wait_for("reloaded: changed", STEP_LIMIT)?;
    let line = boot.machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.ends_with("hostname=web9"), "{line}");
    drop(boot);
    stage.server.kill()?;
    stage.server.revive()?;
    let boot = stage.switch_on(&machine)?;
    let line = boot.machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    ensure!(line.ends_with("hostname=web9"), "{line}");
    boot.went_as_foretold(&stage)
}
