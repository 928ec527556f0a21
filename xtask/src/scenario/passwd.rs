//! Password hashes: `bootlace passwd` beside `mkpasswd`, program against program, and what machines are given.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::{Firmware, Host, Lan, Machine};

use super::boots::MAC;
use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::served::{SERVER, Served};
use super::stage::Files;
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
    Scenario {
        name: "password-served",
        shows: "a machine gets the hash of a password, the same one until that changes, a stranger none, and explain shows none",
        run: served,
    },
    Scenario {
        name: "password-seabios",
        shows: "a kernel started by iPXE finds the hashes on its command line as they were made",
        run: on_the_command_line,
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

/// A preseeded installer; the hash is its last argument.
const PRESEEDED: &str = r#"default = "installer"
follow = []
[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.99"]
[password.root]
file = "root.password"
[boot.installer]
kind = "linux"
kernel = "linux"
cmdline = "auto=true passwd/root-password-crypted={{ password.root }}"
"#;
const ARGUMENT: &str = "root-password-crypted=";

fn served(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let file = context.dir().join("root.password");
    fs::write(&file, "the first\n")?;
    let server = Served::start(context, &lan, PRESEEDED)?;
    let client = lan.host("client", "10.188.0.20/24")?;
    let first = given(&client)?;
    fits(context, &first, "the first")?;
    ensure!(given(&client)? == first, "another hash for the same machine");

    let config = context.dir().join("bootlace.toml");
    fs::write(&config, fs::read_to_string(&config)? + "[boot.other]\nkind = \"local\"\n")?;
    server.log().wait_for("reloaded", STEP_LIMIT)?;
    ensure!(given(&client)? == first, "another hash after a reload that changed nothing of it");
    context.note("one hash across a reload");

    // In one step, as editors do.
    fs::write(context.dir().join("next"), "the second\n")?;
    fs::rename(context.dir().join("next"), &file)?;
    server.log().wait_for("reloaded", STEP_LIMIT)?;
    let second = given(&client)?;
    fits(context, &second, "the second")?;
    ensure!(fits(context, &second, "the first").is_err(), "the former password fits the new hash");
    context.note("another hash for another password");

    let made =
        answer(Command::new(context.bootlace()).args(["passwd", "-", "--method", "yescrypt"]), b"third")?;
    fs::write(context.dir().join("next"), &made)?;
    fs::rename(context.dir().join("next"), &file)?;
    server.log().wait_for("reloaded", STEP_LIMIT)?;
    ensure!(given(&client)? == made, "a hash in the file is not given as it is");
    context.note("the hash that the file holds");

    let stranger = script(&client, "&mac=52:54:00:00:00:99")?;
    ensure!(stranger.contains("no secret") && !stranger.contains(ARGUMENT), "{stranger}");
    let foretold = server.ask(&["explain", "--mac", "52:54:00:00:00:01", "--set", "loader=ipxe"])?;
    ensure!(foretold.contains(&format!("{ARGUMENT}hash-of-root")), "{foretold}");
    for hash in [first, second, made] {
        ensure!(!foretold.contains(&hash) && !server.log().text().contains(&hash), "a hash is shown");
    }
    context.note("none for a stranger, in the log or by explain");
    Ok(())
}

/// Every sign that a hash can have goes through iPXE, which has no quoting.
const ALL_METHODS: &str = r#"
[password.a]
file = "root.password"
rounds = 1000
[password.b]
file = "root.password"
method = "yescrypt"
[password.c]
file = "root.password"
method = "bcrypt"
rounds = 4
[boot.installer]
kind = "linux"
kernel = "vmlinuz"
initrd = "initrd"
cmdline = "console=ttyS0 first={{ password.a }} second={{ password.b }} third={{ password.c }}"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
boot = "installer"
"#;

fn on_the_command_line(context: &Context) -> Result<()> {
    fs::write(context.dir().join("root.password"), "of the root\n")?;
    let stage = Files::new(context, ALL_METHODS)?.put_linux("")?.serve()?;
    let boot = stage.switch_on(&Machine::new("web1", MAC, Firmware::SeaBios))?;
    let line = boot.machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    for (key, start) in [("first=", "$6$rounds=1000$"), ("second=", "$y$j9T$"), ("third=", "$2b$04$")] {
        let hash = line.split_whitespace().find_map(|word| word.strip_prefix(key));
        let hash =
            hash.filter(|hash| hash.starts_with(start)).with_context(|| format!("no {start} in {line}"))?;
        fits(context, hash, "of the root")?;
        context.note(&format!("the kernel has {hash}"));
    }
    boot.went_as_foretold(&stage)
}

/// The hash in the script that the client gets.
fn given(client: &Host) -> Result<String> {
    let script = script(client, "")?;
    let rest = script.split_once(ARGUMENT).map(|(_, rest)| rest);
    let hash = rest.and_then(|rest| rest.split_whitespace().next());
    hash.map(str::to_owned).with_context(|| format!("no hash in {script}"))
}

fn script(client: &Host, more: &str) -> Result<String> {
    let url = format!("http://{SERVER}/script?platform=pcbios&buildarch=i386{more}");
    let output = client.namespace().output(Command::new("curl").args(["-fsS", &url]))?;
    ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a hash is a password's, by the command.
fn fits(context: &Context, hash: &str, password: &str) -> Result<()> {
    let mut verify = Command::new(context.bootlace());
    answer(verify.args(["passwd", "-", "--verify", hash]), password.as_bytes()).map(drop)
}
