//! What `bootlace explain` foretells of a machine, held against what the journal shows after its boot.

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::firmware::Rom;
use bootlace_lab::{Firmware, Machine};
use serde::Deserialize;
use serde_json::Value;

use super::served::Served;

/// QEMU's words where a machine says nothing else.
const QEMU_MANUFACTURER: &str = "QEMU";
const QEMU_PRODUCT: &str = "Standard PC (Q35 + ICH9, 2009)";

/// What is to come.
#[derive(Debug)]
pub(super) struct Foretold {
    steps: Vec<Step>,
    /// Boots of the machine that were over by then.
    before: usize,
}

impl Foretold {
    /// Whether a file of this name will be asked for.
    pub(super) fn fetches(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.get("name").is_some_and(|fetched| fetched == name))
    }
}

/// A step as both commands print it: compared whole, so that no field can be forgotten.
type Step = serde_json::Map<String, Value>;

/// The part of `explain --json` and of `boots N --json` that is the same.
#[derive(Debug, Deserialize)]
struct Steps {
    steps: Vec<Step>,
}

/// One of `boots --json`.
#[derive(Debug, Deserialize)]
struct Listed {
    session: u64,
}

/// Asks `explain` about a machine that has not been switched on yet, and at which somebody will pick this from a
/// menu.
pub(super) fn foretell(server: &Served, machine: &Machine, pick: Option<&str>) -> Result<Foretold> {
    let mut arguments = vec!["explain", "--json", "--mac", &machine.mac];
    let mut settings = reported(machine);
    match machine.firmware {
        Firmware::SeaBios => {
            arguments.extend(["--firmware", "bios"]);
            if machine.rom == Rom::ByFirmware {
                settings.push("loader=ipxe".to_owned());
            }
        }
        Firmware::OvmfHttpBoot => arguments.extend(["--firmware", "http-x64"]),
        Firmware::Ovmf32 => arguments.extend(["--firmware", "uefi-ia32"]),
        Firmware::Aavmf => arguments.extend(["--firmware", "uefi-arm64"]),
        Firmware::AavmfHttpBoot => arguments.extend(["--firmware", "http-arm64"]),
        Firmware::Ovmf | Firmware::OvmfSecureBoot => arguments.extend(["--firmware", "uefi-x64"]),
    }
    arguments.extend(pick.into_iter().flat_map(|pick| ["--pick", pick]));
    for setting in &settings {
        arguments.extend(["--set", setting]);
    }
    let Steps { steps } = serde_json::from_str(&server.ask(&arguments)?).context("explain --json")?;
    ensure!(!steps.is_empty(), "nothing is foretold of {}", machine.name);
    Ok(Foretold { steps, before: listed(server, &machine.mac)?.len() })
}

/// What a machine says of itself, as KEY=VALUE.
fn reported(machine: &Machine) -> Vec<String> {
    let smbios = &machine.smbios;
    let or = |text: &Option<String>, default: &str| Some(text.clone().unwrap_or_else(|| default.to_owned()));
    let facts = [
        ("manufacturer", or(&smbios.manufacturer, QEMU_MANUFACTURER)),
        ("product", or(&smbios.product, QEMU_PRODUCT)),
        ("serial", smbios.serial.clone()),
        ("uuid", smbios.uuid.clone()),
        ("asset", smbios.asset.clone()),
    ];
    facts.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?))).collect()
}

/// The machine has booted once since then, and the journal has the steps that were foretold, in their order. What its
/// operating system asks afterwards is left out: `explain` cannot look into it.
pub(super) fn hold(server: &Served, mac: &str, foretold: &Foretold) -> Result<()> {
    let happened = happened(server, mac, foretold.before)?;
    ensure!(
        happened == foretold.steps,
        "the journal differs from what explain foretold:\n{}",
        side_by_side(&foretold.steps, &happened)
    );
    Ok(())
}

