//! Machines with disks of the server's.

use std::fs;

use anyhow::{Result, ensure};
use bootlace_lab::{Disk, Firmware, Machine};

use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::stage::{Boot, Files, Stage};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "disk-own",
    shows: "two machines boot from one image and write to it, one keeps that and one is reset, also over a kill and a restart of the server",
    run: own,
}];

const NETWORK: &str = r#"
images = "images"
[dhcp]
mode = "server"
authoritative = true
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]
"#;
const BOOTS: &str = r#"
[boot.kept]
kind = "disk"
image = "golden"
[boot.fresh]
kind = "disk"
image = "golden"
mode = "reset"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "kept"
[[machine]]
name = "web2"
mac = ["52:54:00:12:34:58"]
boot = "fresh"
"#;
const SAYS: &str = "BOOTLACE-LAB starts: ";

fn own(context: &Context) -> Result<()> {
    let images = context.dir().join("images");
    fs::create_dir(&images)?;
    let image = images.join("golden.img");
    Disk::that_counts(SAYS, &image)?;
    let before = fs::read(&image)?;
    let mut stage = Files::on(context, NETWORK, BOOTS)?.serve()?;
    let machine =
        |name: &str, last: u8| Machine::new(name, &format!("52:54:00:12:34:{last}"), Firmware::SeaBios);
    let (web1, web2) = (machine("web1", 57), machine("web2", 58));
    // The script that waits for the image would not be as foretold.
    stage.server.log().wait_for("sha256", STEP_LIMIT)?;
    let boots = [stage.switch_on(&web1)?, stage.switch_on(&web2)?];
    starts(&stage, &boots, [1, 1])?;
    drop(boots);
    // Neither machine has flushed anything: iPXE never does.
    stage.server.kill()?;
    stage.server.revive()?;
    let boots = [stage.switch_on(&web1)?, stage.switch_on(&web2)?];
    starts(&stage, &boots, [2, 1])?;
    drop(boots);
    stage.server.end()?;
    stage.server.revive()?;
    starts(&stage, &[stage.switch_on(&web1)?, stage.switch_on(&web2)?], [3, 1])?;
    ensure!(fs::read(&image)? == before, "somebody wrote into the image");
    Ok(())
}

/// Waits until both have started from their disks, for how many times in all.
fn starts(stage: &Stage<'_>, boots: &[Boot; 2], counts: [u8; 2]) -> Result<()> {
    for (boot, count) in boots.iter().zip(counts) {
        let line = boot.machine.console().line_from(SAYS, BOOT_LIMIT)?;
        stage.context.note(&format!("{}: {line}", boot.mac));
        ensure!(line.trim_end().ends_with(&format!("{SAYS}{count}")), "{line} instead of {count}");
        boot.went_as_foretold(stage)?;
    }
    Ok(())
}
