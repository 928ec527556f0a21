//! What was acknowledged is on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::Lan;

use super::Context;
use super::programs::Client;
use super::rawdhcp::{ACK, OFFER, Packet, RawDhcp, Reply, mac_text};
use super::served::{SUBNET, Served};

/// Machines that want an address at once. More than one batch of the server.
const MACHINES: u16 = 500;
/// ACKs that have come when the power goes; the rest is under way.
const ACKS_BEFORE_CUT: usize = 300;
const LARGE_SUBNET: &str = "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/21\"\n\
    ranges = [\"10.188.1.0-10.188.7.250\"]\n";

pub(super) fn power_cut(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let host = lan.host("server", "10.188.0.10/21")?;
    let mut server = Served::start_on(context, host, LARGE_SUBNET, &[])?;
    let client = lan.client("crowd")?;
    let raw = RawDhcp::open(client.namespace())?;

    let mut offers = Vec::new();
    let acks = storm(&raw, &mut offers)?;
    server.kill()?;
    context.note(&format!("{} acknowledged, power cut", acks.len()));
    let acks = with_late(&raw, acks)?;
    server.revive()?;

    let held = held(&server)?;
    for (mac, address) in &acks {
        let holder = held.get(address).map(String::as_str);
        ensure!(
            holder == Some(&mac_text(*mac)),
            "{address} was promised to {} but is {holder:?}'s",
            mac_text(*mac)
        );
    }
    context.note(&format!("all of {} are leased after it", acks.len()));

    // Everybody asks anew, those without an ACK first: nobody gets another's address, and each keeps its own.
    let (late, early): (Vec<_>, Vec<_>) = (0..MACHINES).map(mac_of).partition(|mac| !acks.contains_key(mac));
    let mut holders: BTreeMap<Ipv4Addr, [u8; 6]> = acks.iter().map(|(mac, ip)| (*ip, *mac)).collect();
    for mac in late.into_iter().chain(early) {
        let ack = raw.lease(&Packet::discover(mac, 0xcafe))?;
        let before = holders.insert(ack.address, mac);
        ensure!(before.is_none_or(|holder| holder == mac), "{} has two holders", ack.address);
        let promised = acks.get(&mac);
        ensure!(promised.is_none_or(|ip| *ip == ack.address), "{} lost {promised:?}", mac_text(mac));
    }
    context.note("and stay with their machines");

    // An offer that was made before a restart is good after it.
    let newcomer = Packet::discover([2, 0, 0, 1, 0, 0], 1);
    let offer = raw.exchange(&newcomer)?;
    server.kill()?;
    server.revive()?;
    let ack = raw.exchange(&Packet::request(&offer))?;
    ensure!((ack.kind, ack.address) == (ACK, offer.address), "the offer {offer:?} became {ack:?}");
    context.note("a restart between OFFER and REQUEST");
    Ok(())
}

/// All machines ask at once, until enough of them have their ACK.
fn storm(raw: &RawDhcp, offers: &mut Vec<Reply>) -> Result<BTreeMap<[u8; 6], Ipv4Addr>> {
    let mut acks = BTreeMap::new();
    let mut next = 0..MACHINES;
    // So many questions in flight fill batches, and no socket buffer.
    for index in next.by_ref().take(64) {
        raw.send(&Packet::discover(mac_of(index), index.into()))?;
    }
    while acks.len() < ACKS_BEFORE_CUT {
        let reply = raw.receive()?.context("the server went silent")?;
        match reply.kind {
            OFFER => {
                raw.send(&Packet::request(&reply))?;
                offers.push(reply);
            }
            ACK => {
                acks.insert(reply.mac, reply.address);
                if let Some(index) = next.next() {
                    raw.send(&Packet::discover(mac_of(index), index.into()))?;
                }
            }
            _ => anyhow::bail!("refused: {reply:?}"),
        }
    }
    Ok(acks)
}

/// ACKs that were on the wire when the power went count as well.
fn with_late(raw: &RawDhcp, mut acks: BTreeMap<[u8; 6], Ipv4Addr>) -> Result<BTreeMap<[u8; 6], Ipv4Addr>> {
    while let Some(reply) = raw.receive()? {
        if reply.kind == ACK {
            acks.insert(reply.mac, reply.address);
        }
    }
    Ok(acks)
}

pub(super) fn held(server: &Served) -> Result<BTreeMap<Ipv4Addr, String>> {
    let leases = server.ask_json("leases")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let bound = leases.iter().filter(|lease| lease["state"] == "bound");
    bound.map(|lease| Ok((text(&lease["address"]).parse()?, text(&lease["mac"])))).collect()
}

pub(super) fn mac_of(index: u16) -> [u8; 6] {
    let [high, low] = index.to_be_bytes();
    [2, 0, 0, 0, high, low]
}

/// A lease's way through the kernel, in the order of strace's lines.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Sync,
    Send,
}

pub(super) fn sync_before_ack(context: &Context) -> Result<()> {
    let trace = context.dir().join("strace");
    let calls = "trace=fsync,fdatasync,sync_file_range,sendmsg,sendmmsg,sendto";
    let wrapper = ["strace", "-f", "-y", "-e", calls, "-o", trace.to_str().context("a path in UTF-8")?];
    let lan = Lan::new()?;
    let config = format!("[dhcp]\nmode = \"server\"\n{SUBNET}");
    let server = Served::start_under(context, &lan, &config, &wrapper)?;
    let at_start = fs::read_to_string(&trace)?.len();
    let host = lan.client("client")?;
    Client::new(context, &host)?.udhcpc(&[])?.context("udhcpc got nothing")?;
    // udhcpc has its ACK, so all that led to it is in the file.
    let text = fs::read_to_string(&trace)?;
    let lines: Vec<&str> = text[at_start..].lines().collect();
    let dhcp_thread = thread_of(&lines).context("no DHCP answer in the trace")?;
    let of_thread = lines.iter().filter(|line| line.starts_with(dhcp_thread));
    let mut calls: Vec<Call> = of_thread.filter_map(call).collect();
    // A slow computer makes udhcpc ask again, and a sync may take two calls.
    calls.dedup();
    context.note(&format!("{calls:?}"));
    ensure!(calls.starts_with(&[Call::Send, Call::Sync, Call::Send]), "not OFFER, sync, ACK: {lines:#?}");
    drop(server);
    Ok(())
}

/// The thread that sends frames.
fn thread_of<'a>(lines: &[&'a str]) -> Option<&'a str> {
    let send = lines.iter().find(|line| line.contains("sendm") && line.contains("PACKET"))?;
    send.split_whitespace().next()
}

/// What a line of strace is, if it is one of the two.
fn call(line: &&str) -> Option<Call> {
    let store = line.contains("sync(") && line.contains("bootlace.db");
    match (store, line.contains("sendm")) {
        (true, _) => Some(Call::Sync),
        (_, true) => Some(Call::Send),
        _ => None,
    }
}
