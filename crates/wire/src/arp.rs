//! ARP for IPv4 on Ethernet (RFC 826), as far as it takes to ask whether somebody has an address (RFC 5227).

use std::net::Ipv4Addr;

use crate::Mac;
use crate::cursor::Cursor;

/// The Ethernet type of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// Bytes of a frame with an ARP packet: 14 of Ethernet, 28 of ARP. The kernel pads it to what the link wants.
pub const ARP_FRAME_LEN: usize = 42;

/// Ethernet, IPv4, and how long their addresses are.
const KIND: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// A frame that asks everybody who has `target`. The sender's IP is 0.0.0.0, so that nobody's table changes by the
/// question (RFC 5227, section 2.1.1).
pub fn probe(own: Mac, target: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    request(own, Ipv4Addr::UNSPECIFIED, target)
}

/// A frame that tells everybody that `own` has `ip` now (RFC 5227, section 2.3): whoever has it in its table with
/// another station corrects that.
pub fn announcement(own: Mac, ip: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    request(own, ip, ip)
}

fn request(own: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    let parts: [&[u8]; 9] = [
        &[0xff; 6],
        &own.0,
        &ETHERTYPE_ARP.to_be_bytes(),
        &KIND,
        &REQUEST.to_be_bytes(),
        &own.0,
        &sender.octets(),
        &[0; 6],
        &target.octets(),
    ];
    let mut rest = &mut frame[..];
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    frame
}

/// Who says to have which address, when the frame is an ARP reply.
pub fn reply(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let mut from = Cursor::new(frame);
    let (_destination, _source) = (from.array::<6>()?, from.array::<6>()?);
    let is_reply = from.u16()? == ETHERTYPE_ARP && from.array()? == KIND && from.u16()? == REPLY;
    let (mac, ip) = (Mac(from.array()?), Ipv4Addr::from(from.array::<4>()?));
    (is_reply && !ip.is_unspecified()).then_some((ip, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const TARGET: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 61);

    #[test]
    fn an_announcement_names_the_address_twice() {
        let frame = announcement(OWN, TARGET);
        assert_eq!(
            (&frame[22..28], &frame[28..32], &frame[38..]),
            (&OWN.0[..], &TARGET.octets()[..], &TARGET.octets()[..])
        );
        assert_eq!((frame[21], &frame[..6]), (1, &[0xff; 6][..]), "a question to everybody");
    }

    #[test]
    fn a_probe_is_what_rfc_5227_says() {
        let frame = probe(OWN, TARGET);
        let expected =
            "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 0abc003d";
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected.replace(' ', ""));
        assert_eq!(reply(&frame), None, "a question is no answer");
    }

    #[test]
    fn replies_tell_who_has_an_address() {
        let other = Mac([2, 0, 0, 0, 0, 9]);
        let mut frame = probe(other, Ipv4Addr::UNSPECIFIED);
        frame[21] = 2;
        frame[28..32].copy_from_slice(&TARGET.octets());
        assert_eq!(reply(&frame), Some((TARGET, other)));
        let padded = [&frame[..], &[0; 18]].concat();
        assert_eq!(reply(&padded), Some((TARGET, other)));
        for len in 0..32 {
            assert_eq!(reply(&frame[..len]), None, "cut after {len} bytes");
        }
        for (at, what) in
            [(12, "another protocol"), (14, "another link"), (19, "another length"), (20, "an opcode")]
        {
            let mut other = frame;
            other[at] ^= 0x40;
            assert_eq!(reply(&other), None, "{what}");
        }
        frame[28..32].fill(0);
        assert_eq!(reply(&frame), None, "nobody has 0.0.0.0");
    }
}
