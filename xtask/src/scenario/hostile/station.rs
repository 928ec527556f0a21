//! One station that takes addresses for machines that it makes up.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::Lan;

use super::Context;
use super::rawdhcp::{ACK, OFFER, Packet, RawDhcp, Reply};
use super::served::Served;

/// Forty addresses; none is asked for by ARP, so that all answers come in the order of the questions.
const CONFIG: &str = "[dhcp]\nmode = \"server\"\nprobe = false\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\n\
    ranges = [\"10.188.0.60-10.188.0.99\"]\n\
    [[machine]]\nname = \"web1\"\nmac = \"52:54:00:00:00:77\"\naddress = \"10.188.0.200\"\n";
const WEB1: [u8; 6] = [0x52, 0x54, 0, 0, 0, 0x77];
const MADE_UP: u8 = 60;
/// Half of the addresses, from which on a quarter of all is the most that such machines get.
const TAKEN_MAX: usize = 20;
const REAL: [&str; 3] = ["real1", "real2", "real3"];

pub(super) fn station(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let server = Served::start(context, &lan, CONFIG)?;
    let crowd = lan.client("crowd")?;
    let raw = RawDhcp::open(crowd.namespace())?;
    let mut taken = Vec::new();
    for number in 0..MADE_UP {
        let discover = Packet::discover([2, 0, 0, 0, 9, number], u32::from(number) + 1);
        let Some(offer) = answer(&raw, &discover)?.filter(|reply| reply.kind == OFFER) else { continue };
        taken.extend(answer(&raw, &Packet::request(&offer))?.filter(|reply| reply.kind == ACK));
    }
    context.note(&format!("one station took {} of 40 addresses for {MADE_UP} machines", taken.len()));
    ensure!(
        (TAKEN_MAX / 2..=TAKEN_MAX).contains(&taken.len()),
        "that is not what there is for such a station"
    );
    let counters = server.ask_json("counters")?;
    let counted = counters.iter().find(|counter| counter["name"] == "dhcp-spoken-for");
    let count = counted.context("no such counter")?["value"].as_u64().unwrap_or(0);
    ensure!(count == u64::from(MADE_UP) - taken.len() as u64, "{count} were turned away");
    for name in REAL {
        let real = lan.client(name)?;
        let ack = RawDhcp::open(real.namespace())?.lease(&Packet::discover(real.mac().0, 0x7000))?;
        context.note(&format!("{name} has {}", ack.address));
    }
    Ok(())
}

/// What is answered to a packet, if anything: behind it asks a machine that is always answered. It asks twice, since the
/// answers to what came at once leave in any order.
fn answer(raw: &RawDhcp, packet: &Packet) -> Result<Option<Reply>> {
    raw.send(packet)?;
    let mut answer = None;
    for xid in [1, 2].map(|turn| packet.xid << 2 | turn) {
        raw.send(&Packet::discover(WEB1, xid))?;
        loop {
            let reply = raw.receive()?.context("nobody answers")?;
            if (reply.mac, reply.xid) == (WEB1, xid) {
                ensure!(
                    reply.address == Ipv4Addr::new(10, 188, 0, 200),
                    "web1 was offered {}",
                    reply.address
                );
                break;
            }
            if reply.mac == packet.mac {
                answer = Some(reply);
            }
        }
    }
    Ok(answer)
}
