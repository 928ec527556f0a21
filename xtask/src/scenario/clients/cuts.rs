//! Fifty power cuts in a row, in the middle of a crowd's requests.

use std::collections::BTreeMap;
use std::iter::Cycle;
use std::net::Ipv4Addr;
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::Lan;

use super::Context;
use super::durable::{held, mac_of};
use super::rawdhcp::{ACK, NAK, OFFER, Packet, RawDhcp, mac_text};
use super::served::Served;

const CUTS: u32 = 50;
/// More than a batch of the server; most come back with a lease, some are new.
const MACHINES: u16 = 600;
/// So many questions in flight fill batches, and no socket buffer.
const IN_FLIGHT: usize = 64;
/// At least so many ACKs, and up to so many more, before the next cut.
const ACKS_MIN: u64 = 20;
const ACKS_SPREAD: u64 = 120;
/// Where the cuts fall.
const SEED: u64 = 0x0005_eed0_f1f7;
/// The server's starts need not wait for probes here.
const CONFIG: &str = "[dhcp]\nmode = \"server\"\nprobe = false\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/21\"\n\
    ranges = [\"10.188.1.0-10.188.7.250\"]\n";

/// What the crowd was promised, ever.
struct Crowd {
    raw: RawDhcp,
    promised: BTreeMap<[u8; 6], Ipv4Addr>,
    next: Cycle<Range<u16>>,
    random: u64,
}

pub(super) fn power_cuts(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let host = lan.host("server", "10.188.0.10/21")?;
    let mut server = Served::start_on(context, host, CONFIG, &[])?;
    let client = lan.client("crowd")?;
    let raw = RawDhcp::open(client.namespace())?;
    let mut crowd = Crowd { raw, promised: BTreeMap::new(), next: (0..MACHINES).cycle(), random: SEED };
    let mut acks = 0;
    for cut in 1..=CUTS {
        acks += crowd.ask_until_the_cut().with_context(|| format!("before cut {cut}, seed {SEED:#x}"))?;
        server.kill()?;
        server.revive()?;
        crowd.all_is_kept(&server).with_context(|| format!("after cut {cut}, seed {SEED:#x}"))?;
    }
    context
        .note(&format!("{CUTS} cuts, {acks} ACKs, {} machines keep their addresses", crowd.promised.len()));
    Ok(())
}

impl Crowd {
    /// Asks for so many ACKs; says how many came. What is under way then is heard in the next round: late promises of
    /// the server that was killed count like all others.
    fn ask_until_the_cut(&mut self) -> Result<u64> {
        let until = ACKS_MIN + self.below(ACKS_SPREAD);
        let mut acks = 0;
        self.discover(IN_FLIGHT)?;
        while acks < until {
            let reply = self.raw.receive()?.context("the server went silent")?;
            match reply.kind {
                OFFER => self.raw.send(&Packet::request(&reply))?,
                ACK => {
                    acks += 1;
                    let before = self.promised.insert(reply.mac, reply.address);
                    let moved = before.filter(|before| *before != reply.address);
                    ensure!(moved.is_none(), "{} moved from {moved:?}: {reply:?}", mac_text(reply.mac));
                    self.discover(1)?;
                }
                // It asks for what the server before the cut has offered, and another one was faster.
                NAK if !self.promised.contains_key(&reply.mac) => self.discover(1)?,
                _ => bail!("{reply:?}"),
            }
        }
        Ok(acks)
    }

    fn all_is_kept(&self, server: &Served) -> Result<()> {
        let held = held(server)?;
        for (mac, address) in &self.promised {
            let holder = held.get(address);
            let mac = mac_text(*mac);
            ensure!(holder == Some(&mac), "{address} was promised to {mac} but is {holder:?}'s");
        }
        Ok(())
    }

    fn discover(&mut self, count: usize) -> Result<()> {
        for index in self.next.by_ref().take(count) {
            self.raw.send(&Packet::discover(mac_of(index), index.into()))?;
        }
        Ok(())
    }

    /// xorshift64*
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
