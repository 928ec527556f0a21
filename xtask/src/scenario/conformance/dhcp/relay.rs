//! Clients behind relays.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};

use super::super::check::{Answer, Check};
use super::super::rawdhcp::{BROADCAST, NAK, OFFER, OPTION_SERVER_ID, Packet};
use super::world::{Heard, OTHER_RELAY, RELAY, SMALL_RELAY, Way, World};

/// Circuit id and remote id, as a switch writes them.
const INFO: [u8; 12] = [1, 4, 0, 1, 0, 7, 2, 4, 9, 8, 7, 6];
const OPTION_RELAY_INFO: u8 = 82;
const LINK_SELECTION: u8 = 5;
const SERVER_ID_OVERRIDE: u8 = 11;

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "relay-gets-the-answer",
        shows: "the answer goes to giaddr, port 67, with an address of the relay's network",
        basis: "RFC 2131 4.1",
        run: |world| {
            let packet = world.relayed(RELAY);
            let Heard { reply, to, .. } = world.ask_for(OFFER, &packet)?;
            ensure!(to == RELAY, "it goes to {to}");
            of_network(reply.address, RELAY)?;
            ensure!(reply.address_at(24) == RELAY, "giaddr is {}", reply.address_at(24));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "relay-lease",
        shows: "a client behind a relay gets its lease",
        basis: "RFC 2131 4.1",
        run: |world| {
            let packet = world.relayed(RELAY);
            let (offer, ack) = world.lease(&packet)?;
            ensure!(
                offer.reply.address == ack.reply.address,
                "{} became {}",
                offer.reply.address,
                ack.reply.address
            );
            Ok(Answer::Right)
        },
    },
    Check {
        name: "relay-info-echo",
        shows: "option 82 comes back byte for byte, in OFFER and ACK",
        basis: "RFC 3046 2.2",
        run: |world| {
            let packet = world.relayed(RELAY).with(OPTION_RELAY_INFO, &INFO);
            let (offer, ack) = world.lease(&packet)?;
            for reply in [offer.reply, ack.reply] {
                let info = reply.options.get(&OPTION_RELAY_INFO);
                ensure!(info.is_some_and(|info| *info == INFO), "82 is {info:?}");
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "relay-info-last",
        shows: "option 82 is the last option",
        basis: "RFC 3046 2.1",
        run: |world| {
            let packet = world.relayed(RELAY).with(OPTION_RELAY_INFO, &INFO).with(61, &[1, 2, 3]);
            let order = world.ask_for(OFFER, &packet)?.reply.order;
            ensure!(order.last() == Some(&OPTION_RELAY_INFO), "the options are {order:?}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "relay-link-selection",
        shows: "the network that option 82.5 names wins over giaddr",
        basis: "RFC 3527",
        run: |world| {
            let link = [&[LINK_SELECTION, 4], RELAY.octets().as_slice()].concat();
            let packet = world.relayed(OTHER_RELAY).with(OPTION_RELAY_INFO, &link);
            let Heard { reply, to, .. } = world.ask_for(OFFER, &packet)?;
            ensure!(to == OTHER_RELAY, "it goes to {to}");
            of_network(reply.address, RELAY)
        },
    },
    Check {
        name: "relay-server-id-override",
        shows: "the address of option 82.11 is the server identifier, and is taken for ours in the REQUEST",
        basis: "RFC 5107",
        run: |world| {
            let own = [&[SERVER_ID_OVERRIDE, 4], OTHER_RELAY.octets().as_slice()].concat();
            let packet = world.relayed(OTHER_RELAY).with(OPTION_RELAY_INFO, &own);
            let (offer, ack) = world.lease(&packet)?;
            for reply in [offer.reply, ack.reply] {
                let id = reply.four(OPTION_SERVER_ID).map(Ipv4Addr::from);
                ensure!(id == Some(OTHER_RELAY), "54 is {id:?}");
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "relay-nak-to-everybody",
        shows: "a NAK through a relay has the broadcast flag, as the client's address is wrong",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let mut request = world.relayed(RELAY);
            request = Packet {
                hops: 1,
                giaddr: RELAY,
                ..Packet::init_reboot(request.mac, request.xid, [192, 0, 2, 7].into())
            };
            request.flags = 0;
            let Heard { reply, to, .. } = world.ask_for(NAK, &request)?;
            ensure!(to == RELAY, "it goes to {to}");
            ensure!(reply.flags() == BROADCAST, "the flags are {:04x}", reply.flags());
            Ok(Answer::Right)
        },
    },
    Check {
        name: "relay-of-an-unknown-network",
        shows: "a relay of a network that is not served gets no answer",
        basis: "RFC 2131 4.3.1",
        run: |world| {
            let unknown = [&[LINK_SELECTION, 4], [192, 0, 2, 1].as_slice()].concat();
            let packet = world.relayed(OTHER_RELAY).with(OPTION_RELAY_INFO, &unknown);
            world.unanswered(&packet, Way::Relay)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "exhausted-pool-is-silent",
        shows: "when every address is lent, a further machine gets no answer, and those that have one renew",
        basis: "RFC 2131 4.3.1",
        run: |world| {
            let (first, second) = (world.relayed(SMALL_RELAY), world.relayed(SMALL_RELAY));
            let address = world.lease(&first)?.1.reply.address;
            let other = world.lease(&second)?.1.reply.address;
            ensure!(address != other, "both have {address}");
            let third = world.relayed(SMALL_RELAY);
            world.unanswered(&third, Way::Relay)?;
            let again = Packet { xid: world.xid(), ..first };
            let then = world.ask_for(OFFER, &again)?.reply.address;
            ensure!(then == address, "{address}, then {then}");
            Ok(Answer::Right)
        },
    },
];

/// Of the relay's /24.
fn of_network(address: Ipv4Addr, relay: Ipv4Addr) -> Result<Answer> {
    ensure!(address.octets()[..3] == relay.octets()[..3], "{address} is not of the network of {relay}");
    Ok(Answer::Right)
}
