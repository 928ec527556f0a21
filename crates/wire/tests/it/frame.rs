//! Frames against another library, with damage, and as any bytes.

use std::net::{Ipv4Addr, SocketAddrV4};

use bootlace_wire::Mac;
use bootlace_wire::frame::{Checksum, FrameError, UdpDatagram, parse_udp_frame, udp_frame};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::property::{self, cases};

const DST_MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const SRC_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SRC: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 188, 0, 10), 67);
const DST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 188, 0, 61), 68);

fn frame(payload: &[u8]) -> Vec<u8> {
    udp_frame(DST_MAC, SRC_MAC, SRC, DST, payload)
}

/// Changes a frame and repairs the IPv4 header checksum, so that the change itself is what gets judged.
fn changed(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = frame(b"payload");
    change(&mut frame);
    frame[24..26].fill(0);
    let sum = frame[14..34].chunks(2).fold(0u32, |sum, w| sum + u32::from(w[0]) * 256 + u32::from(w[1]));
    let folded = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!folded as u16).to_be_bytes());
    frame
}

#[test]
fn the_frame_is_what_a_client_without_an_address_takes() {
    let frame = frame(b"x");
    assert_eq!(frame[..14], [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 8, 0]);
    assert_eq!(frame[14..24], [0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17], "no DF, TTL 64, UDP");
    assert_eq!(frame[34..40], [0, 67, 0, 68, 0, 9]);
    assert_eq!(frame.len(), 43);
}

#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    let zero = (0..=u16::MAX).map(|n| frame(&n.to_be_bytes())).filter(|f| f[40..42] == [0xff, 0xff]).count();
    assert!(zero > 0, "some payload sums up to zero");
    assert!((0..=u16::MAX).all(|n| frame(&n.to_be_bytes())[40..42] != [0, 0]));
}

#[test]
fn a_payload_beyond_a_datagram_is_cut() {
    assert_eq!(parse_udp_frame(&frame(&[7; 70_000])).unwrap().payload.len(), 65_507);
}

#[test]
fn checksums_are_judged_not_enforced() {
    let checksum = |frame: &[u8]| parse_udp_frame(frame).map(|datagram| datagram.checksum);
    assert_eq!(checksum(&frame(b"payload")), Ok(Checksum::Good));
    assert_eq!(checksum(&changed(|f| f[40..42].fill(0))), Ok(Checksum::Absent));
    assert_eq!(checksum(&changed(|f| f[42] ^= 1)), Ok(Checksum::Bad));
}

#[test]
fn tags_and_padding_do_not_matter() {
    let plain = frame(b"payload");
    let expected = parse_udp_frame(&plain).unwrap();
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 100]);
    tagged.extend([0; 20]);
    assert_eq!(parse_udp_frame(&tagged), Ok(expected));
}

#[test]
fn what_is_no_datagram_is_refused() {
    let parsed = |frame: Vec<u8>| parse_udp_frame(&frame).unwrap_err();
    assert_eq!(parsed(changed(|f| f[12..14].copy_from_slice(&[0x86, 0xdd]))), FrameError::NotIpv4);
    assert_eq!(parsed(changed(|f| f[14] = 0x65)), FrameError::BadIpv4Header);
    assert_eq!(parsed(changed(|f| f[14] = 0x44)), FrameError::BadIpv4Header);
    assert_eq!(parsed(changed(|f| f[17] = 19)), FrameError::BadIpv4Header);
    assert_eq!(parsed(changed(|f| f[17] = 200)), FrameError::Short);
    assert_eq!(parsed(changed(|f| f[20] = 0x20)), FrameError::Fragment);
    assert_eq!(parsed(changed(|f| f[21] = 1)), FrameError::Fragment);
    assert_eq!(parsed(changed(|f| f[23] = 6)), FrameError::NotUdp);
    assert_eq!(parsed(changed(|f| f[39] = 7)), FrameError::Short);
    assert_eq!(parsed(changed(|f| f[39] = 99)), FrameError::Short);
    let mut bad = frame(b"payload");
    bad[24] ^= 1;
    assert_eq!(parsed(bad), FrameError::BadIpv4Header);
    assert!(parse_udp_frame(&changed(|f| f[20] = 0x40)).is_ok(), "DF is no fragment");
    for len in 0..frame(b"payload").len() {
        assert_eq!(parsed(frame(b"payload")[..len].to_vec()), FrameError::Short, "{len}");
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn another_library_reads_our_frames(payload in vec(any::<u8>(), 0..600), ips in any::<[u32; 2]>(), ports in any::<[u16; 2]>()) {
        let [src, dst] = [0, 1].map(|at| SocketAddrV4::new(Ipv4Addr::from_bits(ips[at]), ports[at]));
        let frame = udp_frame(DST_MAC, SRC_MAC, src, dst, &payload);
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("no IPv4") };
        let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
        let header = ip.header().to_header();
        prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
        prop_assert_eq!((header.time_to_live, header.dont_fragment), (64, false));
        prop_assert_eq!((ip.header().source_addr(), ip.header().destination_addr()), (*src.ip(), *dst.ip()));
        prop_assert_eq!((udp.source_port(), udp.destination_port()), (src.port(), dst.port()));
        prop_assert_eq!(udp.payload(), &payload[..]);
        let expected = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
        prop_assert_eq!(udp.checksum(), expected);
    }

    #[test]
    fn we_read_frames_of_another_library(payload in vec(any::<u8>(), 0..600), ports in any::<[u16; 2]>(), vlan in 0..4096u16) {
        let builder = PacketBuilder::ethernet2(SRC_MAC.0, DST_MAC.0)
            .single_vlan(vlan.try_into().unwrap())
            .ipv4(SRC.ip().octets(), DST.ip().octets(), 1)
            .udp(ports[0], ports[1]);
        let mut frame = Vec::new();
        builder.write(&mut frame, &payload).unwrap();
        let [src, dst] = [SocketAddrV4::new(*SRC.ip(), ports[0]), SocketAddrV4::new(*DST.ip(), ports[1])];
        let expected = UdpDatagram { dst_mac: DST_MAC, src_mac: SRC_MAC, src, dst, checksum: Checksum::Good, payload: &payload };
        prop_assert_eq!(parse_udp_frame(&frame), Ok(expected));
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..100)) {
        property::frame_parse::check(&bytes);
    }

    #[test]
    fn frames_with_damage(at in 0..49usize, value in any::<u8>()) {
        property::frame_parse::check(&changed(|frame| frame[at] = value));
    }
}
