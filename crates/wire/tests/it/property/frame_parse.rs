//! Frames: what parses can be built again and means the same.

use bootlace_wire::frame::{Checksum, UdpDatagram, parse_udp_frame, udp_frame};

pub(crate) fn check(bytes: &[u8]) {
    let Ok(datagram) = parse_udp_frame(bytes) else { return };
    let UdpDatagram { dst_mac, src_mac, src, dst, payload, .. } = datagram;
    let frame = udp_frame(dst_mac, src_mac, src, dst, payload);
    assert!(frame.len() <= bytes.len(), "nothing was invented");
    assert_eq!(parse_udp_frame(&frame), Ok(UdpDatagram { checksum: Checksum::Good, ..datagram }));
}
