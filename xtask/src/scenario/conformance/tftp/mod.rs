//! TFTP.

mod blocks;
mod names;
mod options;
mod world;

use anyhow::Result;

use super::{Check, Choice, Context, Subject, Verdict, check};
use world::World;

/// In the order of the page.
const GROUPS: [&[Check<World>]; 3] = [blocks::CHECKS, options::CHECKS, names::CHECKS];

pub(super) fn checks() -> impl Iterator<Item = &'static Check<World>> {
    const { &GROUPS }.iter().copied().flatten()
}

pub(super) fn run(context: &Context, subject: Subject, choice: &Choice) -> Result<Vec<Verdict>> {
    let mut world = World::start(context, subject)?;
    check::run_all(context, subject, choice, &mut world, checks())
}
