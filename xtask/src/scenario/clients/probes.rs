//! Who is on an address before it is offered for the first time.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use bootlace_lab::Lan;

use super::rawdhcp::{ACK, OFFER, Packet, RawDhcp, mac_text};
use super::served::Served;
use super::{Context, context::STEP_LIMIT};

const CONFIG: &str = "
[dhcp]
mode = \"server\"
[[dhcp.subnet]]
subnet = \"10.188.0.0/24\"
ranges = [\"10.188.0.20-10.188.0.250\"]
";
/// One station speaks for all of the storm: they are to have no more than half of the addresses.
const WIDE: &str = "
[dhcp]
mode = \"server\"
[[dhcp.subnet]]
subnet = \"10.188.0.0/23\"
ranges = [\"10.188.0.20-10.188.1.250\"]
";
const TAKEN: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 60);
const NEWCOMERS: u8 = 200;

pub(super) fn conflict(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let squatter = lan.host("squatter", &format!("{TAKEN}/24"))?;
    let client = lan.client("client")?;
    let server = Served::start(context, &lan, CONFIG)?;
    // Two who wish for the address that somebody has, so that a probe decides, whatever was foreseen.
    let raw = RawDhcp::open(client.namespace())?;
    let mut given = BTreeSet::new();
    for machine in 1..=2 {
        let wish = Packet::discover([2, 0, 0, 0, 1, machine], machine.into()).with(50, &TAKEN.octets());
        let ack = raw.lease(&wish)?;
        ensure!(ack.kind == ACK && ack.address != TAKEN, "{machine} got {}", ack.address);
        ensure!(given.insert(ack.address), "{} twice", ack.address);
    }
    let seen = mac_text(squatter.mac().0);
    // Probes of the start may find it before the server says that it is ready.
    let line = server.log().any_line_from("address-in-use", STEP_LIMIT)?;
    ensure!(line.contains(&seen) && line.contains(&TAKEN.to_string()), "not who has it: {line}");
    let leases = server.ask_json("leases")?;
    let conflict = leases.iter().find(|lease| lease["state"] == "conflict");
    ensure!(conflict.is_some_and(|lease| lease["mac"] == seen), "no conflict in {leases:?}");
    context.note("the address of a static host is offered to nobody");

    let own = RawDhcp::open(squatter.namespace())?.lease(&Packet::discover(squatter.mac().0, 9))?;
    ensure!(own.address == TAKEN, "the static host got {}", own.address);
    context.note("but to itself");
    Ok(())
}

/// Right after the start nothing is proven yet, so that all of them wait for the same probes.
pub(super) fn storm(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let client = lan.client("client")?;
    let raw = RawDhcp::open(client.namespace())?;
    let server = Served::start_on(context, lan.host("server", "10.188.0.10/23")?, WIDE, &[])?;
    let newcomers: Vec<Packet> = (0..NEWCOMERS)
        .map(|machine| Packet::discover([2, 0, 0, 0, 2, machine], u32::from(machine) + 1))
        .collect();
    newcomers.iter().try_for_each(|discover| raw.send(discover))?;
    let mut offered = BTreeSet::new();
    let mut served = BTreeSet::new();
    while let Some(reply) = raw.receive()? {
        ensure!(reply.kind == OFFER, "{reply:?}");
        served.insert(reply.mac);
        ensure!(offered.insert(reply.address), "{} twice", reply.address);
        if served.len() == usize::from(NEWCOMERS) {
            break;
        }
    }
    ensure!(served.len() == usize::from(NEWCOMERS), "{} of {NEWCOMERS} got an offer", served.len());
    ensure!(offered.len() == usize::from(NEWCOMERS), "{} addresses", offered.len());
    context.note(&format!("{NEWCOMERS} newcomers at once, an address each"));
    drop(server);
    Ok(())
}
