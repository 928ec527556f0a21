//! The workers of a soak. Each goes on until the time is over, and says how much it did.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Host, Namespace};

use super::super::context::STEP_LIMIT;
use super::super::rawdhcp::{ACK, Packet, RawDhcp};
use super::super::served::SERVER;
use super::corpus;
use crate::mutate::Mutator;
use crate::perfdhcp;

const MACHINES: usize = 300;
/// The pace of the machines, so that other scenarios get their share of two cores.
const MACHINE_EVERY: Duration = Duration::from_millis(10);
const DOWNLOAD_EVERY: Duration = Duration::from_millis(100);
/// Bounds the mutants to some hundred packets in a second.
const MUTANTS_EVERY: Duration = Duration::from_millis(10);
/// How long a mutant of a request is listened to: an answer is welcome, silence is fine.
const LISTEN: Duration = Duration::from_millis(20);
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// perfdhcp's machines and exchanges in a second: new ones all the time, and each comes back within the hour.
const PERFDHCP_MACHINES: &str = "4000";
const PERFDHCP_RATE: &str = "40";
/// One run of perfdhcp, in seconds, and how long it listens to late answers at its end, in microseconds.
const PERFDHCP_SECONDS: &str = "10";
const PERFDHCP_PATIENCE: &str = "1000000";

/// Machines come, and come again with the address that they had, which must stay theirs.
pub(super) fn machines(client: &Host, seed: u64, end: Instant) -> Result<u64> {
    let raw = RawDhcp::open(client.namespace())?;
    let (mut random, mut addresses, mut count) = (Mutator::new(seed), BTreeMap::new(), 0);
    while Instant::now() < end {
        let [.., high, low] = random.below(MACHINES).to_be_bytes();
        let (mac, xid) = ([0x52, 0x54, 1, 0, high, low], 0x5000_0000 + u32::try_from(count)?);
        let former: Option<&Ipv4Addr> = addresses.get(&mac);
        let ack = match former {
            // Half of them switch on anew, the others ask for what they have, which renews it.
            Some(&address) if random.below(2) == 0 => {
                raw.exchange(&Packet::init_reboot(mac, xid, address))?
            }
            _ => raw.lease(&Packet::discover(mac, xid))?,
        };
        ensure!(ack.kind == ACK, "a machine was refused its address: {ack:?}");
        let former = *addresses.entry(mac).or_insert(ack.address);
        ensure!(former == ack.address, "{former} became {}", ack.address);
        count += 1;
        sleep(MACHINE_EVERY);
    }
    let mut given: Vec<_> = addresses.values().collect();
    given.sort();
    given.dedup();
    ensure!(given.len() == addresses.len(), "an address was given twice");
    Ok(count)
}

/// Four-way exchanges of ISC's load generator, which speaks as a relay. Returns how many were completed.
pub(super) fn perfdhcp(client: &Host, end: Instant) -> Result<u64> {
    let (mut sent, mut done) = (0, 0);
    while Instant::now() < end {
        let mut perfdhcp = Command::new("perfdhcp");
        perfdhcp.args(["-4", "-g", "single", "-r", PERFDHCP_RATE, "-R", PERFDHCP_MACHINES]);
        perfdhcp.args(["-p", PERFDHCP_SECONDS, "-W", PERFDHCP_PATIENCE, SERVER]);
        let report = String::from_utf8(client.namespace().output(&mut perfdhcp)?.stdout)?;
        let number = |pair, what| {
            perfdhcp::field(&report, pair, what).with_context(|| format!("perfdhcp printed: {report}"))
        };
        sent += number("DISCOVER-OFFER", "sent")? as u64;
        done += number("REQUEST-ACK", "received")? as u64;
    }
    // It never repeats what was lost or came late, so a busy computer costs it some.
    ensure!(done > sent / 2, "of {sent} exchanges of perfdhcp {done} were completed");
    Ok(done)
}

/// Fetches one file again and again, and looks at every byte.
pub(super) fn downloads(client: &Host, url: &str, content: &[u8], end: Instant) -> Result<u64> {
    let mut count = 0;
    while Instant::now() < end {
        fetch(client, url, content)?;
        count += 1;
        sleep(DOWNLOAD_EVERY);
    }
    Ok(count)
}

pub(super) fn fetch(client: &Host, url: &str, content: &[u8]) -> Result<()> {
    let limit = STEP_LIMIT.as_secs().to_string();
    let mut curl = Command::new("curl");
    let got = client.namespace().output(curl.args(["-sS", "--max-time", &limit, url]))?;
    ensure!(got.status.success(), "{url}: {}", String::from_utf8_lossy(&got.stderr));
    ensure!(got.stdout == content, "{url}: {} bytes are not what was sent", got.stdout.len());
    Ok(())
}

/// Damaged packets to the three services, each from a port of its own.
pub(super) fn mutants(client: &Host, seed: u64, end: Instant) -> Result<u64> {
    let (dhcp, tftp, http) = (corpus::dhcp(), corpus::tftp(), corpus::http());
    let (mut mutator, mut count) = (Mutator::new(seed), 0);
    while Instant::now() < end {
        datagram(client.namespace(), &mutator.mutant(&dhcp), 67)?;
        datagram(client.namespace(), &mutator.mutant(&tftp), 69)?;
        request(client.namespace(), &mutator.mutant(&http))?;
        count += 3;
        sleep(MUTANTS_EVERY);
    }
    Ok(count)
}

fn datagram(ns: &Namespace, bytes: &[u8], port: u16) -> Result<()> {
    let socket = ns.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
    socket.send_to(bytes, (SERVER, port)).context("send a mutant")?;
    Ok(())
}

fn request(ns: &Namespace, bytes: &[u8]) -> Result<()> {
    let mut stream = ns.run(|| TcpStream::connect((SERVER, 80)))?.context("connect for a mutant")?;
    stream.set_read_timeout(Some(LISTEN))?;
    // The server may close it before all of it is sent; that is its right.
    if stream.write_all(bytes).is_ok() {
        drop(stream.shutdown(Shutdown::Write));
        drop(std::io::copy(&mut stream.take(ANSWER_BYTES_MAX), &mut std::io::sink()));
    }
    Ok(())
}
