//! Hostile input by the million.

use anyhow::{Context as _, Result};

use super::{Context, Scenario};
use crate::fuzz::{SEED, TARGETS};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "fuzz-long",
    shows: "ten million mutants of good input for every decoder and reader break no property",
    run: fuzz_long,
}];

const INPUTS: u64 = 10_000_000;

fn fuzz_long(context: &Context) -> Result<()> {
    for target in TARGETS {
        target.mutants(context.project(), INPUTS, SEED).context(target.name)?;
        context.note(&format!("{}: {INPUTS} inputs of seed {SEED:#x}", target.name));
    }
    Ok(())
}