/// The machine has begun what was foretold, and ended before its end: a firmware may refuse what it is sent. Says what
/// kind of step was its last. That the firmware then goes on with its HTTP Boot, sooner or later, does not count.
pub(super) fn hold_beginning(server: &Served, mac: &str, foretold: &Foretold) -> Result<String> {
    let mut happened = happened(server, mac, foretold.before)?;
    let goes_on = |step: &Step| step.get("client").is_some_and(|client| client == "http-boot");
    happened.truncate(happened.iter().position(goes_on).unwrap_or(happened.len()));
    let begins = foretold.steps.starts_with(&happened) && happened.len() < foretold.steps.len();
    let last = happened.last().and_then(|step| step.get("step")).and_then(Value::as_str);
    match last {
        Some(last) if begins => Ok(last.to_owned()),
        _ => bail!(
            "the journal is no beginning of what explain foretold:\n{}",
            side_by_side(&foretold.steps, &happened)
        ),
    }
}

/// The steps of the machine's boot since then, without its operating system's.
fn happened(server: &Served, mac: &str, before: usize) -> Result<Vec<Step>> {
    let listed = listed(server, mac)?;
    let count = listed.len();
    ensure!(count == before + 1, "the journal has {count} boots of {mac} instead of {}", before + 1);
    let newest = listed.iter().map(|boot| boot.session).max().unwrap_or_default().to_string();
    let Steps { steps } =
        serde_json::from_str(&server.ask(&["boots", &newest, "--json"])?).context("boots N --json")?;
    Ok(steps.into_iter().filter(|step| !is_of_system(step)).collect())
}

fn listed(server: &Served, mac: &str) -> Result<Vec<Listed>> {
    serde_json::from_str(&server.ask(&["boots", "--json", "--mac", mac])?).context("boots --json")
}

fn is_of_system(step: &Step) -> bool {
    let of_installer = |name: &Value| {
        name.as_str().is_some_and(|name| name.starts_with("answer/") || name.starts_with("done/"))
    };
    step.get("client").is_some_and(|client| client == "os") || step.get("name").is_some_and(of_installer)
}

/// Both lists, one step in a line, with a mark where they differ.
fn side_by_side(foretold: &[Step], happened: &[Step]) -> String {
    const WIDTH: usize = 76;
    let words = |steps: &[Step], at: usize| steps.get(at).map(in_words).unwrap_or_default();
    let line = |at: usize| {
        let mark = if foretold.get(at) == happened.get(at) { ' ' } else { '!' };
        format!("{mark} {:WIDTH$} | {}\n", words(foretold, at), words(happened, at))
    };
    let head = format!("  {:WIDTH$} | in the journal\n", "foretold");
    let lines: String = (0..foretold.len().max(happened.len())).map(line).collect();
    head + &lines
}

fn in_words(step: &Step) -> String {
    let kind = step.get("step").and_then(Value::as_str).unwrap_or("?");
    let rest = step.iter().filter(|(key, _)| *key != "step").map(|(key, value)| match value {
        Value::String(text) => format!(" {key}={text}"),
        other => format!(" {key}={other}"),
    });
    kind.chars().chain(rest.collect::<String>().chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> Step {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_difference_is_marked() {
        let lease = step(r#"{"step": "lease", "client": "ipxe", "address": "10.188.0.61"}"#);
        let file = step(r#"{"step": "file", "name": "vmlinuz"}"#);
        let shown = side_by_side(&[lease.clone(), file], &[lease]);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].starts_with("  lease"), "{shown}");
        assert!(lines[1].ends_with("lease address=10.188.0.61 client=ipxe"), "{shown}");
        assert!(lines[2].starts_with("! file name=vmlinuz") && lines[2].ends_with("| "), "{shown}");
    }

    #[test]
    fn an_operating_system_is_no_part_of_a_boot() {
        assert!(is_of_system(&step(r#"{"step": "lease", "client": "os"}"#)));
        assert!(!is_of_system(&step(r#"{"step": "lease", "client": "ipxe"}"#)));
    }
}
