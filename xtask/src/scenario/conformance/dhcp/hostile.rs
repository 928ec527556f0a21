//! Packets that no client should send. Behind each comes one that has to be answered.

use anyhow::{Result, ensure};

use super::super::check::{Answer, Check};
use super::super::rawdhcp::{OFFER, Packet};
use super::world::{Way, World};

const ROBUST: &str = "anybody on the wire can send it";
const HEADER_LEN: usize = 240;

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "hostile-short-packets",
        shows: "packets cut anywhere get no answer that counts, and do no harm",
        basis: ROBUST,
        run: |world| {
            let packet = world.newcomer().encode();
            for len in [0, 1, 27, 43, 235, 236, 239, 240] {
                nothing(world, &packet[..len])?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "hostile-option-past-the-end",
        shows: "an option that claims to be longer than the packet does no harm",
        basis: ROBUST,
        run: |world| {
            let packet = world.newcomer();
            let mut bytes = packet.encode();
            bytes.pop();
            bytes.extend([12, 200, b'a']);
            world.answers_to_bytes(&bytes, packet.xid)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "hostile-hardware-length",
        shows: "a hardware address of 17 or 255 bytes gets no answer",
        basis: "chaddr has 16 bytes",
        run: |world| {
            for len in [17, 255] {
                let mut bytes = world.newcomer().encode();
                bytes[2] = len;
                nothing(world, &bytes)?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "liberal-without-an-end",
        shows: "a packet without the end option is answered",
        basis: "old ROMs; RFC 1122 1.2.2",
        run: |world| {
            let packet = world.newcomer();
            let mut bytes = packet.encode();
            bytes.pop();
            let heard = world.answers_to_bytes(&bytes, packet.xid)?;
            ensure!(heard.iter().any(|heard| heard.reply.kind == OFFER), "no answer");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "liberal-with-pads",
        shows: "pad bytes before, between and behind options change nothing",
        basis: "RFC 2132 3.1",
        run: |world| {
            let packet = world.newcomer();
            let whole = packet.encode();
            let (header, options) = whole.split_at(HEADER_LEN);
            let bytes = [header, &[0; 5], &options[..3], &[0; 7], &[12, 1, b'x', 0, 255], &[0; 60]].concat();
            let heard = world.answers_to_bytes(&bytes, packet.xid)?;
            ensure!(heard.iter().any(|heard| heard.reply.kind == OFFER), "no answer");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "hostile-cookie",
        shows: "a packet with another magic cookie gets no DHCP answer",
        basis: "RFC 2131 3",
        run: |world| {
            let mut bytes = world.newcomer().encode();
            bytes[236] = 1;
            nothing(world, &bytes)
        },
    },
    Check {
        name: "hostile-reply-to-a-server",
        shows: "a BOOTREPLY that comes to port 67 is not answered",
        basis: "RFC 2131 2",
        run: |world| {
            let mut bytes = world.newcomer().encode();
            bytes[0] = 2;
            nothing(world, &bytes)
        },
    },
    Check {
        name: "hostile-message-types",
        shows: "OFFER, ACK, NAK and unknown types that come to port 67 are not answered",
        basis: "RFC 2131 3",
        run: |world| {
            for kind in [0, 2, 5, 6, 77, 255] {
                let packet = Packet { kind, ..world.newcomer() };
                world.unanswered(&packet, Way::Broadcast)?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "hostile-empty-options",
        shows: "options of length 0 where there must be some bytes do no harm",
        basis: ROBUST,
        run: |world| {
            for code in [50, 51, 53, 54, 57, 60, 61, 77, 82, 93, 97, 175] {
                let packet = world.newcomer();
                let mut bytes = packet.encode();
                bytes.pop();
                bytes.extend([code, 0, 255]);
                world.answers_to_bytes(&bytes, packet.xid)?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "hostile-nested-lengths",
        shows: "lengths that lie inside of options 43, 77, 82, 93 and 175 do no harm",
        basis: ROBUST,
        run: |world| {
            for code in [43, 77, 82, 93, 97, 175] {
                for value in [[9, 200, 1].as_slice(), &[255], &[1, 0, 1, 255, 255]] {
                    let packet = world.newcomer().with(60, b"PXEClient").with(code, value);
                    world.answers(&packet, Way::Broadcast)?;
                }
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "hostile-overload-loop",
        shows: "an option 52 that points to itself does no harm",
        basis: ROBUST,
        run: |world| {
            let packet = world.newcomer().with(52, &[3]);
            let mut bytes = packet.encode();
            for at in [44, 108] {
                bytes[at..at + 4].copy_from_slice(&[52, 1, 3, 12]);
            }
            world.answers_to_bytes(&bytes, packet.xid)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "hostile-large-packet",
        shows: "a packet that fills an Ethernet frame with options is read or dropped",
        basis: ROBUST,
        run: |world| {
            let mut packet = world.newcomer();
            for code in 200..204 {
                packet = packet.with(code, &[0x55; 250]);
            }
            world.answers(&packet, Way::Broadcast)?;
            Ok(Answer::Right)
        },
    },
];

/// Nobody is answered. The packet may have lost its xid, so that any reply counts.
fn nothing(world: &mut World, bytes: &[u8]) -> Result<Answer> {
    let xid = bytes.get(4..8).and_then(|xid| xid.try_into().ok()).map_or(0, u32::from_be_bytes);
    let heard = world.answers_to_bytes(bytes, xid)?;
    ensure!(heard.is_empty(), "answered by message type {}", heard[0].reply.kind);
    Ok(Answer::Right)
}
