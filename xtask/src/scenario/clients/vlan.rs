//! A trunk: frames of VLANs reach the interface that carries them.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Daemon, Host, Lan};

use super::rawdhcp::{OFFER, Packet, RawDhcp, mac_text};
use super::served::{SUBNET, Served};
use super::{Context, context::STEP_LIMIT};

const VLAN: u16 = 0x8100;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;

/// Somebody in the VLAN has it.
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 60);
/// Somebody on the untagged network has it.
const TAKEN: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 61);

/// Sends frames, given in hex, from an interface: once, or over and over with a pause in seconds. No link of the lab
/// can tag; Debian always has Perl, which knows sockets: 17 is AF_PACKET, 3 SOCK_RAW, and the rest a sockaddr_ll.
const SEND: &str = r#"
    my ($index, $pause, @frames) = @ARGV;
    socket(my $socket, 17, 3, 0) or die "socket: $!";
    my $to = pack("S n i S C C a8", 17, 0x8100, $index, 0, 0, 0, "");
    do {
        for my $frame (@frames) {
            defined(send($socket, pack("H*", $frame), 0, $to)) or die "send: $!";
        }
        select(undef, undef, undef, $pause);
    } while $pause;
"#;

pub(super) fn tagged(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let host = lan.client("trunk")?;
    // Before the server asks for the first time, and for as long as it may ask.
    let answers =
        [(5, THEIRS), (0, TAKEN)].map(|(vlan, address)| frame(&host, vlan, ARP, &answer(&host, address)));
    let answers =
        Daemon::start(host.namespace(), "answers", context.dir(), &mut perl(&host, "0.002", &answers)?)?;
    let server = Served::start(context, &lan, &format!("[dhcp]\nmode = \"server\"{SUBNET}"))?;
    let raw = RawDhcp::open(host.namespace())?;
    let mac = host.mac().0;

    // Answers come in the order of the questions: the one to the second shows that there is none to the first.
    send(&host, 5, &Packet::discover(mac, 1))?;
    send(&host, 0, &Packet::discover(mac, 2))?;
    let reply = raw.receive()?.context("no answer to a DISCOVER with a priority tag")?;
    ensure!(reply.xid != 1, "a machine of a VLAN that is not served got {}", reply.address);
    ensure!((reply.xid, reply.kind) == (2, OFFER), "not the offer: {reply:?}");
    context.note("a DISCOVER of VLAN 5 is not answered, one with a mere priority (VLAN 0) is");

    let line = server.log().any_line_from("address-in-use", STEP_LIMIT)?;
    ensure!(line.contains(&TAKEN.to_string()), "not the address on the untagged network: {line}");
    // Of another machine: this one would get the address that it was found on.
    let wish = Packet::discover([2, 0, 0, 0, 9, 9], 3).with(50, &THEIRS.octets());
    let offer = raw.exchange(&wish)?;
    ensure!(
        offer.address == THEIRS,
        "{THEIRS} is in use only in the VLAN, but {} was offered",
        offer.address
    );
    let leases = server.ask_json("leases")?;
    let conflicts: Vec<_> = leases.iter().filter(|lease| lease["state"] == "conflict").collect();
    let is_taken = |address: &serde_json::Value| address == &TAKEN.to_string();
    ensure!(conflicts.len() == 1 && is_taken(&conflicts[0]["address"]), "{conflicts:?}");
    ensure!(conflicts[0]["mac"] == mac_text(mac), "not who has it: {conflicts:?}");
    context.note("who has an address in VLAN 5 is not in its way here, who answers with a mere priority is");
    drop((server, answers));
    Ok(())
}

/// A broadcast with an 802.1Q tag.
fn send(host: &Host, vlan: u16, packet: &Packet) -> Result<()> {
    let frame = frame(host, vlan, IPV4, &datagram(&packet.encode())?);
    let done = host.namespace().output(&mut perl(host, "0", &[frame])?)?;
    ensure!(done.status.success(), "perl: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

/// What sends frames from `host`.
fn perl(host: &Host, pause: &str, frames: &[Vec<u8>]) -> Result<Command> {
    let index = host.namespace().links().index("eth0")?.to_string();
    let hex = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut command = Command::new("perl");
    command.args(["-e", SEND, &index, pause]).args(frames.iter().map(hex));
    Ok(command)
}

/// To everybody, with an 802.1Q tag.
fn frame(host: &Host, vlan: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(host.mac().0);
    frame.extend([VLAN, vlan, ethertype].iter().flat_map(|word| word.to_be_bytes()));
    frame.extend(payload);
    frame
}

/// An ARP reply (RFC 826): `host` has the address.
fn answer(host: &Host, address: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 0x08, 0, 6, 4, 0, 2];
    for _ in ["who says so", "who asked"] {
        packet.extend(host.mac().0);
        packet.extend(address.octets());
    }
    packet
}

/// From 0.0.0.0:68 to everybody:67, without a UDP checksum.
fn datagram(payload: &[u8]) -> Result<Vec<u8>> {
    let udp_len = u16::try_from(payload.len() + 8)?;
    let mut header = vec![0x45, 0];
    header.extend((udp_len + 20).to_be_bytes());
    header.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    header.extend(Ipv4Addr::UNSPECIFIED.octets());
    header.extend(Ipv4Addr::BROADCAST.octets());
    let words = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16))?;
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    for word in [68, 67, udp_len, 0] {
        header.extend(word.to_be_bytes());
    }
    header.extend(payload);
    Ok(header)
}
