//! `mode = "auto"`: whoever else answers on a network, and on which.

use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::Lan;
use rustix::process::Signal;

use super::super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::super::peers::{start_dnsmasq, start_dnsmasq_in, start_kea};
use super::super::rawdhcp::{ACK, OFFER, Packet, RawDhcp};
use super::super::served::{SERVER, Served, serve_also, write_config};
use super::super::stage::{WEB1, WEB1_MAC};
use super::super::{Context, Scenario};
use super::{ROUTER, answer, offers_before_firmware};

pub(in super::super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "auto-hears",
        shows: "in auto mode it serves a network that has no DHCP server, beside one that has, and is the proxy of one that comes",
        run: |context| auto(context, Afterwards::End),
    },
    Scenario {
        name: "auto-comes-and-goes",
        shows: "the same, and serves again when the other one is gone",
        run: |context| auto(context, Afterwards::OtherGoes),
    },
    Scenario {
        name: "auto-same-host",
        shows: "in auto mode it starts as the proxy of a Kea on its own host, and leaves it port 67 over its restarts",
        run: same_host,
    },
];

const AUTO: &str = r#"
[dhcp]
mode = "auto"
probe = false
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]
"#;
/// Another network, which has a server already.
const TAKEN: &str = r#"
[[dhcp.subnet]]
subnet = "10.189.0.0/24"
ranges = ["10.189.0.60-10.189.0.70"]
"#;
const HEARD: &str = "another DHCP server is there";
const QUIET: &str = "no other DHCP server answers";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    End,
    OtherGoes,
}

fn auto(context: &Context, afterwards: Afterwards) -> Result<()> {
    let (lan, taken) = (Lan::new()?, Lan::new()?);
    let router = lan.host("router", &format!("{ROUTER}/24"))?;
    let client = lan.client("client")?;
    let other = taken.host("other", "10.189.0.1/24")?;
    let _other = start_dnsmasq_in(
        &context.dir().join("taken"),
        other.namespace(),
        "10.189.0.100,10.189.0.109",
        &["--no-ping"],
    )?;
    let server = lan.host("server", &format!("{SERVER}/24"))?;
    taken.join(&server, "eth1", "10.189.0.10/24")?;
    write_config(context.dir(), &format!("{AUTO}{TAKEN}{WEB1}"))?;
    serve_also(context.dir(), "eth1")?;
    let served = Served::start_as_written(context, server, &[])?;
    let log = served.log();
    // It may have been heard before the server was ready, and what came before that was read already.
    let written = std::fs::read_to_string(context.dir().join("bootlace.log"))?;
    let heard = match written.lines().find(|line| line.contains(HEARD)) {
        Some(line) => line.to_owned(),
        None => log.line_from(HEARD, BOOT_LIMIT)?,
    };
    ensure!(heard.contains("eth1") && heard.contains("10.189.0.1"), "not of eth1: {heard}");
    let quiet = log.line_from(QUIET, BOOT_LIMIT)?;
    ensure!(quiet.contains("eth0"), "not of eth0: {quiet}");
    let raw = RawDhcp::open(client.namespace())?;
    let own = raw.lease(&Packet::discover([2, 0, 0, 0, 0, 1], 1))?;
    context.note(&format!("alone on eth0, it lends {}", own.address));
    let mut local = Command::new(context.bootlace());
    local.args(["probe", "--local", "--interface", "eth0", "--firmware", "ipxe", "--mac", WEB1_MAC]);
    local.arg("--config").arg(context.dir().join("bootlace.toml"));
    let played = served.host().namespace().output(&mut local)?;
    let told = String::from_utf8_lossy(&played.stdout);
    // There is no kernel here.
    ensure!(
        told.contains("boot.ipxe") && told.contains("vmlinuz"),
        "a machine played on the host itself: {told}"
    );

    let mut dnsmasq = start_dnsmasq(context, router.namespace(), &[])?;
    // Both offer; whoever takes dnsmasq's tells everybody by it.
    let other = Packet::discover([2, 0, 0, 0, 0, 2], 2);
    let theirs = answer(&raw, &other, ROUTER, OFFER)?;
    answer(&raw, &Packet::request(&theirs), ROUTER, ACK)?;
    while !log.line_from(HEARD, STEP_LIMIT)?.contains("eth0") {}
    let offers = offers_before_firmware(&raw, [2, 0, 0, 0, 0, 3])?;
    ensure!(offers.iter().all(|server| server == ROUTER), "it still offers addresses: {offers:?}");
    let renewed = answer(&raw, &Packet::init_reboot(own.mac, 9, own.address), SERVER, ACK)?;
    ensure!(renewed.address == own.address, "its own lease is another now: {renewed:?}");
    context.note("beside dnsmasq, it offers nothing and extends its lease");
    if afterwards == Afterwards::OtherGoes {
        dnsmasq.signal(Signal::TERM)?;
        dnsmasq.wait(STEP_LIMIT)?;
        let own = answer(&raw, &Packet::discover([2, 0, 0, 0, 0, 4], 10), SERVER, OFFER)?;
        context.note(&format!("alone again, it offers {}", own.address));
    }
    Ok(())
}

fn same_host(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let client = lan.client("client")?;
    let server = lan.host("server", &format!("{SERVER}/24"))?;
    let mut kea = start_kea(context.dir(), server.namespace())?;
    let served = Served::start_on(context, server, &format!("{AUTO}{WEB1}"), &[])?;
    let written = std::fs::read_to_string(context.dir().join("bootlace.log"))?;
    let said = "another program of this host has UDP port 67";
    ensure!(written.contains(said), "it does not say why it is a proxy");
    let raw = RawDhcp::open(client.namespace())?;
    // Who has two servers of one address before it cannot tell whose an offer is but by what is offered.
    let theirs = raw.lease(&Packet::discover([2, 0, 0, 0, 0, 1], 1))?;
    ensure!(theirs.address.octets()[3] >= 200, "not of Kea: {theirs:?}");
    let offers = offers_before_firmware(&raw, [2, 0, 0, 0, 0, 2])?;
    ensure!(offers.len() <= 1, "two servers offer an address: {offers:?}");
    ensure!(served.ask_json("leases")?.is_empty(), "it lends addresses beside Kea");
    context.note("beside Kea on its host it is a proxy");
    kea.signal(Signal::TERM)?;
    kea.wait(STEP_LIMIT)?;
    let offers = offers_before_firmware(&raw, [2, 0, 0, 0, 0, 3])?;
    ensure!(offers.is_empty(), "while Kea is away it offers addresses: {offers:?}");
    let _kea = start_kea(context.dir(), served.host().namespace())?;
    let theirs = raw.lease(&Packet::discover([2, 0, 0, 0, 0, 4], 4))?;
    ensure!(theirs.address.octets()[3] >= 200, "not of Kea: {theirs:?}");
    context.note("Kea is started again and has its port");
    Ok(())
}
