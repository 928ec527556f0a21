//! Against our server on the very host that it runs on.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Daemon, Host, Lan};
use rustix::process::Signal;

use super::bootlace::{CMDLINE, CONFIG, fill};
use super::context::STEP_LIMIT;
use super::served::{SUBNET, Served, has_nobody};
use super::{Context, leaves_nothing, play};

const MACHINES: [(&str, &str, &str); 4] = [
    ("bios", "52:54:00:00:00:51", "linux"),
    ("http-x64", "52:54:00:00:00:52", "linux"),
    ("ipxe", "52:54:00:00:00:53", "linux"),
    ("kernel", "52:54:00:00:00:54", "lease"),
];
const CROWD: u64 = 20;
/// What the server logs.
const ENDED: &str = "`bootlace probe --local` has ended";

pub(super) fn own_host(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    fill(context)?;
    let user = if has_nobody()? { "user = \"nobody\"\n" } else { "" };
    let dhcp = "[dhcp]\nmode = \"server\"\nauthoritative = true\n";
    let server = Served::start(context, &lan, &format!("{user}{dhcp}{SUBNET}{CONFIG}"))?;
    let watcher = lan.host("watcher", "10.188.0.20/24")?;
    let heard = watcher.namespace().run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67)))??;
    heard.set_nonblocking(true)?;
    let config = context.dir().join("bootlace.toml");
    let config = config.to_str().context("a path is not UTF-8")?;
    let local = ["--local", "--config", config];
    for (kind, mac, end) in MACHINES {
        let played =
            play(context, server.host(), &[&local[..], &["--firmware", kind, "--mac", mac]].concat())?;
        server.log().wait_for(ENDED, STEP_LIMIT)?;
        context.note(&format!("{kind} {mac} {}", played.text("/end/text")));
        ensure!(played.succeeded && played.text("/end/kind") == end, "{kind} {mac}: {:#}", played.view);
        ensure!(
            end != "linux" || played.text("/end/cmdline").ends_with(CMDLINE),
            "{kind}: {:#}",
            played.view
        );
    }
    let count = CROWD.to_string();
    let crowd = ["--firmware", "ipxe", "--mac", "52:54:00:00:01:00", "--count", &count];
    let played = play(context, server.host(), &[&local[..], &crowd].concat())?;
    ensure!(played.succeeded && played.view["booted"].as_u64() == Some(CROWD), "{:#}", played.view);
    server.log().wait_for(ENDED, STEP_LIMIT)?;
    let leases = server.ask_json("leases")?;
    ensure!(leases.len() == MACHINES.len() + CROWD as usize, "{} leases", leases.len());
    leaves_nothing(server.host())?;

    refused(context, &server, &local)?;
    ends_with_the_probe(context, &server, &local)?;

    let silence = heard.recv(&mut [0; 1500]).map_err(|error| error.kind());
    ensure!(silence == Err(std::io::ErrorKind::WouldBlock), "a played machine was on the network");
    let host = lan.client("probe")?;
    let played = play(context, &host, &["--firmware", "udhcpc"])?;
    ensure!(played.succeeded, "the network's machines are not served any more: {:#}", played.view);
    leaves_nothing(server.host())
}

/// Only what is served already, only by a probe, only at the socket.
fn refused(context: &Context, server: &Served, local: &[&str]) -> Result<()> {
    let (_, said) = probe(context, server.host(), "lo", local)?;
    ensure!(said.contains("does not serve lo: use one of eth0"), "{said}");
    let socket = context.dir().join("state/admin.sock");
    let post = |more: &[&str]| -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--request", "POST"]).args(more);
        Ok(String::from_utf8_lossy(&server.host().namespace().output(&mut curl)?.stdout).into_owned())
    };
    let socket = socket.to_str().context("a path is not UTF-8")?;
    let said = post(&["--unix-socket", socket, "http://bootlace/api/v1/probe/eth0"])?;
    ensure!(said.contains("there is no link bootlace-probe"), "{said}");
    let said = post(&["http://127.0.0.1:8470/api/v1/probe/eth0"])?;
    ensure!(said.contains("a token is needed"), "over TCP nothing is changed: {said}");
    Ok(())
}

/// One at a time, and a killed one is over.
fn ends_with_the_probe(context: &Context, server: &Served, local: &[&str]) -> Result<()> {
    let mut command = Command::new(context.bootlace());
    command.args(["probe", "--interface", "eth0", "--firmware", "uefi-x64"]).args(local);
    let mut first = Daemon::start(server.host().namespace(), "probe", context.dir(), &mut command)?;
    server.log().wait_for("serving `bootlace probe --local`", STEP_LIMIT)?;
    // So that it cannot end by itself.
    first.signal(Signal::STOP)?;
    let (succeeded, said) = probe(context, server.host(), "eth0", local)?;
    ensure!(!succeeded && said.contains("another probe with --local is under way"), "{said}");
    first.signal(Signal::KILL)?;
    first.wait(STEP_LIMIT)?;
    server.log().wait_for(ENDED, STEP_LIMIT)?;
    let (succeeded, said) = probe(context, server.host(), "eth0", local)?;
    ensure!(succeeded, "{said}");
    leaves_nothing(server.host())
}

fn probe(context: &Context, host: &Host, interface: &str, local: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new(context.bootlace());
    command.args(["probe", "--interface", interface, "--firmware", "udhcpc"]).args(local);
    let output = host.namespace().output(&mut command)?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}
