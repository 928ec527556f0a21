//! What outlives a server.

use anyhow::ensure;

use super::super::check::{Answer, Check};
use super::super::rawdhcp::{ACK, OFFER, OPTION_REQUESTED_IP, Packet};
use super::world::World;

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "restart-keeps-leases",
        shows: "after a kill -9 a machine comes back for its address and gets it, and nobody else does",
        basis: "RFC 2131 2.1",
        run: |world| {
            let packet = world.newcomer();
            let address = world.lease(&packet)?.1.reply.address;
            world.kill()?;
            world.revive()?;
            let wish = world.newcomer().with(OPTION_REQUESTED_IP, &address.octets());
            let offered = world.ask_for(OFFER, &wish)?.reply.address;
            ensure!(offered != address, "{address} is offered to somebody else");
            let request = Packet::init_reboot(packet.mac, world.xid(), address);
            let then = world.ask_for(ACK, &request)?.reply.address;
            ensure!(then == address, "{address}, then {then}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "restart-between-offer-and-request",
        shows: "an OFFER from before a kill -9 can be taken after it",
        basis: "a boot survives a restart of the server",
        run: |world| {
            let packet = world.newcomer();
            let offer = world.ask_for(OFFER, &packet)?.reply;
            world.kill()?;
            world.revive()?;
            let request = world.accept(&packet, &offer);
            let then = world.ask_for(ACK, &request)?.reply.address;
            ensure!(then == offer.address, "{} became {then}", offer.address);
            Ok(Answer::Right)
        },
    },
];
