//! Ethernet II frames with an IPv4 UDP datagram: what a raw socket sends to a client that has no address yet.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::Mac;
use crate::cursor::Cursor;

const ETHERTYPE_IPV4: u16 = 0x0800;
/// 802.1Q and 802.1ad tags; a frame has at most one of each.
const ETHERTYPES_VLAN: [u16; 2] = [0x8100, 0x88a8];
const VLAN_TAGS_MAX: usize = 2;
const PROTOCOL_UDP: u8 = 17;
const TTL: u8 = 64;
const ETHERNET_HEADER_LEN: usize = 14;
const IPV4_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;
/// "More fragments" and the fragment offset, but not "do not fragment".
const FRAGMENT_BITS: u16 = 0x3fff;
/// What the length fields of IPv4 and UDP can say.
const PAYLOAD_MAX: usize = u16::MAX as usize - IPV4_HEADER_LEN - UDP_HEADER_LEN;

/// Builds a frame around a UDP payload, with both checksums and without "do not fragment".
///
/// A payload beyond what one datagram can hold (65507 bytes) is cut there.
pub fn udp_frame(
    dst_mac: Mac,
    src_mac: Mac,
    src: SocketAddrV4,
    dst: SocketAddrV4,
    payload: &[u8],
) -> Vec<u8> {
    let payload = payload.get(..PAYLOAD_MAX).unwrap_or(payload);
    let udp_len = (UDP_HEADER_LEN + payload.len()) as u16;
    let total_len = (IPV4_HEADER_LEN + UDP_HEADER_LEN + payload.len()) as u16;

    let mut frame = Vec::with_capacity(ETHERNET_HEADER_LEN + usize::from(total_len));
    frame.extend(dst_mac.0);
    frame.extend(src_mac.0);
    frame.extend(ETHERTYPE_IPV4.to_be_bytes());
    frame.extend(ipv4_header(*src.ip(), *dst.ip(), total_len));

    let mut sum = pseudo_header_sum(*src.ip(), *dst.ip(), udp_len);
    for field in [src.port(), dst.port(), udp_len] {
        frame.extend(field.to_be_bytes());
        sum.word(field);
    }
    sum.bytes(payload);
    // A sum of zero would say "no checksum" (RFC 768).
    let checksum = match sum.complement() {
        0 => u16::MAX,
        checksum => checksum,
    };
    frame.extend(checksum.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn ipv4_header(src: Ipv4Addr, dst: Ipv4Addr, total_len: u16) -> [u8; IPV4_HEADER_LEN] {
    let [len1, len0] = total_len.to_be_bytes();
    let [s3, s2, s1, s0] = src.octets();
    let [d3, d2, d1, d0] = dst.octets();
    // The identification may be zero: the datagram fits the link and is never fragmented (RFC 6864).
    let header =
        |c1, c0| [0x45, 0, len1, len0, 0, 0, 0, 0, TTL, PROTOCOL_UDP, c1, c0, s3, s2, s1, s0, d3, d2, d1, d0];
    let mut sum = Sum::default();
    sum.bytes(&header(0, 0));
    let [c1, c0] = sum.complement().to_be_bytes();
    header(c1, c0)
}

/// How a datagram's checksum came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The sender left it out, as the Linux kernel's `ip=dhcp` does.
    Absent,
    /// It is right.
    Good,
    /// It is wrong. From a raw socket that means little: on virtual links the kernel leaves the sum to a card
    /// that is not there (the receiver learns that from the packet's auxiliary data).
    Bad,
}

/// A UDP datagram and the link it came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// The receiver's link address.
    pub dst_mac: Mac,
    /// The sender's link address.
    pub src_mac: Mac,
    /// The sender.
    pub src: SocketAddrV4,
    /// The receiver.
    pub dst: SocketAddrV4,
    /// Whether the bytes can be trusted.
    pub checksum: Checksum,
    /// What was sent.
    pub payload: &'a [u8],
}

/// Why a frame holds no UDP datagram for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Ends before one of its headers or lengths does.
    Short,
    /// Not IPv4.
    NotIpv4,
    /// A bad version, length or checksum in the IPv4 header.
    BadIpv4Header,
    /// Only a part of a datagram.
    Fragment,
    /// Not UDP.
    NotUdp,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "frame is cut short",
            Self::NotIpv4 => "frame is not IPv4",
            Self::BadIpv4Header => "bad IPv4 header",
            Self::Fragment => "fragment of a datagram",
            Self::NotUdp => "datagram is not UDP",
        })
    }
}

impl std::error::Error for FrameError {}

