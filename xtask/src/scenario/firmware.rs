//! UEFI of processors for which no distribution's loader is at hand: what they ask for, and that they start what is offered.

use std::fs;

use anyhow::Result;
use bootlace_lab::efi::{Processor, that_says};
use bootlace_lab::{Firmware, Machine};

use super::boots::MAC;
use super::context::BOOT_LIMIT;
use super::stage::Files;
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "boot-uefi-ia32",
        shows: "the PXE of a 32-bit OVMF starts the loader that its machine entry names",
        run: |context| starts(context, Firmware::Ovmf32, Processor::Ia32),
    },
    Scenario {
        name: "boot-uefi-arm64",
        shows: "the same with EDK2 for 64-bit ARM",
        run: |context| starts(context, Firmware::Aavmf, Processor::Arm64),
    },
    Scenario {
        name: "boot-http-arm64",
        shows: "its HTTP Boot starts the program that is the boot itself",
        run: |context| starts(context, Firmware::AavmfHttpBoot, Processor::Arm64),
    },
];

const SAYS: &str = "BOOTLACE-LAB program started";
/// Its boot is the program. By PXE it needs a loader named, since there is no other for its processor.
const MACHINE: &str = r#"
[boot.program]
kind = "efi"
file = "own.efi"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
address = "10.188.0.61"
boot = "program"
"#;

fn starts(context: &Context, firmware: Firmware, processor: Processor) -> Result<()> {
    let loader = if firmware == Firmware::AavmfHttpBoot { "" } else { "loader = \"own.efi\"\n" };
    let files = Files::new(context, &format!("{MACHINE}{loader}"))?;
    fs::write(context.dir().join("boot/own.efi"), that_says(processor, SAYS))?;
    let stage = files.serve()?;
    let boot = stage.switch_on(&Machine::new("web1", MAC, firmware))?;
    boot.machine.wait_for(SAYS, BOOT_LIMIT)?;
    context.note("the program runs");
    boot.went_as_foretold(&stage)
}
