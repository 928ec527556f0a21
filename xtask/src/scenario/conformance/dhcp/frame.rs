//! IP and UDP around a message. Nothing is taken from the server's code.

use std::net::Ipv4Addr;

use super::super::rawdhcp::{CLIENT_PORT, Reply, SERVER_PORT};
use super::world::Heard;

const ETHERNET_LEN: usize = 14;
const IP_LEN: usize = 20;
const UDP_LEN: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;

/// A packet from port 68 to port 67. The kernel fills in the checksum of IP; that of UDP may be absent.
pub(super) fn ip_packet(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(UDP_LEN + payload.len()).unwrap_or(u16::MAX);
    let total = udp_len.saturating_add(20);
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, TTL, UDP, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(CLIENT_PORT.to_be_bytes());
    packet.extend(SERVER_PORT.to_be_bytes());
    packet.extend(udp_len.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// A frame to port 68 with a DHCP reply inside.
pub(super) fn parse(frame: &[u8]) -> Option<Heard> {
    let to_mac = frame.get(..6)?.try_into().ok()?;
    let ip = frame.get(ETHERNET_LEN..)?;
    let header_len = usize::from(ip.first()? & 0x0f) * 4;
    let udp = ip.get(header_len.max(IP_LEN)..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
    if *ip.get(9)? != UDP || port(2)? != CLIENT_PORT {
        return None;
    }
    let to = <[u8; 4]>::try_from(ip.get(16..20)?).ok()?.into();
    // What Ethernet pads a short frame with is no part of the message.
    let payload = udp.get(UDP_LEN..usize::from(port(4)?).min(udp.len()))?;
    Some(Heard { reply: Reply::decode(payload)?, to_mac, to, from_port: port(0)? })
}

#[cfg(test)]
mod tests {
    use super::super::super::rawdhcp::Packet;
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let message = Packet::discover([2, 0, 0, 0, 0, 1], 7).encode();
        let packet = ip_packet(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, &message);
        let mut frame = [[0xff; 6].as_slice(), &[0; 6], &[8, 0], &packet].concat();
        assert!(parse(&frame).is_none(), "it is for port 67");
        frame[ETHERNET_LEN + IP_LEN + 3] = 68;
        let heard = parse(&frame).unwrap();
        assert_eq!((heard.reply.xid, heard.to, heard.to_mac), (7, Ipv4Addr::BROADCAST, [0xff; 6]));
        assert_eq!(heard.reply.bytes, message);
    }
}
