//! What is negotiated.

use anyhow::{Context as _, Result, ensure};

use super::super::check::{Answer, Check};
use super::world::{BLOCK, DATA, ERROR, OACK, World, block, content, describe, granted};

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "option-tsize",
        shows: "tsize 0 is answered by the size of the file",
        basis: "RFC 2349; EDK2 and pxelinux need it",
        run: |world| grants(world, ("tsize", "0"), &["1000"]),
    },
    Check {
        name: "option-blksize",
        shows: "a block size that fits the network is granted as it is",
        basis: "RFC 2348",
        run: |world| {
            grants(world, ("blksize", "1432"), &["1432"])?;
            let file = world.fetch("even", &[("blksize", "1432")], 1432)?;
            ensure!(file == content("even"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-blksize-least",
        shows: "a block size of 8 is granted",
        basis: "RFC 2348",
        run: |world| grants(world, ("blksize", "8"), &["8"]),
    },
    Check {
        name: "option-blksize-most",
        shows: "for 65,464 something not larger is granted, and the file comes whole in it",
        basis: "RFC 2348",
        run: |world| {
            let (mut port, oack) = world.ask("long", &[("blksize", "65464")])?;
            let size: usize = value(&oack, "blksize")?.parse()?;
            ensure!((8..=65_464).contains(&size), "{size}");
            ensure!(port.rest(oack, size)? == content("long"), "another file in blocks of {size}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-blksize-absurd",
        shows: "sizes below 8, above 65,464 and no numbers are never granted as they are",
        basis: "RFC 2348",
        run: |world| {
            for absurd in ["0", "7", "65465", "99999999999", "-512", "x"] {
                never(world, "blksize", absurd)?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-timeout",
        shows: "a timeout is granted as it was asked for",
        basis: "RFC 2349; U-Boot compares",
        run: |world| {
            let (port, first) = world.ask("small", &[("timeout", "3")])?;
            port.send(&[0, ERROR, 0, 0, 0])?;
            if first[1] == DATA {
                return Ok(Answer::NotOffered("DATA 1 for timeout".to_owned()));
            }
            ensure!(value(&first, "timeout")? == "3", "{}", describe(&first));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-timeout-absurd",
        shows: "a timeout of 0 or 256 is never granted",
        basis: "RFC 2349",
        run: |world| {
            never(world, "timeout", "0")?;
            never(world, "timeout", "256")
        },
    },
    Check {
        name: "option-windowsize",
        shows: "a window of 4 is granted: four blocks before an ACK",
        basis: "RFC 7440",
        run: |world| {
            let (mut port, oack) = world.ask("even", &[("windowsize", "4")])?;
            if oack[1] != OACK || value(&oack, "windowsize").is_err() {
                return Ok(Answer::NotOffered(format!("{} for windowsize", describe(&oack))));
            }
            port.ack(0)?;
            for expected in 1..=4 {
                let packet = port.receive()?;
                ensure!(packet[1] == DATA && block(&packet) == expected, "{}", describe(&packet));
            }
            port.ack(4)?;
            ensure!(port.receive()?.len() == 4, "no empty block at the end");
            port.ack(5)?;
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-windowsize-gap",
        shows: "an ACK inside of a window starts the next one behind it",
        basis: "RFC 7440 4",
        run: |world| {
            let (mut port, oack) = world.ask("even", &[("windowsize", "4")])?;
            if oack[1] != OACK || value(&oack, "windowsize").is_err() {
                return Ok(Answer::NotOffered(format!("{} for windowsize", describe(&oack))));
            }
            port.ack(0)?;
            for _ in 1..=4 {
                port.receive()?;
            }
            port.ack(2)?;
            let packet = port.receive()?;
            ensure!(block(&packet) == 3, "{} after ACK 2", describe(&packet));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-windowsize-zero",
        shows: "a window of 0 is never granted",
        basis: "RFC 7440 3",
        run: |world| never(world, "windowsize", "0"),
    },
    Check {
        name: "option-unknown",
        shows: "an unknown option is ignored: block 1 comes at once",
        basis: "RFC 2347",
        run: |world| {
            let (mut port, first) = world.ask("small", &[("x-colour", "blue")])?;
            ensure!(first[1] == DATA, "{}", describe(&first));
            ensure!(port.rest(first, BLOCK)? == content("small"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-only-what-is-asked",
        shows: "an OACK has nothing that was not asked for",
        basis: "RFC 2347; EDK2 and pxelinux give up",
        run: |world| {
            let (_, oack) =
                world.ask("small", &[("x-colour", "blue"), ("tsize", "0"), ("blksize", "1024")])?;
            let foreign = granted(&oack)?.into_iter().find(|(name, _)| name != "tsize" && name != "blksize");
            ensure!(foreign.is_none(), "{foreign:?}");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "option-names-have-no-case",
        shows: "BLKSIZE is blksize",
        basis: "RFC 2347",
        run: |world| grants(world, ("BLKSIZE", "1024"), &["1024"]),
    },
    Check {
        name: "option-refused-by-the-client",
        shows: "a client that answers an OACK by ERROR 8 can ask again without options",
        basis: "RFC 2347; EDK2 does so after every size probe",
        run: |world| {
            let (port, oack) = world.ask("small", &[("tsize", "0")])?;
            ensure!(oack[1] == OACK, "{}", describe(&oack));
            port.send(&[0, ERROR, 0, 8, b'n', b'o', 0])?;
            world.lives()?;
            Ok(Answer::Right)
        },
    },
];

fn value(oack: &[u8], option: &str) -> Result<String> {
    let pairs = granted(oack)?;
    let found = pairs.into_iter().find(|(name, _)| *name == option.to_lowercase());
    Ok(found.with_context(|| format!("{option} is not granted"))?.1)
}

fn grants(world: &World, (option, asked): (&str, &str), right: &[&str]) -> Result<Answer> {
    let (port, oack) = world.ask("small", &[(option, asked)])?;
    port.send(&[0, ERROR, 0, 0, 0])?;
    let value = value(&oack, option)?;
    ensure!(right.contains(&value.as_str()), "{option} {asked} became {value}");
    Ok(Answer::Right)
}

/// The option is ignored, lowered or refused, but not granted as it is; and the server goes on.
fn never(world: &World, option: &str, asked: &str) -> Result<Answer> {
    let (port, first) = world.ask("small", &[(option, asked)])?;
    port.send(&[0, ERROR, 0, 0, 0])?;
    let value = if first[1] == OACK { value(&first, option).ok() } else { None };
    ensure!(value.as_deref() != Some(asked), "{option} {asked} is granted");
    world.lives()?;
    Ok(Answer::Right)
}
