//! DHCP.

mod boot;
mod frame;
mod hostile;
mod leases;
mod offers;
mod relay;
mod requests;
mod servers;
mod world;

use anyhow::Result;

use super::{Check, Choice, Context, Subject, Verdict, check};
use world::World;

/// In the order of the page. The last ones cut the server's power.
const GROUPS: [&[Check<World>]; 6] =
    [offers::CHECKS, requests::CHECKS, boot::CHECKS, relay::CHECKS, hostile::CHECKS, leases::CHECKS];

pub(super) fn checks() -> impl Iterator<Item = &'static Check<World>> {
    const { &GROUPS }.iter().copied().flatten()
}

pub(super) fn run(context: &Context, subject: Subject, choice: &Choice) -> Result<Vec<Verdict>> {
    let mut world = World::start(context, subject)?;
    check::run_all(context, subject, choice, &mut world, checks())
}
