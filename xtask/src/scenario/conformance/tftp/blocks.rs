//! Blocks and their acknowledgements.

use anyhow::{Result, bail, ensure};

use super::super::check::{Answer, Check};
use super::world::{BLOCK, DATA, ERROR, OACK, World, block, content, describe};

/// A client asks the server to wait no longer than this before it sends again.
const SOON: (&str, &str) = ("timeout", "1");

pub(super) const CHECKS: &[Check<World>] = &[
    whole("file-with-a-rest", "a file of 1,000 bytes comes whole", |world| same(world, "small")),
    whole("file-of-whole-blocks", "a file of a multiple of 512 bytes ends with an empty block", |world| {
        same(world, "even")
    }),
    whole("file-without-bytes", "an empty file is one empty block", |world| same(world, "empty")),
    Check {
        name: "block-numbers-wrap",
        shows: "a file of more than 65,535 blocks goes on with block 0",
        basis: "practice: iPXE, EDK2, GRUB and U-Boot expect it",
        run: |world| {
            let file = world.fetch("long", &[("blksize", "8")], 8)?;
            ensure!(file == content("long"), "{} bytes, or others", file.len());
            Ok(Answer::Right)
        },
    },
    Check {
        name: "duplicate-ack",
        shows: "an ACK that comes twice does not send the next block twice",
        basis: "RFC 1123 4.2.3.1: the sorcerer's apprentice",
        run: |world| {
            let (mut port, first) = world.ask("even", &[])?;
            ensure!(first[1] == DATA, "{}", describe(&first));
            port.ack(1)?;
            port.ack(1)?;
            ensure!(block(&port.receive()?) == 2, "no block 2");
            port.ack(2)?;
            let next = port.receive()?;
            ensure!(block(&next) == 3, "{} after ACK 2", describe(&next));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "ack-of-the-future",
        shows: "an ACK of a block that was not sent is ignored",
        basis: "RFC 1350",
        run: |world| {
            let (mut port, _) = world.ask("even", &[])?;
            port.ack(4)?;
            port.ack(1)?;
            let next = port.receive()?;
            ensure!(next[1] == DATA && block(&next) == 2, "{} after ACK 4 and ACK 1", describe(&next));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "lost-data",
        shows: "a block that is not acknowledged is sent again",
        basis: "RFC 1350",
        run: |world| {
            let (mut port, oack) = world.ask("even", &[SOON])?;
            let mut packet = oack;
            if packet[1] == OACK {
                port.ack(0)?;
                packet = port.receive()?;
            }
            ensure!(packet[1] == DATA && block(&packet) == 1, "{}", describe(&packet));
            let again = port.receive()?;
            ensure!(again == packet, "{} instead of block 1", describe(&again));
            ensure!(port.rest(again, BLOCK)? == content("even"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "lost-oack",
        shows: "an OACK that is not acknowledged is sent again",
        basis: "RFC 2347",
        run: |world| {
            let (mut port, oack) = world.ask("small", &[SOON, ("blksize", "512")])?;
            let again = port.receive()?;
            ensure!(again == oack, "{} instead of {}", describe(&again), describe(&oack));
            ensure!(port.rest(again, BLOCK)? == content("small"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "duplicate-request",
        shows: "a request that comes twice from one port still ends in one right file",
        basis: "RFC 1350; firmware asks again soon",
        run: |world| {
            let mut port = world.port()?;
            port.request(1, "even", "octet", &[])?;
            port.request(1, "even", "octet", &[])?;
            let first = port.receive()?;
            ensure!(port.rest(first, BLOCK)? == content("even"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "error-stops",
        shows: "after an ERROR of the client nothing more is sent: its port is closed",
        basis: "RFC 1350 7",
        run: |world| {
            let (mut port, _) = world.ask("even", &[])?;
            port.send(&[0, ERROR, 0, 0, 0])?;
            port.ack(1)?;
            world.lives()?;
            match port.receive_within(std::time::Duration::from_millis(300))? {
                Some(packet) => bail!("{}", describe(&packet)),
                None => Ok(Answer::Right),
            }
        },
    },
    Check {
        name: "transfer-id",
        shows: "a transfer has a port of its own, and a stranger's packets to it change nothing",
        basis: "RFC 1350 4",
        run: |world| {
            let (mut port, first) = world.ask("even", &[])?;
            let mut stranger = world.port()?;
            stranger.peer = port.peer;
            stranger.ack(1)?;
            stranger.send(&[0, ERROR, 0, 0, 0])?;
            ensure!(port.rest(first, BLOCK)? == content("even"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "transfers-at-once",
        shows: "eight transfers of one client, step by step, end in eight right files",
        basis: "practice",
        run: |world| {
            let opened: Result<Vec<_>> = (0..8).map(|_| world.ask("even", &[])).collect();
            for (mut port, first) in opened? {
                ensure!(port.rest(first, BLOCK)? == content("even"), "another file");
            }
            Ok(Answer::Right)
        },
    },
];

const fn whole(
    name: &'static str,
    shows: &'static str,
    run: fn(&mut World) -> Result<Answer>,
) -> Check<World> {
    Check { name, shows, basis: "RFC 1350", run }
}

fn same(world: &World, name: &str) -> Result<Answer> {
    let file = world.fetch(name, &[], BLOCK)?;
    ensure!(file == content(name), "{} bytes, or others", file.len());
    Ok(Answer::Right)
}
