//! `bootlace passwd` beside `mkpasswd`, program against program.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Context, Scenario};
use crate::mutate::Mutator;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "passwd-mkpasswd",
        shows: "bootlace passwd gives what mkpasswd gives: twenty passwords of each method at the default, fifty at the lowest cost",
        run: short,
    },
    Scenario {
        name: "passwd-mkpasswd-thousands",
        shows: "the same with a thousand passwords of each method at the lowest cost",
        run: long,
    },
];

const SEED: u64 = 0x7061_7373;
/// Passwords of each method at its default cost.
const DEFAULT: usize = 20;
/// The same at its lowest.
const LOWEST: usize = 50;
const LOWEST_LONG: usize = 1000;
/// More than anybody types, less than what mkpasswd reads at once.
const PASSWORD_BYTES_MAX: usize = 100;

/// A method by the names of both programs.
#[derive(Clone, Copy)]
struct Method {
    ours: &'static str,
    theirs: &'static str,
    /// Its lowest rounds, where there is a choice.
    lowest: Option<&'static str>,
    /// Rounds to ask mkpasswd for where its default is not ours.
    default: Option<&'static str>,
}

const METHODS: [Method; 5] = [
    Method { ours: "sha512", theirs: "sha512crypt", lowest: Some("1000"), default: None },
    Method { ours: "sha256", theirs: "sha256crypt", lowest: Some("1000"), default: None },
    Method { ours: "md5", theirs: "md5crypt", lowest: None, default: None },
    Method { ours: "yescrypt", theirs: "yescrypt", lowest: Some("1"), default: None },
    // bcrypt begins at 4, but mkpasswd takes 5 for it.
    Method { ours: "bcrypt", theirs: "bcrypt", lowest: Some("5"), default: Some("10") },
];

fn short(context: &Context) -> Result<()> {
    all(context, LOWEST)
}

fn long(context: &Context) -> Result<()> {
    all(context, LOWEST_LONG)
}

fn all(context: &Context, lowest: usize) -> Result<()> {
    let (first, second) = METHODS.split_at(METHODS.len() / 2);
    let each = |methods: &[Method]| methods.iter().try_for_each(|method| compare(context, *method, lowest));
    thread::scope(|scope| {
        let other = scope.spawn(|| each(first));
        let own = each(second);
        match other.join() {
            Ok(done) => done.and(own),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn compare(context: &Context, method: Method, lowest: usize) -> Result<()> {
    let mut random = Mutator::new(SEED);
    for number in 0..lowest + DEFAULT {
        let password = password(&mut random);
        let (ours, theirs) = match number < lowest {
            true => (method.lowest, method.lowest),
            false => (None, method.default),
        };
        same(context, method, (ours, theirs), &password)
            .with_context(|| format!("{}, password {password:02x?}", method.ours))?;
    }
    context.note(&format!("{}: {lowest} at the lowest cost and {DEFAULT} at the default", method.ours));
    Ok(())
}

/// Any bytes that stand in a line.
fn password(random: &mut Mutator) -> Vec<u8> {
    let length = 1 + random.below(PASSWORD_BYTES_MAX);
    let bytes = std::iter::repeat_with(|| random.below(256) as u8);
    bytes.filter(|byte| !matches!(byte, 0 | b'\n' | b'\r')).take(length).collect()
}

/// mkpasswd draws a salt; with that one the hash must come out the same.
fn same(
    context: &Context,
    method: Method,
    (ours, theirs): (Option<&str>, Option<&str>),
    password: &[u8],
) -> Result<()> {
    let mut mkpasswd = Command::new("mkpasswd");
    // Its argument is optional, so it belongs into the same word.
    mkpasswd.arg("--stdin").arg(format!("--method={}", method.theirs));
    mkpasswd.args(theirs.iter().flat_map(|rounds| ["--rounds", rounds]));
    let expected = answer(&mut mkpasswd, password).context("mkpasswd, of the Debian package whois")?;
    let mut passwd = Command::new(context.bootlace());
    passwd.args(["passwd", "-", "--method", method.ours, "--salt", salt(&expected)?]);
    passwd.args(ours.iter().flat_map(|rounds| ["--rounds", rounds]));
    let made = answer(&mut passwd, password)?;
    ensure!(made == expected, "bootlace: {made}, mkpasswd: {expected}");
    Ok(())
}

/// What stands between the last two `$`; bcrypt has no `$` behind its 22 characters of salt.
fn salt(hash: &str) -> Result<&str> {
    let mut parts = hash.rsplit('$');
    let (Some(last), Some(before)) = (parts.next(), parts.next()) else { bail!("{hash} is no hash") };
    match hash.starts_with("$2") {
        true => last.get(..22).with_context(|| format!("{hash} has no salt")),
        false => Ok(before),
    }
}

/// The line that a program prints when it is given this one.
fn answer(command: &mut Command, input: &[u8]) -> Result<String> {
    let name = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {}", name.display()))?;
    let line = [input, b"\n"].concat();
    child.stdin.take().context("its input")?.write_all(&line).context("write the password")?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", name.display(), said.trim());
    // bcrypt's word about long passwords is the only one.
    ensure!(said.is_empty() || said.contains("the first 72 bytes"), "{}: {}", name.display(), said.trim());
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
