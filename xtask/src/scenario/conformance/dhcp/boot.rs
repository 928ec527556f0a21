//! What machines that boot are told, and others are not.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};

use super::super::check::{Answer, Check};
use super::super::rawdhcp::{Packet, Reply};
use super::world::{SERVER, World};

const BIOS: &[u8] = b"PXEClient:Arch:00000:UNDI:002001";
const LOADER: &[u8] = b"undionly.kpxe";
const UUID: [u8; 17] =
    [0, 0x4c, 0x4c, 0x45, 0x44, 0, 0x51, 0x35, 0x10, 0x80, 0x56, 0xb5, 0xc0, 0x4f, 0x4c, 0x35, 0x32];
/// What a ROM lists.
const PARAMETERS: [u8; 9] = [1, 3, 43, 54, 60, 66, 67, 97, 128];
const OPTION_BOOT_FILE: u8 = 67;

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "pxe-gets-a-loader",
        shows: "firmware that says PXEClient gets a next server and a file in the header, where iPXE and shim look",
        basis: "PXE 2.1; RFC 2131",
        run: |world| {
            let packet = rom(world);
            for reply in both(world, &packet)? {
                ensure!(reply.file() == LOADER, "the file is {:?}", reply.file().escape_ascii().to_string());
                ensure!(reply.address_at(20) == SERVER, "siaddr is {}", reply.address_at(20));
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "pxe-file-in-option-67",
        shows: "the same name stands in option 67, where EDK2 and GRUB look first",
        basis: "RFC 2132 9.5; firmware's habits",
        run: |world| {
            let packet = rom(world);
            for reply in both(world, &packet)? {
                let file =
                    reply.options.get(&OPTION_BOOT_FILE).map(|file| file.strip_suffix(b"\0").unwrap_or(file));
                ensure!(file == Some(LOADER), "67 is {file:?}");
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "pxe-uuid-echo",
        shows: "option 97 comes back",
        basis: "RFC 4578 2.4; GRUB reads it from the reply",
        run: |world| {
            let packet = rom(world);
            for reply in both(world, &packet)? {
                let uuid = reply.options.get(&97);
                ensure!(uuid.is_some_and(|uuid| *uuid == UUID), "97 is {uuid:?}");
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "ipxe-gets-a-url",
        shows: "iPXE gets a script's URL instead of the loader that it came from",
        basis: "else it loads itself for ever",
        run: |world| {
            let packet = rom(world).with(77, b"iPXE").with(175, &[19, 1, 1, 33, 1, 1, 0xeb, 3, 1, 21, 1]);
            for reply in both(world, &packet)? {
                let file = reply.file();
                ensure!(file.starts_with(b"http://"), "the file is {:?}", file.escape_ascii().to_string());
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "system-gets-no-file",
        shows: "an operating system gets neither a file nor a next server",
        basis: "Debian's installer takes a URL for its preseed",
        run: |world| {
            let packet = world.newcomer().with(60, b"udhcp 1.35.0").with(55, &PARAMETERS);
            for reply in both(world, &packet)? {
                let file = reply.options.get(&OPTION_BOOT_FILE);
                ensure!(file.is_none() && reply.file().is_empty(), "file {:?}, 67 {file:?}", reply.file());
                ensure!(reply.address_at(20) == Ipv4Addr::UNSPECIFIED, "siaddr is {}", reply.address_at(20));
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "one-address-through-all-stages",
        shows: "ROM, iPXE, installer and system of one machine have one address",
        basis: "what is mounted or logged in by address stays so",
        run: |world| {
            let mac = world.machine();
            let mut addresses = Vec::new();
            let rom = rom_of(mac, world.xid());
            let ipxe = rom_of(mac, world.xid()).with(77, b"iPXE").with(61, &[&[1], mac.as_slice()].concat());
            let installer = Packet::discover(mac, world.xid()).unicast().with(60, b"udhcp 1.35.0");
            let system = Packet::discover(mac, world.xid()).unicast();
            let system = system.with(61, &[0xff, 1, 2, 3, 4, 0, 2, 0, 0, 0xab, 0x11, 9, 9]);
            for stage in [rom, ipxe, installer, system] {
                addresses.push(world.lease(&stage)?.1.reply.address);
            }
            addresses.dedup();
            ensure!(addresses.len() == 1, "{addresses:?}");
            Ok(Answer::Right)
        },
    },
];

fn rom(world: &mut World) -> Packet {
    let mac = world.machine();
    rom_of(mac, world.xid())
}

/// What a BIOS ROM says.
fn rom_of(mac: [u8; 6], xid: u32) -> Packet {
    let packet = Packet::discover(mac, xid).with(60, BIOS).with(93, &[0, 0]).with(94, &[1, 2, 1]);
    packet.with(97, &UUID).with(55, &PARAMETERS).with(57, &1260u16.to_be_bytes())
}

/// The OFFER and the ACK, which have to say the same.
fn both(world: &mut World, packet: &Packet) -> Result<[Reply; 2]> {
    let (offer, ack) = world.lease(packet)?;
    Ok([offer.reply, ack.reply])
}
