//! Requests: names, modes and what is no request.

use anyhow::{Result, ensure};

use super::super::check::{Answer, Check};
use super::world::{BLOCK, DATA, ERROR, SECRET, World, block, content, describe};

const ROBUST: &str = "anybody on the wire can send it";

pub(super) const CHECKS: &[Check<World>] = &[
    Check {
        name: "name-absent",
        shows: "a file that is not there is ERROR 1 at once",
        basis: "RFC 1350; firmware tries many names",
        run: |world| {
            let (_, answer) = world.ask("no-such-file", &[])?;
            ensure!(answer[1] == ERROR && block(&answer) == 1, "{}", describe(&answer));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "name-in-a-folder",
        shows: "a name with a folder, with and without a slash before it",
        basis: "practice",
        run: |world| {
            for name in ["dir/inner", "/dir/inner"] {
                ensure!(world.fetch(name, &[], BLOCK)? == content("dir/inner"), "{name} is another file");
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "name-with-backslashes",
        shows: "a backslash is a slash",
        basis: "practice: Windows' bootmgr asks so",
        run: |world| {
            let file = world.fetch("\\dir\\inner", &[], BLOCK)?;
            ensure!(file == content("dir/inner"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "name-of-a-folder",
        shows: "a folder is an ERROR",
        basis: "RFC 1350",
        run: |world| refused(world, "dir"),
    },
    Check {
        name: "name-escapes",
        shows: "no name leads out of the served folder: .., absolute, backslashes",
        basis: ROBUST,
        run: |world| {
            for name in
                ["../secret", "/../secret", "dir/../../secret", "..\\secret", "./../secret", "/etc/passwd"]
            {
                refused(world, name)?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "name-without-an-end",
        shows: "a request without a zero behind its name does no harm",
        basis: ROBUST,
        run: |world| harmless(world, b"\0\x01small"),
    },
    Check {
        name: "name-absurd",
        shows: "no name, no mode and names of 400 bytes do no harm",
        basis: ROBUST,
        run: |world| {
            harmless(world, b"\0\x01")?;
            harmless(world, b"\0\x01\0octet\0")?;
            harmless(world, b"\0\x01small\0")?;
            harmless(world, &[b"\0\x01".as_slice(), &[b'a'; 400], b"\0octet\0"].concat())
        },
    },
    Check {
        name: "opcode-absurd",
        shows: "packets of other kinds to port 69, and packets of 0 and 1 bytes, do no harm",
        basis: ROBUST,
        run: |world| {
            for bytes in [
                b"".as_slice(),
                b"\0",
                b"\0\0",
                b"\0\x03\0\x01x",
                b"\0\x04\0\x01",
                b"\0\x05\0\0\0",
                b"\0\x09",
                b"\xff\xff",
            ] {
                harmless(world, bytes)?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "mode-has-no-case",
        shows: "OcTeT is octet",
        basis: "RFC 1350 5",
        run: |world| {
            let mut port = world.port()?;
            port.request(1, "small", "OcTeT", &[])?;
            let first = port.receive()?;
            ensure!(port.rest(first, BLOCK)? == content("small"), "another file");
            Ok(Answer::Right)
        },
    },
    Check {
        name: "mode-netascii",
        shows: "netascii is answered: by the bytes as they are, with other line ends, or an ERROR",
        basis: "RFC 1350; what boots is binary",
        run: |world| {
            let mut port = world.port()?;
            port.request(1, "small", "netascii", &[])?;
            let first = port.receive()?;
            ensure!(matches!(first[1], DATA | ERROR), "{}", describe(&first));
            if first[1] == DATA {
                port.rest(first, BLOCK)?;
            }
            Ok(Answer::Right)
        },
    },
    Check {
        name: "mode-mail",
        shows: "mail mode is an ERROR",
        basis: "RFC 1350: obsolete",
        run: |world| {
            let mut port = world.port()?;
            port.request(1, "small", "mail", &[])?;
            let answer = port.receive()?;
            ensure!(answer[1] == ERROR, "{}", describe(&answer));
            Ok(Answer::Right)
        },
    },
    Check {
        name: "writing-is-refused",
        shows: "a write request for a new file is an ERROR",
        basis: "a boot server has nothing to be written",
        run: |world| {
            let mut port = world.port()?;
            port.request(2, "new", "octet", &[])?;
            let answer = port.receive()?;
            ensure!(answer[1] == ERROR, "{}", describe(&answer));
            Ok(Answer::Right)
        },
    },
];

fn refused(world: &World, name: &str) -> Result<Answer> {
    let (_, answer) = world.ask(name, &[])?;
    let leaked = answer.windows(SECRET.len()).any(|part| part == SECRET);
    ensure!(answer[1] == ERROR && !leaked, "{name}: {}", describe(&answer));
    Ok(Answer::Right)
}

fn harmless(world: &World, bytes: &[u8]) -> Result<Answer> {
    world.port()?.send(bytes)?;
    world.lives()?;
    Ok(Answer::Right)
}
