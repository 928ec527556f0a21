//! Links behind relays of the real world.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Daemon, Host, Lan};
use rustix::process::Signal;
use serde_json::Value;

use super::programs::{Client, expect};
use super::served::{SERVER, Served};
use super::{Context, context::STEP_LIMIT};

const CONFIG: &str = r#"
[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.69"]
[[dhcp.subnet]]
subnet = "10.1.0.0/24"
ranges = ["10.1.0.60-10.1.0.69"]
router = "10.1.0.1"
[[dhcp.subnet]]
subnet = "10.2.0.0/24"
ranges = ["10.2.0.60-10.2.0.69"]
router = "10.2.0.1"
"#;

pub(super) fn relayed(context: &Context) -> Result<()> {
    let (local, first, second) = (Lan::new()?, Lan::new()?, Lan::new()?);
    let _captures = [
        local.capture(context.dir(), "local")?,
        first.capture(context.dir(), "first")?,
        second.capture(context.dir(), "second")?,
    ];
    let host = local.host("server", &format!("{SERVER}/24"))?;
    let relays = [
        relay(&first, "dhcrelay", "10.1.0.1/24", &local, "10.188.0.1/24")?,
        relay(&second, "dnsmasq", "10.2.0.1/24", &local, "10.188.0.2/24")?,
    ];
    ip(&host, &["route", "add", "10.1.0.0/24", "via", "10.188.0.1"])?;
    ip(&host, &["route", "add", "10.2.0.0/24", "via", "10.188.0.2"])?;
    let server = Served::start_on(context, host, CONFIG, &[])?;
    let _dhcrelay = dhcrelay(context, &relays[0])?;
    let _dnsmasq = dnsmasq(context, &relays[1])?;

    let hosts = [
        machine(&local, "here", 0x10)?,
        machine(&first, "behind-dhcrelay", 0x11)?,
        machine(&second, "behind-dnsmasq", 0x12)?,
    ];
    for (host, router) in hosts.iter().zip([None, Some("10.1.0.1"), Some("10.2.0.1")]) {
        lease_renew_release(context, &server, host, router)?;
    }

    let before = machine(&first, "before", 0x13)?;
    let after = machine(&second, "after", 0x13)?;
    moves(context, &before, &after)?;
    let leases = server.ask_json("leases")?;
    ensure!(leases.len() == 5, "not five leases: {leases:#?}");
    Ok(())
}

/// A host with a link to each of two LANs, and routes between them.
fn relay(near: &Lan, name: &str, near_cidr: &str, far: &Lan, far_cidr: &str) -> Result<Host> {
    let host = near.host(name, near_cidr)?;
    far.join(&host, "eth1", far_cidr)?;
    host.namespace().sysctl("ipv4/ip_forward", "1")?;
    Ok(host)
}

/// `-a` adds option 82: dhcrelay takes it out again, and forwards only answers that it finds it in.
fn dhcrelay(context: &Context, host: &Host) -> Result<Daemon> {
    let mut command = Command::new("dhcrelay");
    command.args(["-4", "-d", "--no-pid", "-a", "-D", "-id", "eth0", "-iu", "eth1", SERVER]);
    let relay = Daemon::start(host.namespace(), "dhcrelay", context.dir(), &mut command)?;
    relay.output().wait_for("Sending on   Socket/fallback", STEP_LIMIT)?;
    Ok(relay)
}

fn dnsmasq(context: &Context, host: &Host) -> Result<Daemon> {
    let mut command = Command::new("dnsmasq");
    command.args(["--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--pid-file="]);
    command.args(["--user=root", "--port=0", "--log-dhcp"]).arg(format!("--dhcp-relay=10.2.0.1,{SERVER}"));
    let relay = Daemon::start(host.namespace(), "dnsmasq", context.dir(), &mut command)?;
    relay.output().wait_for("DHCP relay from 10.2.0.1", STEP_LIMIT)?;
    Ok(relay)
}

/// Hosts of different LANs have the same MACs otherwise; here the MAC says which machine it is.
fn machine(lan: &Lan, name: &str, number: u8) -> Result<Host> {
    let host = lan.client(name)?;
    ip(&host, &["link", "set", "eth0", "address", &format!("02:00:00:00:00:{number:02x}")])?;
    Ok(host)
}

fn ip(host: &Host, arguments: &[&str]) -> Result<()> {
    let done = host.namespace().output(Command::new("ip").args(arguments))?;
    ensure!(done.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

/// Renewal and release go past the relay, straight to the server.
fn lease_renew_release(context: &Context, server: &Served, host: &Host, router: Option<&str>) -> Result<()> {
    let client = Client::new(context, host)?;
    let udhcpc = client.udhcpc_that_stays()?;
    udhcpc.output().wait_for("the script was told bound", STEP_LIMIT)?;
    let given = client.given()?.context("no address")?;
    let network = router.map_or("10.188.0.", |router| &router[..router.len() - 1]);
    let address = given.get("ip").context("no address")?;
    ensure!(address.starts_with(&format!("{network}6")), "{address} is not of {network}0: {given:#?}");
    expect(&given, "serverid", SERVER)?;
    if let Some(router) = router {
        expect(&given, "router", router)?;
        ip(host, &["route", "add", "default", "via", router])?;
    }
    udhcpc.signal(Signal::USR1)?;
    udhcpc.output().wait_for("sending renew to server", STEP_LIMIT)?;
    udhcpc.output().wait_for("the script was told renew", STEP_LIMIT)?;
    ensure!(lease(server, address)?["state"] == "bound", "{address} is lent to nobody");
    udhcpc.signal(Signal::USR2)?;
    udhcpc.output().wait_for("entering released state", STEP_LIMIT)?;
    // The release is on its way when udhcpc says so, and nobody answers it.
    let deadline = Instant::now() + STEP_LIMIT;
    while lease(server, address)?["state"] != "released" {
        ensure!(Instant::now() < deadline, "{address} was not given back");
    }
    context.note(&format!("{}: {address} lent, renewed and given back", host.name()));
    Ok(())
}

fn lease(server: &Served, address: &str) -> Result<Value> {
    let leases = server.ask_json("leases")?;
    leases
        .into_iter()
        .find(|lease| lease["address"] == address)
        .with_context(|| format!("no lease of {address}"))
}

/// The machine comes with the lease of one link to the other.
fn moves(context: &Context, before: &Host, after: &Host) -> Result<()> {
    let there = Client::new(context, before)?;
    let given = there.dhclient("")?.0.context("no address behind dhcrelay")?;
    ensure!(given.get("new_ip_address").is_some_and(|ip| ip.starts_with("10.1.0.6")), "{given:#?}");
    there.stop_dhclient()?;

    let here = Client::new(context, after)?;
    fs::copy(there.dhclient_leases(), here.dhclient_leases())?;
    let (given, said) = here.dhclient("")?;
    ensure!(said.contains("DHCPNAK"), "the address of the other link was not refused: {said}");
    let given = given.with_context(|| format!("no address behind dnsmasq: {said}"))?;
    ensure!(given.get("new_ip_address").is_some_and(|ip| ip.starts_with("10.2.0.6")), "{given:#?}");
    here.release_dhclient()?;
    context.note("a machine that moved hears NAK and gets an address of the other link");
    Ok(())
}
