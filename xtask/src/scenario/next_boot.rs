//! What a machine boots once.

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Firmware, Machine};

use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::stage::{Files, Stage, WEB1, WEB1_MAC, web1_boots};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "next-boot",
    shows: "a machine boots once what it was armed for, across power cuts of the server, and then as usual",
    run: next_boot,
}];

const ONCE: &str = r#"
[boot.once]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 once=yes"
"#;

fn next_boot(context: &Context) -> Result<()> {
    let mut stage = Files::new(context, &format!("{WEB1}{ONCE}"))?.put_linux("")?.serve()?;
    let machine = Machine::new("web1", WEB1_MAC, Firmware::SeaBios);
    let told = stage.server.ask(&["machines", "next-boot", "web1", "once", "--expires", "2h"])?;
    ensure!(told == "web1 boots once once\n", "it says {told:?}");
    stage.server.kill()?;
    stage.server.revive()?;
    ensure!(state(&stage)? == "armed", "it was forgotten");
    let boot = stage.switch_on(&machine)?;
    let line = boot.machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.ends_with("once=yes"), "it booted something else: {line}");
    stage.server.log().wait_for("one-shot done", STEP_LIMIT)?;
    boot.went_as_foretold(&stage)?;
    drop(boot);
    stage.server.kill()?;
    stage.server.revive()?;
    let boot = stage.switch_on(&machine)?;
    web1_boots(context, &boot.machine)?;
    boot.went_as_foretold(&stage)?;
    ensure!(state(&stage)? == "done", "it is {}", state(&stage)?);
    let told = stage.server.ask(&["machines", "next-boot", "web1", "--cancel"])?;
    ensure!(told == "web1 boots as usual\n", "it says {told:?}");
    Ok(())
}

/// How far the one-shot of web1 is.
fn state(stage: &Stage<'_>) -> Result<String> {
    let machines = stage.server.ask_json("machines")?;
    let web1 = machines.iter().find(|machine| machine["name"] == "web1").context("web1 is not there")?;
    let state = web1["next_boot"]["state"].as_str();
    Ok(state.context("nothing is armed")?.to_owned())
}
