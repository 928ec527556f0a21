//! `bootlace passwd`.

use std::io::{self, Read};

use anyhow::{Context, Result, bail, ensure};
use bootlace_core::crypt::{Hash, Method, PHRASE_BYTES_MAX, Phrase, Salt, Setting};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use rustix::rand::{GetRandomFlags, getrandom};

use super::{prompt, say};

/// Hashes a password as crypt(3) does: what answer files and `[password.NAME]` take instead of the password itself.
#[derive(Args)]
pub(super) struct Passwd {
    /// How it is hashed
    #[arg(long, default_value = "sha512", value_parser = methods(), conflicts_with = "verify")]
    method: Method,
    /// Salt instead of a random one, as crypt(3) writes it
    #[arg(long, value_name = "S", conflicts_with = "verify")]
    salt: Option<String>,
    /// Rounds; for bcrypt their binary logarithm (4 to 31), for yescrypt the cost (1 to 11)
    #[arg(long, value_name = "N", conflicts_with = "verify")]
    rounds: Option<u32>,
    /// Say whether the password is that of this hash, instead of making one; the shell needs it in single quotes
    #[arg(long, value_name = "HASH")]
    verify: Option<Hash>,
    /// Read the password from standard input, one line, instead of asking for it
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    from: Option<String>,
}

fn methods() -> impl TypedValueParser<Value = Method> {
    let names = PossibleValuesParser::new(Method::ALL.map(Method::name));
    names.try_map(|name| name.parse::<Method>().map_err(|()| "no such method"))
}

impl Passwd {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verify {
            Some(hash) => self.verify(hash),
            None => self.make(),
        }
    }

    fn make(&self) -> Result<()> {
        let mut random = [0; 16];
        let salt = match &self.salt {
            Some(text) => Salt::Text(text),
            None => {
                getrandom(&mut random, GetRandomFlags::empty()).context("cannot get random bytes")?;
                Salt::Random(random)
            }
        };
        let setting = Setting::new(self.method, self.rounds, salt)?;
        let password = match self.from {
            Some(_) => from_stdin()?,
            None => asked_twice()?,
        };
        ensure!(!password.is_empty(), "the password is empty: anybody could log in");
        let counts = self.method.phrase_bytes();
        let phrase = Phrase::new(&password)?;
        if password.len() > counts {
            eprintln!("bootlace: {} looks at the first {counts} bytes of a password only", self.method);
        }
        say(Hash::of(phrase, &setting).as_str())
    }

    fn verify(&self, hash: &Hash) -> Result<()> {
        let password = match self.from {
            Some(_) => from_stdin()?,
            None => prompt::ask("Password: ")?,
        };
        ensure!(hash.matches(Phrase::new(&password)?), "the hash is another password's");
        say("the hash is this password's")
    }
}

fn asked_twice() -> Result<Vec<u8>> {
    let password = prompt::ask("Password: ")?;
    ensure!(prompt::ask("Again: ")? == password, "the two passwords differ");
    Ok(password)
}

/// The one line of standard input, without its end.
fn from_stdin() -> Result<Vec<u8>> {
    let mut input = Vec::new();
    // With its end, and one byte too many: a longer password is refused, not cut.
    let most = PHRASE_BYTES_MAX as u64 + 3;
    io::stdin().lock().take(most).read_to_end(&mut input).context("cannot read standard input")?;
    let line = input.strip_suffix(b"\n").unwrap_or(&input);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() <= PHRASE_BYTES_MAX && line.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        bail!("standard input has more than one line");
    }
    Ok(line.to_vec())
}
