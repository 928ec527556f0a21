//! The four kinds of REQUEST, and the messages that are not answered.

use std::net::Ipv4Addr;

use anyhow::{Result, bail, ensure};

use super::super::check::{Answer, Check};
use super::super::rawdhcp::{
    ACK, DECLINE, INFORM, NAK, OFFER, OPTION_REQUESTED_IP, OPTION_SERVER_ID, Packet, RELEASE, REQUEST,
};
use super::world::{Heard, SERVER, Way, World};

const LEASE_OPTIONS: [u8; 3] = [51, 58, 59];

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "selecting-is-granted",
        shows: "the ACK has the address that was offered, and what else the OFFER had",
        basis: "RFC 2131 4.3.2; EDK2 and iPXE give up when they differ",
        run: |world| {
            let packet = world.newcomer();
            let (offer, ack) = world.lease(&packet)?;
            ensure!(
                offer.reply.address == ack.reply.address,
                "{} became {}",
                offer.reply.address,
                ack.reply.address
            );
            let (mut offered, mut granted) = (offer.reply.options, ack.reply.options);
            // The type differs; what is left of the lease may.
            for code in [53, 51, 58, 59] {
                offered.remove(&code);
                granted.remove(&code);
            }
            ensure!(offered == granted, "offered {offered:?}, granted {granted:?}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "selecting-another-server",
        shows: "a REQUEST that takes another server's offer is not answered",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let packet = world.newcomer();
            let offer = world.ask_for(OFFER, &packet)?.reply;
            let request = Packet::init_reboot(packet.mac, world.xid(), offer.address)
                .with(OPTION_SERVER_ID, &[10, 188, 0, 99]);
            world.unanswered(&request, Way::Broadcast)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "selecting-a-taken-address",
        shows: "a REQUEST for an address that somebody else has is refused",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let taken = leased(world)?.1;
            let packet = world.newcomer();
            world.ask_for(OFFER, &packet)?;
            let request =
                Packet::init_reboot(packet.mac, world.xid(), taken).with(OPTION_SERVER_ID, &SERVER.octets());
            world.ask_for(NAK, &request)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "nak-goes-to-everybody",
        shows: "a NAK is broadcast even when the client did not ask for that",
        basis: "RFC 2131 4.1",
        run: |world| {
            let Heard { to, .. } = refused(world)?;
            ensure!(to == Ipv4Addr::BROADCAST, "it goes to {to}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "nak-promises-nothing",
        shows: "a NAK has a server identifier, and neither address nor lease time",
        basis: "RFC 2131 table 3; iPXE checks the identifier",
        run: |world| {
            let reply = refused(world)?.reply;
            ensure!(reply.four(OPTION_SERVER_ID) == Some(SERVER.octets()), "no server identifier");
            let zero = reply.address.is_unspecified() && reply.address_at(20).is_unspecified();
            ensure!(zero, "yiaddr {}, siaddr {}", reply.address, reply.address_at(20));
            ensure!(LEASE_OPTIONS.iter().all(|code| !reply.options.contains_key(code)), "a lease time");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "init-reboot-of-a-known-machine",
        shows: "a machine that comes back for its address gets it",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let (mac, address) = leased(world)?;
            let request = Packet::init_reboot(mac, world.xid(), address);
            let ack = world.ask_for(ACK, &request)?.reply;
            ensure!(ack.address == address, "{} instead of {address}", ack.address);
            Ok(Answer::Right)
        },
    },
    Check {
        name: "init-reboot-on-the-wrong-net",
        shows: "an authoritative server refuses an address of another network",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            refused(world)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "init-reboot-for-anothers-address",
        shows: "nobody is acknowledged an address that is somebody else's",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let taken = leased(world)?.1;
            let request = Packet::init_reboot(world.machine(), world.xid(), taken);
            never_acknowledged(&world.answers(&request, Way::Broadcast)?)
        },
    },
    Check {
        name: "renewing",
        shows: "a client that asks the server alone is answered at its address, with ciaddr",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let (mac, address) = leased(world)?;
            world.configure(address)?;
            let request = Packet::new(REQUEST, mac, world.xid()).unicast().of(address);
            let heard = world.ask_by(&request, Way::From(address));
            world.forget_address()?;
            let Heard { reply, to, .. } = heard?;
            ensure!(reply.kind == ACK, "message type {}", reply.kind);
            ensure!(to == address, "it goes to {to}");
            let (ciaddr, yiaddr) = (reply.address_at(12), reply.address);
            ensure!(ciaddr == address && yiaddr == address, "ciaddr {ciaddr}, yiaddr {yiaddr}");
            ensure!(reply.four(51).is_some(), "no lease time");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "rebinding",
        shows: "a client that asks everybody to prolong its lease is answered",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let (mac, address) = leased(world)?;
            world.configure(address)?;
            let request = Packet::new(REQUEST, mac, world.xid()).unicast().of(address);
            let heard = world.ask_by(&request, Way::FromToAll(address));
            world.forget_address()?;
            let reply = heard?.reply;
            ensure!(reply.kind == ACK, "message type {}", reply.kind);
            ensure!(reply.address == address, "{} instead of {address}", reply.address);
            Ok(Answer::Right)
        },
    },
    Check {
        name: "renewing-anothers-lease",
        shows: "nobody renews a lease of somebody else",
        basis: "RFC 2131 4.3.2",
        run: |world| {
            let taken = leased(world)?.1;
            let request = Packet::new(REQUEST, world.machine(), world.xid()).of(taken);
            never_acknowledged(&world.answers(&request, Way::From(taken))?)
        },
    },
    Check {
        name: "client-id-may-change",
        shows: "a machine that changes or loses its option 61 keeps its address",
        basis: "firmware, iPXE and installer each send another one",
        run: |world| {
            let (mac, address) = leased(world)?;
            for id in [[1, 2, 3, 4, 5].as_slice(), &[0xff, 9, 9, 9, 9, 0, 1, 7], &[0, b'x', b'y']] {
                let packet = Packet::discover(mac, world.xid()).with(61, id);
                let then = world.lease(&packet)?.1.reply.address;
                ensure!(then == address, "{address}, then {then} with {id:?}");
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "client-id-may-be-shared",
        shows: "two machines with the same option 61 get two addresses",
        basis: "cloned disks have the same machine id",
        run: |world| {
            let id = [0xff, 7, 7, 7, 7, 0, 1, 1];
            let (first, second) = (world.newcomer().with(61, &id), world.newcomer().with(61, &id));
            let first = world.lease(&first)?.1.reply.address;
            let second = world.lease(&second)?.1.reply.address;
            ensure!(first != second, "both have {first}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "release-is-silent",
        shows: "a RELEASE gets no answer",
        basis: "RFC 2131 4.3.4",
        run: |world| {
            let (mac, address) = leased(world)?;
            let release = release(mac, world.xid(), address);
            world.unanswered(&release, Way::From(address))?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "release-keeps-the-binding",
        shows: "a machine that comes back after a RELEASE gets the same address while it is free",
        basis: "RFC 2131 4.3.4; systemd releases at every reboot",
        run: |world| {
            let (mac, address) = leased(world)?;
            let release = release(mac, world.xid(), address);
            world.unanswered(&release, Way::From(address))?;
            let packet = Packet::discover(mac, world.xid());
            let then = world.ask_for(OFFER, &packet)?.reply.address;
            ensure!(then == address, "{address}, then {then}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "release-by-a-stranger",
        shows: "nobody gives back an address of somebody else",
        basis: "RFC 2131 4.3.4",
        run: |world| {
            let (_, address) = leased(world)?;
            let release = release(world.machine(), world.xid(), address);
            world.unanswered(&release, Way::From(address))?;
            still_taken(world, address)
        },
    },
    Check {
        name: "decline-leads-elsewhere",
        shows: "a DECLINE gets no answer, and the machine another address",
        basis: "RFC 2131 4.3.3",
        run: |world| {
            let (mac, address) = leased(world)?;
            let decline = decline(mac, world.xid(), address);
            world.unanswered(&decline, Way::Broadcast)?;
            let packet = Packet::discover(mac, world.xid());
            let then = world.ask_for(OFFER, &packet)?.reply.address;
            ensure!(then != address, "{address} is offered again");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "decline-keeps-others-away",
        shows: "a declined address is not offered to the next machine either",
        basis: "RFC 2131 4.3.3",
        run: |world| {
            let (mac, address) = leased(world)?;
            let decline = decline(mac, world.xid(), address);
            world.unanswered(&decline, Way::Broadcast)?;
            still_taken(world, address)
        },
    },
    Check {
        name: "decline-by-a-stranger",
        shows: "nobody declines an address of somebody else",
        basis: "a flood of them would empty the pool",
        run: |world| {
            let (mac, address) = leased(world)?;
            let decline = decline(world.machine(), world.xid(), address);
            world.unanswered(&decline, Way::Broadcast)?;
            let request = Packet::init_reboot(mac, world.xid(), address);
            world.ask_for(ACK, &request)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "inform-is-no-lease",
        shows: "an INFORM is answered at its address, without an address or a lease time",
        basis: "RFC 2131 4.3.5",
        run: |world| {
            let own = Ipv4Addr::new(10, 188, 0, 40);
            world.configure(own)?;
            let inform =
                Packet::new(INFORM, world.machine(), world.xid()).unicast().of(own).with(55, &[1, 3, 6]);
            let heard = world.ask_by(&inform, Way::FromToAll(own));
            world.forget_address()?;
            let Heard { reply, to, .. } = heard?;
            ensure!(reply.kind == ACK, "message type {}", reply.kind);
            ensure!(to == own, "it goes to {to}");
            ensure!(reply.address.is_unspecified(), "yiaddr is {}", reply.address);
            let lease = LEASE_OPTIONS.iter().find(|code| reply.options.contains_key(code));
            ensure!(lease.is_none(), "it has option {lease:?}");
            ensure!(reply.four(3) == Some([10, 188, 0, 1]), "no router");
            Ok(Answer::Right)
        },
    },
];

/// A new machine with a lease.
fn leased(world: &mut World) -> Result<([u8; 6], Ipv4Addr)> {
    let packet = world.newcomer();
    Ok((packet.mac, world.lease(&packet)?.1.reply.address))
}

/// A refusal: somebody wants an address of another network.
fn refused(world: &mut World) -> Result<Heard> {
    let request = Packet::init_reboot(world.machine(), world.xid(), [192, 0, 2, 7].into()).unicast();
    world.ask_for(NAK, &request)
}

fn release(mac: [u8; 6], xid: u32, address: Ipv4Addr) -> Packet {
    Packet::new(RELEASE, mac, xid).unicast().of(address).with(OPTION_SERVER_ID, &SERVER.octets())
}

fn decline(mac: [u8; 6], xid: u32, address: Ipv4Addr) -> Packet {
    let packet = Packet::new(DECLINE, mac, xid).with(OPTION_REQUESTED_IP, &address.octets());
    packet.with(OPTION_SERVER_ID, &SERVER.octets())
}

/// A new machine that asks for this address is offered another one.
fn still_taken(world: &mut World, address: Ipv4Addr) -> Result<Answer> {
    let packet = world.newcomer().with(OPTION_REQUESTED_IP, &address.octets());
    let offered = world.ask_for(OFFER, &packet)?.reply.address;
    ensure!(offered != address, "{address} is offered to somebody else");
    Ok(Answer::Right)
}

fn never_acknowledged(heard: &[Heard]) -> Result<Answer> {
    match heard.iter().find(|heard| heard.reply.kind != NAK) {
        Some(heard) => bail!("message type {} for {}", heard.reply.kind, heard.reply.address),
        None => Ok(Answer::Right),
    }
}
