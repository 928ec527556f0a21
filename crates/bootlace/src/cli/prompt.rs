//! Asking for a password on a terminal without showing it.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use bootlace_core::crypt::PHRASE_BYTES_MAX;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// What the keys are as bytes. The terminal's own editing is off: its signals would end the program with the echo off.
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_H: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Asks on the terminal that standard input is.
pub(super) fn ask(question: &str) -> Result<Vec<u8>> {
    if !io::stdin().is_terminal() {
        bail!(
            "standard input is no terminal: write `-` behind the command to have the password read from it"
        );
    }
    let silent = Silent::begin().context("cannot switch the terminal's echo off")?;
    eprint!("{question}");
    let line = line(io::stdin().lock());
    drop(silent);
    eprintln!();
    line
}

/// The terminal shows nothing that is typed until this is dropped.
struct Silent {
    before: Termios,
}

impl Silent {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Drain, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that went away needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
        let _ = io::stderr().flush();
    }
}

/// One line, with the keys that correct it.
fn line(keys: impl BufRead) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    for key in keys.bytes() {
        match key.context("cannot read the terminal")? {
            b'\n' | b'\r' => return Ok(line),
            CTRL_D if !line.is_empty() => return Ok(line),
            CTRL_C | CTRL_D => bail!("broken off"),
            CTRL_U => line.clear(),
            CTRL_H | DELETE => {
                // A character of UTF-8 goes with all its bytes.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            // The first byte too many makes it too long for whoever takes it.
            _ if line.len() > PHRASE_BYTES_MAX => {}
            byte => line.push(byte),
        }
    }
    bail!("broken off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_correct_a_line() {
        let typed = |keys: &str| line(keys.as_bytes()).map(|line| String::from_utf8(line).unwrap());
        let cases = [
            ("geheim\n", "geheim"),
            ("geheim\r", "geheim"),
            ("gehx\u{7f}eim\nmore\n", "geheim"),
            ("sch\u{f6}\u{8}\u{7f}\u{7f}\u{7f}\u{7f}o\n", "o"),
            ("wrong\u{15}right\n", "right"),
            ("right\u{4}", "right"),
            ("\n", ""),
        ];
        for (keys, expected) in cases {
            assert_eq!(typed(keys).unwrap(), expected, "{keys:?}");
        }
        for keys in ["", "unfinished", "\u{4}", "half\u{3}\n"] {
            assert_eq!(typed(keys).unwrap_err().to_string(), "broken off", "{keys:?}");
        }
        let long = format!("{}\n", "x".repeat(2 * PHRASE_BYTES_MAX));
        assert_eq!(typed(&long).unwrap().len(), PHRASE_BYTES_MAX + 1);
    }
}
