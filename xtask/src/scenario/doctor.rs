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
    shows: "the doctor finds another DHCP server, taken ports, a link that is down, firewalls at three places and a missing loader, and nothing on healthy hosts",
    run: finds,
}];

/// What the computer that runs the lab may really have.
const OF_THE_COMPUTER: [&str; 3] = ["space-low", "clock-wrong", "clock-not-synchronised"];
/// Where the API shall listen.
const ADMIN: &str = "127.0.0.1:8470";
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
    let admin = format!("[admin]\nlisten = \"{ADMIN}\"\n");
    write_config(&dir, &format!("follow = []\n[dhcp]\nmode = \"server\"\n{SUBNET}{admin}"))?;
    serve_also(&dir, "eth1")?;
    fs::write(dir.join("boot").join(LOADERS[0]), "loader")?;
    let ns = host.namespace();
    ns.links().down("eth1")?;
    ns.links().add_stacked(Stacked::Macvtap, "vm0", "eth0", LinkAddr([0x02, 0xb0, 0x07, 0, 0, 1]))?;
    let _taken = ns.run(|| std::net::TcpListener::bind(ADMIN))?.context("take the port of the API")?;
    let mut atftpd = Command::new("atftpd");
    atftpd.args(["--daemon", "--no-fork", "--user", "root.root", "--logfile", "-"]).arg(dir.join("boot"));
    let _atftpd = Daemon::start(ns, "atftpd", &dir, &mut atftpd)?;
    wait_for_port(ns, 69)?;
    for words in [
        "nft add table inet filter",
        "nft add chain inet filter input { type filter hook input priority 0; policy accept; }",
        "nft add rule inet filter input udp dport 67 counter drop",
        "nft add table netdev early",
        "nft add chain netdev early in { type filter hook ingress device \"eth0\" priority 0; policy accept; }",
        "nft add rule netdev early in udp dport 69 drop",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let done = ns.output(Command::new(words[0]).args(&words[1..]))?;
        ensure!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let legacy = drops_by_the_old_interface(ns)?;
    let (succeeded, findings) = examine(context, host, &dir)?;
    ensure!(!succeeded, "errors are a failure");
    let by_legacy = "iptables-legacy -t raw -I PREROUTING -i eth0 -p tcp --dport 80 -j ACCEPT";
    let expected_of_legacy = legacy.then_some(("firewall-drops", "fix", by_legacy));
    let expected = [
        ("foreign-dhcp-server", "message", "10.188.0.1"),
        ("port-taken", "evidence", "by atftpd (process "),
        ("interface-down", "fix", "ip link set eth1 up"),
        ("firewall-drops", "fix", "nft insert rule inet filter input iifname \"eth0\" udp dport 67 accept"),
        ("firewall-drops", "fix", "nft insert rule netdev early in iifname \"eth0\" udp dport 69 accept"),
        ("port-taken", "message", "the API ([admin] listen)"),
        ("macvlan-child", "evidence", "vm0 is a macvtap on eth0"),
        ("loader-missing", "message", "uefi-x64"),
    ];
    for (code, place, said) in expected.into_iter().chain(expected_of_legacy) {
        let says = |finding: &&Value| finding[place].as_str().is_some_and(|text| text.contains(said));
        let found = findings.iter().filter(|finding| finding["code"] == code).find(says);
        let found = found.with_context(|| format!("no {code} that says {said:?} in {findings:#?}"))?;
        context.note(&format!("{code}: {}", found["message"]));
    }
    let about: Vec<&Value> = findings.iter().filter(|finding| finding["code"] == "firewall-drops").collect();
    ensure!(
        about.len() == 3 + usize::from(legacy),
        "one port on two interfaces is dropped, and others on one: {about:#?}"
    );
    ensure!(findings.iter().filter(|finding| finding["code"] == "port-taken").count() == 2, "{findings:#?}");
    Ok(())
}

/// Drops HTTP before routing, where the kernel still has the old interface.
fn drops_by_the_old_interface(ns: &Namespace) -> Result<bool> {
    let rule = ["-t", "raw", "-A", "PREROUTING", "-i", "eth0", "-p", "tcp", "--dport", "80", "-j", "DROP"];
    Ok(ns.output(Command::new("iptables-legacy").args(rule))?.status.success())
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
