//! A trunk: frames of VLANs reach the interface that carries them.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Host, Lan};

use super::Context;
use super::rawdhcp::{OFFER, Packet, RawDhcp};
use super::served::{SUBNET, Served};

const VLAN: u16 = 0x8100;
const IPV4: u16 = 0x0800;

/// Sends a frame, given in hex, from an interface. No link of the lab can tag; Debian always has Perl, which knows
/// sockets: 17 is AF_PACKET, 3 SOCK_RAW, and the rest a sockaddr_ll.
const SEND: &str = r#"
    my ($index, $frame) = @ARGV;
    socket(my $socket, 17, 3, 0) or die "socket: $!";
    my $to = pack("S n i S C C a8", 17, 0x8100, $index, 0, 0, 0, "");
    defined(send($socket, pack("H*", $frame), 0, $to)) or die "send: $!";
"#;

pub(super) fn tagged(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let server = Served::start(context, &lan, &format!("[dhcp]\nmode = \"server\"{SUBNET}"))?;
    let host = lan.client("trunk")?;
    let raw = RawDhcp::open(host.namespace())?;
    let mac = host.mac().0;

    // Answers come in the order of the questions: the one to the second shows that there is none to the first.
    send(&host, 5, &Packet::discover(mac, 1))?;
    send(&host, 0, &Packet::discover(mac, 2))?;
    let reply = raw.receive()?.context("no answer to a DISCOVER with a priority tag")?;
    ensure!(reply.xid != 1, "a machine of a VLAN that is not served got {}", reply.address);
    ensure!((reply.xid, reply.kind) == (2, OFFER), "not the offer: {reply:?}");
    context.note("a DISCOVER of VLAN 5 is not answered, one with a mere priority (VLAN 0) is");
    drop(server);
    Ok(())
}

/// A broadcast with an 802.1Q tag.
fn send(host: &Host, vlan: u16, packet: &Packet) -> Result<()> {
    let mut frame = vec![0xff; 6];
    frame.extend(host.mac().0);
    frame.extend([VLAN, vlan, IPV4].iter().flat_map(|word| word.to_be_bytes()));
    frame.extend(datagram(&packet.encode())?);
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let index = host.namespace().links().index("eth0")?.to_string();
    let done = host.namespace().output(Command::new("perl").args(["-e", SEND, &index, &hex]))?;
    ensure!(done.status.success(), "perl: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
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
