//! Fifty power cuts in a row, in the middle of perfdhcp's exchanges.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Daemon, Host, Lan, Namespace};
use socket2::{Domain, Protocol, Socket, Type};

use super::Context;
use super::context::STEP_LIMIT;
use super::durable::held;
use super::rawdhcp::{ACK, Reply, SERVER_PORT, mac_text};
use super::served::{SERVER, Served};

const CUTS: u32 = 50;
/// At least so many ACKs, and up to so many more, before the next cut.
const ACKS_MIN: u64 = 20;
const ACKS_SPREAD: u64 = 400;
/// Where the cuts fall.
const SEED: u64 = 0x0005_eed0_f1f7;
/// The server's starts need not wait for probes here.
const CONFIG: &str = "[dhcp]\nmode = \"server\"\nprobe = false\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/21\"\n\
    ranges = [\"10.188.1.0-10.188.7.250\"]\n";
/// Exchanges in a second, and machines that take turns, fewer than there are addresses: most come back with a lease.
const LOAD: [&str; 4] = ["-r", "4000", "-R", "1500"];

/// `ETH_P_IP` of linux/if_ether.h.
const ETHERTYPE_IPV4: u16 = 0x0800;
/// A kernel counts an answer with some 1,280 bytes.
const RECEIVE_BUFFER: usize = 4 << 20;
const IP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;
const BOOTREPLY: u8 = 2;

pub(super) fn power_cuts(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let host = lan.host("server", "10.188.0.10/21")?;
    let mut server = Served::start_on(context, host, CONFIG, &[])?;
    let client = lan.host("perfdhcp", "10.188.0.20/21")?;
    let mut wire = Wire::tap(client.namespace())?;
    let (mut promised, mut random, mut acks) = (BTreeMap::new(), SEED, 0);
    for cut in 1..=CUTS {
        let at = || format!("cut {cut}, seed {SEED:#x}");
        let load = start_load(context, &client)?;
        acks += wire.hear(&mut promised, ACKS_MIN + below(&mut random, ACKS_SPREAD)).with_context(at)?;
        server.kill()?;
        drop(load);
        // What had left the server when it died is a promise, too.
        acks += wire.hear_the_rest(&mut promised).with_context(at)?;
        server.revive()?;
        all_is_kept(&server, &promised).with_context(at)?;
    }
    context.note(&format!("{CUTS} cuts, {acks} ACKs, {} machines keep their addresses", promised.len()));
    Ok(())
}

fn start_load(context: &Context, client: &Host) -> Result<Daemon> {
    let mut perfdhcp = Command::new("perfdhcp");
    // It goes on for longer than it may take to the cut.
    perfdhcp.args(["-4", "-g", "single", "-p", &STEP_LIMIT.as_secs().to_string()]).args(LOAD).arg(SERVER);
    Daemon::start(client.namespace(), "perfdhcp", context.dir(), &mut perfdhcp)
}

fn all_is_kept(server: &Served, promised: &BTreeMap<[u8; 6], Ipv4Addr>) -> Result<()> {
    let held = held(server)?;
    for (mac, address) in promised {
        let holder = held.get(address);
        let mac = mac_text(*mac);
        ensure!(holder == Some(&mac), "{address} was promised to {mac} but is {holder:?}'s");
    }
    Ok(())
}

/// Every packet that comes to a host, seen beside the programs that it is for.
struct Wire(Socket);

impl Wire {
    fn tap(ns: &Namespace) -> Result<Self> {
        let open = || {
            let protocol = Protocol::from(i32::from(ETHERTYPE_IPV4.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
            socket.set_read_timeout(Some(STEP_LIMIT))?;
            Ok::<_, std::io::Error>(socket)
        };
        Ok(Self(ns.run(open)?.context("open a packet socket")?))
    }

    /// Notes the promises of so many ACKs.
    fn hear(&mut self, promised: &mut BTreeMap<[u8; 6], Ipv4Addr>, acks: u64) -> Result<u64> {
        let mut heard = 0;
        while heard < acks {
            let packet = self.packet()?.context("the server went silent")?;
            heard += u64::from(note(&packet, promised)?);
        }
        Ok(heard)
    }

    /// The same with all that has come.
    fn hear_the_rest(&mut self, promised: &mut BTreeMap<[u8; 6], Ipv4Addr>) -> Result<u64> {
        let mut heard = 0;
        self.0.set_nonblocking(true)?;
        while let Some(packet) = self.packet()? {
            heard += u64::from(note(&packet, promised)?);
        }
        self.0.set_nonblocking(false)?;
        Ok(heard)
    }

    fn packet(&mut self) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 1500];
        match self.0.read(&mut buffer) {
            Ok(len) => Ok(Some(buffer[..len].to_vec())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error).context("listen to the wire"),
        }
    }
}

/// Notes what an ACK promises; whether it is one.
fn note(packet: &[u8], promised: &mut BTreeMap<[u8; 6], Ipv4Addr>) -> Result<bool> {
    let Some(ack) = answer_to_relay(packet).filter(|reply| reply.kind == ACK) else { return Ok(false) };
    let before = promised.insert(ack.mac, ack.address).filter(|before| *before != ack.address);
    ensure!(before.is_none(), "{} moved from {before:?}: {ack:?}", mac_text(ack.mac));
    Ok(true)
}

/// What a server says to a relay, which perfdhcp pretends to be, in an IPv4 packet without options.
fn answer_to_relay(packet: &[u8]) -> Option<Reply> {
    let (header, payload) = packet.split_at_checked(IP_HEADER_LEN + UDP_HEADER_LEN)?;
    let ports = header.get(IP_HEADER_LEN..IP_HEADER_LEN + 4)?;
    let to_relay = ports[2..] == SERVER_PORT.to_be_bytes();
    (header[0] == 0x45 && to_relay && payload.first() == Some(&BOOTREPLY)).then(|| Reply::decode(payload))?
}

/// xorshift64*
fn below(random: &mut u64, bound: u64) -> u64 {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
}
