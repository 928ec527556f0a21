//! `cargo xtask fuzz`: the properties of the decoders and readers against hostile input.
//!
//! With cargo-fuzz and a nightly compiler, libFuzzer looks for inputs that reach new code. Without them the mutator of
//! this project damages good inputs, the same way for the same seed; that is what the long proof does.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::gate;
use crate::project::Project;

/// What is fuzzed: a file in `fuzz/fuzz_targets`, and a test of the same name among the `mutants` of a crate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    package: &'static str,
}

pub(crate) const TARGETS: [Target; 15] = [
    Target::of_wire("dhcp_decode"),
    Target::of_wire("ipxe_options"),
    Target::of_wire("frame_parse"),
    Target::of_wire("arp_reply"),
    Target::of_wire("ndp_solicitor"),
    Target::of_wire("tftp_packet"),
    Target::of_wire("tftp_transfer"),
    Target::of_wire("http_request"),
    Target::of_wire("scsi_cdb"),
    Target::of_wire("iscsi_pdu"),
    Target { name: "script_query", package: "bootlace-core" },
    Target { name: "config_reader", package: "bootlace-core" },
    Target { name: "iso_image", package: "bootlace-iso" },
    Target { name: "overlay_map", package: "bootlace-disk" },
    Target { name: "probe_client", package: "bootlace-probe" },
];
/// What the tests use, too.
pub(crate) const SEED: u64 = 0x626f_6f74;
/// libFuzzer makes longer inputs only by chance; the mutator has the same limit.
const INPUT_BYTES_MAX: u32 = 8192;
const INSTALL: &str =
    "rustup toolchain install nightly --profile minimal && cargo install cargo-fuzz --locked";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// One of them instead of all
    target: Option<String>,
    /// Inputs of each target
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    inputs: u64,
    /// The same seed makes the same inputs
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Mutants of good inputs even where cargo-fuzz is installed
    #[arg(long)]
    mutants: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let targets = chosen(arguments.target.as_deref())?;
    let guided = !arguments.mutants && is_installed();
    if !guided && !arguments.mutants {
        println!("without cargo-fuzz and nightly, mutants of good inputs; for guided fuzzing: {INSTALL}");
    }
    for target in targets {
        println!("---- {}: {} inputs of seed {:#x}", target.name, arguments.inputs, arguments.seed);
        if guided {
            target.guided(project, arguments.inputs, arguments.seed)?;
        } else {
            target.mutants(project, arguments.inputs, arguments.seed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(name: Option<&str>) -> Result<Vec<Target>> {
    let Some(name) = name else { return Ok(TARGETS.to_vec()) };
    let found: Vec<Target> = TARGETS.into_iter().filter(|target| target.name == name).collect();
    if found.is_empty() {
        bail!("no target is called {name}; there are: {}", TARGETS.map(|target| target.name).join(", "));
    }
    Ok(found)
}

fn is_installed() -> bool {
    let works = |arguments: &[&str]| {
        Command::new("cargo").args(arguments).output().is_ok_and(|output| output.status.success())
    };
    works(&["+nightly", "--version"]) && works(&["fuzz", "--version"])
}

impl Target {
    const fn of_wire(name: &'static str) -> Self {
        Self { name, package: "bootlace-wire" }
    }

    /// The property against so many mutants of good inputs, with all checks of the compiler.
    pub(crate) fn mutants(self, project: &Project, inputs: u64, seed: u64) -> Result<()> {
        let inputs = inputs.to_string();
        self.test(project, &[("BOOTLACE_MUTANTS", &inputs), ("BOOTLACE_SEED", &seed.to_string())])
    }

    /// libFuzzer, from the same good inputs on and from what it found before.
    fn guided(self, project: &Project, inputs: u64, seed: u64) -> Result<()> {
        let corpus = project.root().join("fuzz/corpus").join(self.name);
        let folder = corpus.to_str().context("the project's path is not UTF-8")?;
        self.test(project, &[("BOOTLACE_CORPUS", folder)])?;
        let mut cargo = gate::cargo_command(project, &["+nightly", "fuzz", "run", self.name, "--"]);
        // libFuzzer's seeds have 32 bits, and 0 means any.
        let seed = (seed % u64::from(u32::MAX)).max(1);
        cargo.arg(format!("-runs={inputs}")).arg(format!("-seed={seed}"));
        gate::run_cargo(cargo.arg(format!("-max_len={INPUT_BYTES_MAX}")))
    }

    fn test(self, project: &Project, variables: &[(&str, &str)]) -> Result<()> {
        let build = ["test", "--quiet", "--profile", "fuzz", "--locked", "--package", self.package];
        let mut cargo = gate::cargo_command(project, &build);
        cargo.args(["--test", "it", "--", "--exact", &format!("mutants::{}", self.name), "--nocapture"]);
        gate::run_cargo(cargo.envs(variables.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A test that does not exist would pass with no input at all.
    #[test]
    fn each_target_is_there_for_both_engines() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = fs::read_dir(root.join("fuzz/fuzz_targets")).unwrap();
        let files: BTreeSet<String> = files
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let named: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!(files, named);
        let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
        for Target { name, package } in TARGETS {
            let folder = package.strip_prefix("bootlace-").unwrap();
            let tests = root.join("crates").join(folder).join("tests/it/mutants.rs");
            let tests = fs::read_to_string(tests).unwrap();
            assert!(tests.contains(&format!("#[test]\nfn {name}() {{")), "{name}");
            assert!(
                manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")),
                "{name}"
            );
        }
    }

    #[test]
    fn a_wrong_name_is_told_the_right_ones() {
        assert_eq!(chosen(None).unwrap().len(), TARGETS.len());
        assert_eq!(chosen(Some("dhcp_decode")).unwrap().len(), 1);
        assert!(chosen(Some("dhcp")).unwrap_err().to_string().contains("dhcp_decode, "));
    }
}
