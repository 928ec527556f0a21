//! What an OFFER says and where it goes.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};

use super::super::check::{Answer, Check};
use super::super::rawdhcp::{BROADCAST, OFFER, OPTION_REQUESTED_IP, OPTION_SERVER_ID, Packet, Reply};
use super::servers::WORDS;
use super::world::{Heard, RESERVED, SERVER, WORDY, World};

const RFC2131: &str = "RFC 2131";
const POOL: std::ops::RangeInclusive<u8> = 60..=250;
const MASK: [u8; 4] = [255, 255, 255, 0];
/// UDP payload of the IP datagram of 576 bytes that everybody takes.
const SMALL_PAYLOAD: usize = 548;
const OPTION_LEASE_TIME: u8 = 51;
const OPTION_OVERLOAD: u8 = 52;
const OPTION_PARAMETERS: u8 = 55;
const OPTION_MAX_SIZE: u8 = 57;
const OPTION_CLIENT_ID: u8 = 61;

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "offer-answers-its-discover",
        shows: "a BOOTREPLY with the client's xid, htype, hlen and chaddr, from port 67",
        basis: RFC2131,
        run: |world| {
            let packet = world.newcomer();
            let heard = world.ask_for(OFFER, &packet)?;
            let bytes = &heard.reply.bytes;
            ensure!(bytes[..3] == [2, 1, 6], "op, htype, hlen are {:?}", &bytes[..3]);
            ensure!(bytes[28..44] == packet.encode()[28..44], "chaddr is {:?}", &bytes[28..44]);
            ensure!(heard.from_port == 67, "it comes from port {}", heard.from_port);
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-has-the-core",
        shows: "OFFER and ACK have server identifier, lease time and subnet mask",
        basis: "RFC 2131; EDK2 drops an offer without 54 and an ACK without 1",
        run: |world| {
            let packet = world.newcomer();
            let (offer, ack) = world.lease(&packet)?;
            core(&offer.reply)?;
            core(&ack.reply)
        },
    },
    Check {
        name: "offer-is-of-the-pool",
        shows: "the offered address is one of the pool",
        basis: RFC2131,
        run: |world| {
            let packet = world.newcomer();
            in_pool(world.ask_for(OFFER, &packet)?.reply.address)
        },
    },
    Check {
        name: "offer-has-timers",
        shows: "the ACK has T1 and T2, in this order before the end of the lease",
        basis: "RFC 2131 4.4.5; some firmware needs them",
        run: |world| {
            let packet = world.newcomer().with(OPTION_PARAMETERS, &[1, 58, 59]);
            let ack = world.lease(&packet)?.1.reply;
            let seconds = |code| ack.four(code).map(u32::from_be_bytes).with_context(|| format!("no {code}"));
            let (t1, t2, end) = (seconds(58)?, seconds(59)?, seconds(OPTION_LEASE_TIME)?);
            ensure!(0 < t1 && t1 < t2 && t2 < end, "T1 {t1}, T2 {t2}, lease {end}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-has-300-bytes",
        shows: "a reply has at least the 300 bytes of a BOOTP message",
        basis: "RFC 1542 2.1; relays and ROMs drop shorter ones",
        run: |world| {
            let packet = world.newcomer();
            let len = world.ask_for(OFFER, &packet)?.reply.bytes.len();
            ensure!(len >= 300, "{len} bytes");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-broadcast-on-request",
        shows: "with the broadcast flag the OFFER goes to everybody, and the flag is in it",
        basis: "RFC 2131 4.1",
        run: |world| {
            let packet = Packet::discover(world.own_mac(), world.xid());
            let Heard { reply, to, to_mac, .. } = world.ask_for(OFFER, &packet)?;
            ensure!(to == Ipv4Addr::BROADCAST && to_mac == [0xff; 6], "it goes to {to} at {to_mac:x?}");
            ensure!(reply.flags() == BROADCAST, "the flags are {:04x}", reply.flags());
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-unicast-otherwise",
        shows: "without the flag the OFFER goes to the offered address at the client's MAC",
        basis: "RFC 2131 4.1",
        run: |world| {
            let packet = Packet::discover(world.own_mac(), world.xid()).unicast();
            let Heard { reply, to, to_mac, .. } = world.ask_for(OFFER, &packet)?;
            let own = (reply.address, packet.mac);
            ensure!((to, to_mac) == own, "it goes to {to} at {to_mac:x?}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-ignores-ciaddr",
        shows: "a DISCOVER that fills in ciaddr gets a usual OFFER, whose ciaddr is 0",
        basis: "RFC 2131 table 3",
        run: |world| {
            let packet = world.newcomer().of(Ipv4Addr::new(10, 188, 0, 77));
            let reply = world.ask_for(OFFER, &packet)?.reply;
            ensure!(reply.address_at(12).is_unspecified(), "ciaddr is {}", reply.address_at(12));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-is-stable",
        shows: "a second DISCOVER of a machine gets the same address",
        basis: RFC2131,
        run: |world| {
            let first = world.newcomer();
            let offered = world.ask_for(OFFER, &first)?.reply.address;
            let again = Packet::discover(first.mac, world.xid());
            let then = world.ask_for(OFFER, &again)?.reply.address;
            ensure!(offered == then, "{offered}, then {then}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-honours-a-wish",
        shows: "a free address of the pool that the client asks for is offered",
        basis: "RFC 2131 4.3.1",
        run: |world| {
            let wish = Ipv4Addr::new(10, 188, 0, 222);
            let packet = world.newcomer().with(OPTION_REQUESTED_IP, &wish.octets());
            let offered = world.ask_for(OFFER, &packet)?.reply.address;
            ensure!(offered == wish, "{offered} instead of {wish}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-refuses-a-foreign-wish",
        shows: "a wish for an address of another network gets one of this network",
        basis: "RFC 2131 4.3.1",
        run: |world| {
            let packet = world.newcomer().with(OPTION_REQUESTED_IP, &[192, 0, 2, 7]);
            in_pool(world.ask_for(OFFER, &packet)?.reply.address)
        },
    },
    Check {
        name: "offer-refuses-a-taken-wish",
        shows: "a wish for an address that somebody has gets another one",
        basis: "RFC 2131 4.3.1",
        run: |world| {
            let first = world.newcomer();
            let taken = world.lease(&first)?.1.reply.address;
            let packet = world.newcomer().with(OPTION_REQUESTED_IP, &taken.octets());
            let offered = world.ask_for(OFFER, &packet)?.reply.address;
            ensure!(offered != taken, "{taken} is offered to a second machine");
            in_pool(offered)
        },
    },
    Check {
        name: "offer-clamps-the-lease",
        shows: "a wish for a shorter lease is granted; one for ever is not",
        basis: "RFC 2131 4.3.1",
        run: |world| {
            let packet = world.newcomer().with(OPTION_LEASE_TIME, &7200u32.to_be_bytes());
            let shorter = world.ask_for(OFFER, &packet)?.reply.four(OPTION_LEASE_TIME);
            let packet = world.newcomer().with(OPTION_LEASE_TIME, &[0xff; 4]);
            let longer = world.ask_for(OFFER, &packet)?.reply.four(OPTION_LEASE_TIME);
            let seconds = |four: Option<[u8; 4]>| four.map(u32::from_be_bytes).context("no lease time");
            ensure!(seconds(longer)? <= 43_200, "{} seconds", seconds(longer)?);
            ensure!(seconds(shorter)? == 7200, "{} seconds instead of 7200", seconds(shorter)?);
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-has-what-is-asked",
        shows: "router, name servers and domain come when the client lists them",
        basis: "RFC 2132 9.8",
        run: |world| {
            let packet = world.newcomer().with(OPTION_PARAMETERS, &[1, 3, 6, 15]);
            let reply = world.ask_for(OFFER, &packet)?.reply;
            ensure!(reply.four(3) == Some([10, 188, 0, 1]), "router {:?}", reply.options.get(&3));
            let servers = [10, 188, 0, 53, 10, 188, 0, 54];
            ensure!(
                reply.options.get(&6).is_some_and(|value| *value == servers),
                "{:?}",
                reply.options.get(&6)
            );
            let domain = reply.options.get(&15).map(|value| value.strip_suffix(b"\0").unwrap_or(value));
            ensure!(domain == Some(b"example.com"), "domain {domain:?}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "offer-of-a-reservation",
        shows: "a machine with a reservation gets it",
        basis: "every server has it",
        run: |world| {
            let packet = Packet::discover(RESERVED, world.xid());
            let offered = world.lease(&packet)?.0.reply.address;
            ensure!(offered == Ipv4Addr::new(10, 188, 0, 30), "{offered}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "reservation-for-nobody-else",
        shows: "a reserved address is offered to nobody else, even on request",
        basis: "every server has it",
        run: |world| {
            let packet = world.newcomer().with(OPTION_REQUESTED_IP, &[10, 188, 0, 30]);
            in_pool(world.ask_for(OFFER, &packet)?.reply.address)
        },
    },
    Check {
        name: "size-of-a-small-client",
        shows: "without option 57 a reply is no longer than 548 bytes, and complete in what matters",
        basis: "RFC 2131 2; ROMs lose longer ones",
        run: |world| small(&wordy(world, None)?),
    },
    Check {
        name: "size-below-the-minimum",
        shows: "a maximum of 100 bytes is an error of the client, and means 576",
        basis: "RFC 2132 9.10",
        run: |world| small(&wordy(world, Some(100))?),
    },
    Check {
        name: "size-of-a-large-client",
        shows: "with 1,472 in option 57 all options come",
        basis: "RFC 2132 9.10",
        run: |world| {
            let reply = wordy(world, Some(1472))?;
            let absent = WORDS.iter().find(|code| !reply.options.contains_key(code));
            ensure!(absent.is_none(), "option {absent:?} is absent");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "no-overload",
        shows: "options never spill into sname and file (option 52)",
        basis: "iPXE reads spilled options as a file name",
        run: |world| {
            for size in [None, Some(576), Some(1472)] {
                let reply = wordy(world, size)?;
                ensure!(!reply.options.contains_key(&OPTION_OVERLOAD), "option 52 for {size:?}");
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "shared-xid",
        shows: "two machines with the same xid get two addresses",
        basis: "GRUB's xid is the time of day",
        run: |world| {
            let (first, second) = (world.newcomer(), world.machine());
            let second = Packet::discover(second, first.xid);
            let first = world.lease(&first)?.1.reply.address;
            let second = world.lease(&second)?.1.reply.address;
            ensure!(first != second, "both have {first}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "client-id-echo",
        shows: "option 61 comes back as it was sent",
        basis: "RFC 6842",
        run: |world| {
            let id = [0xff, 1, 2, 3, 4, 0, 1, 5, 6, 7];
            let packet = world.newcomer().with(OPTION_CLIENT_ID, &id);
            let (offer, ack) = world.lease(&packet)?;
            for reply in [offer.reply, ack.reply] {
                let echo = reply.options.get(&OPTION_CLIENT_ID);
                ensure!(echo.is_some_and(|echo| *echo == id), "it is {echo:?}");
            }
            Ok(Answer::Right)
        },
    },
];

fn core(reply: &Reply) -> Result<Answer> {
    ensure!(
        reply.four(OPTION_SERVER_ID) == Some(SERVER.octets()),
        "54 is {:?}",
        reply.four(OPTION_SERVER_ID)
    );
    ensure!(reply.four(OPTION_LEASE_TIME).is_some(), "no lease time");
    ensure!(reply.four(1) == Some(MASK), "the mask is {:?}", reply.four(1));
    Ok(Answer::Right)
}

fn in_pool(address: Ipv4Addr) -> Result<Answer> {
    let [a, b, c, last] = address.octets();
    ensure!([a, b, c] == [10, 188, 0] && POOL.contains(&last), "{address} is not of the pool");
    Ok(Answer::Right)
}

/// The offer to the machine with many options, whose packets hold this much.
fn wordy(world: &mut World, max_size: Option<u16>) -> Result<Reply> {
    let parameters = [[1, 3, 6].as_slice(), &WORDS].concat();
    let mut packet = Packet::discover(WORDY, world.xid()).with(OPTION_PARAMETERS, &parameters);
    if let Some(size) = max_size {
        packet = packet.with(OPTION_MAX_SIZE, &size.to_be_bytes());
    }
    Ok(world.ask_for(OFFER, &packet)?.reply)
}

fn small(reply: &Reply) -> Result<Answer> {
    ensure!(reply.bytes.len() <= SMALL_PAYLOAD, "{} bytes", reply.bytes.len());
    core(reply)
}