/// Reads a frame with or without VLAN tags; padding behind the datagram is ignored.
pub fn parse_udp_frame(frame: &[u8]) -> Result<UdpDatagram<'_>, FrameError> {
    let (dst_mac, src_mac, ethertype, packet) = ethernet(frame).ok_or(FrameError::Short)?;
    if ethertype != ETHERTYPE_IPV4 {
        return Err(FrameError::NotIpv4);
    }
    let (src, dst, segment) = ipv4(packet)?;
    let (ports, checksum, payload) = udp(src, dst, segment).ok_or(FrameError::Short)?;
    let (src, dst) = (SocketAddrV4::new(src, ports.0), SocketAddrV4::new(dst, ports.1));
    Ok(UdpDatagram { dst_mac, src_mac, src, dst, checksum, payload })
}

fn ethernet(frame: &[u8]) -> Option<(Mac, Mac, u16, &[u8])> {
    let mut from = Cursor::new(frame);
    let dst = Mac(from.array()?);
    let src = Mac(from.array()?);
    let mut ethertype = from.u16()?;
    for _ in 0..VLAN_TAGS_MAX {
        if ETHERTYPES_VLAN.contains(&ethertype) {
            from.u16()?;
            ethertype = from.u16()?;
        }
    }
    Some((dst, src, ethertype, from.rest()))
}

fn ipv4(packet: &[u8]) -> Result<(Ipv4Addr, Ipv4Addr, &[u8]), FrameError> {
    let first = *packet.first().ok_or(FrameError::Short)?;
    let header_len = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_len < IPV4_HEADER_LEN {
        return Err(FrameError::BadIpv4Header);
    }
    let header = packet.get(..header_len).ok_or(FrameError::Short)?;
    let mut sum = Sum::default();
    sum.bytes(header);
    if sum.complement() != 0 {
        return Err(FrameError::BadIpv4Header);
    }
    let mut from = Cursor::new(header);
    let [_, _, len1, len0, _, _, frag1, frag0, _, protocol, _, _] = from.array().ok_or(FrameError::Short)?;
    let (Some(src), Some(dst)) = (from.array::<4>(), from.array::<4>()) else {
        return Err(FrameError::Short);
    };
    if u16::from_be_bytes([frag1, frag0]) & FRAGMENT_BITS != 0 {
        return Err(FrameError::Fragment);
    }
    if protocol != PROTOCOL_UDP {
        return Err(FrameError::NotUdp);
    }
    let total_len = usize::from(u16::from_be_bytes([len1, len0]));
    if total_len < header_len {
        return Err(FrameError::BadIpv4Header);
    }
    let segment = packet.get(header_len..total_len).ok_or(FrameError::Short)?;
    Ok((src.into(), dst.into(), segment))
}

/// Ports, checksum and payload.
fn udp(src: Ipv4Addr, dst: Ipv4Addr, segment: &[u8]) -> Option<((u16, u16), Checksum, &[u8])> {
    let mut from = Cursor::new(segment);
    let ports = (from.u16()?, from.u16()?);
    let len = from.u16()?;
    let stated = from.u16()?;
    let payload = from.take(usize::from(len).checked_sub(UDP_HEADER_LEN)?)?;
    let checksum = if stated == 0 {
        Checksum::Absent
    } else {
        let mut sum = pseudo_header_sum(src, dst, len);
        sum.bytes(segment.get(..usize::from(len))?);
        if sum.complement() == 0 { Checksum::Good } else { Checksum::Bad }
    };
    Some((ports, checksum, payload))
}

fn pseudo_header_sum(src: Ipv4Addr, dst: Ipv4Addr, udp_len: u16) -> Sum {
    let mut sum = Sum::default();
    sum.bytes(&src.octets());
    sum.bytes(&dst.octets());
    sum.word(PROTOCOL_UDP.into());
    sum.word(udp_len);
    sum
}

/// The ones' complement sum of RFC 1071. A datagram has too few words to overflow it.
#[derive(Default)]
struct Sum(u32);

impl Sum {
    fn word(&mut self, word: u16) {
        self.0 += u32::from(word);
    }

    /// Adds bytes that start on a word; an odd last one is padded, so nothing may follow it.
    fn bytes(&mut self, bytes: &[u8]) {
        let (words, odd) = bytes.as_chunks::<2>();
        words.iter().for_each(|word| self.word(u16::from_be_bytes(*word)));
        odd.iter().for_each(|byte| self.word(u16::from_be_bytes([*byte, 0])));
    }

    fn complement(&self) -> u16 {
        let folded = (self.0 & 0xffff) + (self.0 >> 16);
        !((folded & 0xffff) + (folded >> 16)) as u16
    }
}
