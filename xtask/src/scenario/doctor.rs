//! `bootlace doctor` on a sick host, on a healthy one and on a proxy beside another DHCP server.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::link::{LinkAddr, Stacked};
use bootlace_lab::{Daemon, Host, Lan, Namespace};
use serde_json::Value;

use super::context::STEP_LIMIT;
use super::peers::start_dnsmasq;
use super::served::{SERVER, SUBNET, Served, serve_also, write_config};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "doctor-finds",
    shows: "the doctor finds another DHCP server, a taken port, a link that is down, a firewall and a missing loader, and nothing on healthy hosts",
    run: finds,
}];

/// What the computer that runs the lab may really have.
const OF_THE_COMPUTER: [&str; 3] = ["space-low", "clock-wrong", "clock-not-synchronised"];
const LOADERS: [&str; 2] = ["undionly.kpxe", "snponly.efi"];

fn finds(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let alone = Lan::new()?;
    let router = lan.host("router", "10.188.0.1/24")?;
    // Without its pings, since two doctors ask it at once, and it pings for one client at a time.
    let _dnsmasq = start_dnsmasq(context, router.namespace(), &["--no-ping"])?;
    let sick = lan.host("sick", &format!("{SERVER}/24"))?;
    lan.join(&sick, "eth1", "10.189.0.10/24")?;
    let beside = lan.host("beside", "10.188.0.11/24")?;
    let healthy = alone.host("healthy", &format!("{SERVER}/24"))?;
    thread::scope(|scope| {
        let others = [scope.spawn(|| on_sick(context, &sick)), scope.spawn(|| on_proxy(context, &beside))];
        let healthy = on_healthy(context, healthy);
        let joined = others.into_iter().map(|other| match other.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.chain([healthy]).collect()
    })
}

fn on_sick(context: &Context, host: &Host) -> Result<()> {
    let dir = context.dir().join("sick");
    write_config(&dir, &format!("follow = []\n[dhcp]\nmode = \"server\"\n{SUBNET}"))?;
    serve_also(&dir, "eth1")?;
    fs::write(dir.join("boot").join(LOADERS[0]), "loader")?;
    let ns = host.namespace();
    ns.links().down("eth1")?;
    ns.links().add_stacked(Stacked::Macvtap, "vm0", "eth0", LinkAddr([0x02, 0xb0, 0x07, 0, 0, 1]))?;
    let mut atftpd = Command::new("atftpd");
    atftpd.args(["--daemon", "--no-fork", "--user", "root.root", "--logfile", "-"]).arg(dir.join("boot"));
    let _atftpd = Daemon::start(ns, "atftpd", &dir, &mut atftpd)?;
    wait_for_port(ns, 69)?;
    for words in [
        "add table inet filter",
        "add chain inet filter input { type filter hook input priority 0; policy accept; }",
        "add rule inet filter input udp dport 67 counter drop",
    ] {
        let done = ns.output(Command::new("nft").arg(words))?;
        ensure!(done.status.success(), "nft {words}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let (succeeded, findings) = examine(context, host, &dir)?;
    ensure!(!succeeded, "errors are a failure");
    for (code, place, said) in [
        ("foreign-dhcp-server", "message", "10.188.0.1"),
        ("port-taken", "evidence", "by atftpd (process "),
        ("interface-down", "fix", "ip link set eth1 up"),
        ("firewall-drops", "fix", "nft insert rule inet filter input iifname \"eth0\" udp dport 67 accept"),
        ("macvlan-child", "evidence", "vm0 is a macvtap on eth0"),
        ("loader-missing", "message", "uefi-x64"),
    ] {
        let found = findings.iter().find(|finding| finding["code"] == code);
        let found = found.with_context(|| format!("no {code} in {findings:#?}"))?;
        let text = found[place].as_str().unwrap_or_default();
        ensure!(text.contains(said), "{code}: {text}");
        context.note(&format!("{code}: {}", found["message"]));
    }
    let about: Vec<&Value> = findings.iter().filter(|finding| finding["code"] == "firewall-drops").collect();
    ensure!(about.len() == 2, "one port on two interfaces is dropped: {about:#?}");
    ensure!(findings.iter().filter(|finding| finding["code"] == "port-taken").count() == 1, "{findings:#?}");
    Ok(())
}

/// Before the server starts, and while it runs.
fn on_healthy(context: &Context, host: Host) -> Result<()> {
    let dir = context.dir();
    let config = format!("follow = []\n[dhcp]\nmode = \"server\"\n{SUBNET}");
    write_config(dir, &config)?;
    put_loaders(dir)?;
    is_fine(context, &host, dir, "before the start")?;
    let server = Served::start_on(context, host, &config, &[])?;
    is_fine(context, server.host(), dir, "while it serves")
}

/// With the other server that it needs.
fn on_proxy(context: &Context, host: &Host) -> Result<()> {
    let dir = context.dir().join("proxy");
    write_config(&dir, "follow = []\n[dhcp]\nmode = \"proxy\"\n")?;
    put_loaders(&dir)?;
    is_fine(context, host, &dir, "as a proxy")
}

fn put_loaders(dir: &Path) -> Result<()> {
    LOADERS.iter().try_for_each(|name| fs::write(dir.join("boot").join(name), "loader"))?;
    Ok(())
}

fn is_fine(context: &Context, host: &Host, dir: &Path, when: &str) -> Result<()> {
    let (succeeded, findings) = examine(context, host, dir)?;
    let ours: Vec<&Value> = findings
        .iter()
        .filter(|finding| !OF_THE_COMPUTER.iter().any(|code| finding["code"] == *code))
        .collect();
    ensure!(ours.is_empty(), "{when}: {ours:#?}");
    ensure!(succeeded || !findings.is_empty(), "{when}: it fails without a finding");
    context.note(&format!("nothing is found {when}"));
    Ok(())
}

/// Whether the doctor was content, and what it found.
fn examine(context: &Context, host: &Host, dir: &Path) -> Result<(bool, Vec<Value>)> {
    let mut command = Command::new(context.bootlace());
    command.args(["doctor", "--json", "-c"]).arg(dir.join("bootlace.toml"));
    let output = host.namespace().output(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(&text)
        .with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
    let findings = said["findings"].as_array().context("no findings in the answer")?;
    Ok((output.status.success(), findings.clone()))
}

/// It says nothing when it has it.
fn wait_for_port(ns: &Namespace, port: u16) -> Result<()> {
    let started = std::time::Instant::now();
    let has_it = || -> Result<bool> {
        let table = ns.run(|| fs::read_to_string("/proc/thread-self/net/udp"))??;
        let local = format!(":{port:04X}");
        Ok(table.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|own| own.ends_with(&local))))
    };
    while !has_it()? {
        ensure!(started.elapsed() < STEP_LIMIT, "nobody takes UDP port {port}");
        thread::yield_now();
    }
    Ok(())
}
