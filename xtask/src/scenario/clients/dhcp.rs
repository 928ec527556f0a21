//! Addresses and options.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::Lan;

use super::programs::{Client, Given, expect, expect_none};
use super::rawdhcp::{ACK, NAK, OFFER, Packet, RawDhcp, mac_text};
use super::served::Served;
use super::{Context, context::STEP_LIMIT};

/// A reservation in the second of two subnets on one wire, for the MAC of the LAN's third port.
const TWO_SUBNETS: &str = r#"
[dhcp]
mode = "server"
authoritative = true
options = { 42 = ["10.188.0.5", "10.188.0.6"] }
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.69"]
lease  = "4h"
router = ["10.188.0.1"]
dns    = ["10.188.0.20", "10.188.0.21"]
domain = "example.com"
[[dhcp.subnet]]
subnet = "10.189.0.0/24"
router = ["10.189.0.1"]
[[machine]]
name = "web1"
mac  = "RESERVED"
address = "10.189.0.61"
options = { mtu = 1400 }
"#;

/// What dhclient asks for beyond its habit, and the DUID with which a systemd or a modern dhclient goes.
const DHCLIENT_DUID: &str =
    "send dhcp-client-identifier ff:12:34:56:78:00:04:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10;
request subnet-mask, routers, domain-name, domain-name-servers, ntp-servers, dhcp-renewal-time, dhcp-rebinding-time;
";

pub(super) fn clients(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let host = lan.host("server", "10.188.0.10/24")?;
    host.namespace().links().add_addr("eth0", "10.189.0.10/24".parse()?)?;
    let (first, second) = (lan.client("first")?, lan.client("second")?);
    let config = TWO_SUBNETS.replace("RESERVED", &mac_text(second.mac().0));
    let mut server = Served::start_on(context, host, &config, &[])?;

    let client = Client::new(context, &first)?;
    let address = one_address(context, &client, &mut server)?;
    let lease = server.ask_json("leases")?;
    ensure!(lease.len() == 1 && lease[0]["address"] == address, "not one lease: {lease:?}");

    let reserved = Client::new(context, &second)?;
    let given = reserved.udhcpc(&["-O", "mtu"])?.context("no address for the reservation")?;
    for (name, value) in [("ip", "10.189.0.61"), ("router", "10.189.0.1"), ("mtu", "1400")] {
        expect(&given, name, value)?;
    }
    expect(&given, "serverid", "10.189.0.10")?;
    context.note("the reservation in the second subnet");
    Ok(())
}

/// One machine's way through three clients, four identities and a power cut.
fn one_address(context: &Context, client: &Client<'_>, server: &mut Served) -> Result<String> {
    let given = client.udhcpc(&["-O", "ntpsrv", "-O", "58", "-O", "59"])?.context("udhcpc got nothing")?;
    options_of_udhcpc(&given)?;
    let address = given.get("ip").context("no address")?.clone();
    context.note(&format!("udhcpc: {address}"));

    let given = client.udhcpc(&["-C", "-x", "0x3d:00626f6f746c616365"])?.context("udhcpc got nothing")?;
    expect(&given, "ip", &address)?;
    client.flush()?;
    context.note("udhcpc with another client-id");

    let given = client.dhclient(DHCLIENT_DUID)?.0.context("dhclient got nothing")?;
    expect(&given, "new_ip_address", &address)?;
    expect(&given, "reason", "BOUND")?;
    options_of_dhclient(&given)?;
    client.stop_dhclient()?;
    context.note("dhclient with a DUID");

    server.kill()?;
    server.revive()?;
    let (given, said) = client.dhclient(DHCLIENT_DUID)?;
    let given = given.with_context(|| format!("dhclient got nothing: {said}"))?;
    expect(&given, "reason", "REBOOT")?;
    expect(&given, "new_ip_address", &address)?;
    ensure!(!said.contains("DHCPDISCOVER"), "an INIT-REBOOT began anew: {said}");
    client.stop_dhclient()?;
    context.note("dhclient again after a power cut: INIT-REBOOT");

    let given = client.ipconfig()?;
    for (name, value) in [
        ("IPV4ADDR", address.as_str()),
        ("IPV4GATEWAY", "10.188.0.1"),
        ("IPV4DNS0", "10.188.0.20"),
        ("IPV4DNS1", "10.188.0.21"),
        ("DNSDOMAIN", "example.com"),
    ] {
        expect(&given, name, value)?;
    }
    // ROOTSERVER says nothing: without a next server ipconfig takes the one that answered.
    expect_none(&given, "filename")?;
    client.flush()?;
    context.note("ipconfig");
    Ok(address)
}

fn options_of_udhcpc(given: &Given) -> Result<()> {
    for (name, value) in [
        ("mask", "24"),
        ("router", "10.188.0.1"),
        ("dns", "10.188.0.20 10.188.0.21"),
        ("domain", "example.com"),
        ("ntpsrv", "10.188.0.5 10.188.0.6"),
        ("serverid", "10.188.0.10"),
        ("lease", "14400"),
    ] {
        expect(given, name, value)?;
    }
    // RFC 2131 section 4.4.5: about a half and seven eighths, so that machines do not all come back at once.
    for (name, part) in [("opt58", 0.5), ("opt59", 0.875)] {
        let seconds = given.get(name).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let of_lease = f64::from(seconds.with_context(|| format!("no {name}"))?) / 14_400.0;
        ensure!((of_lease - part).abs() < 0.05, "{name} is {of_lease} of the lease");
    }
    for name in ["siaddr", "boot_file", "sname", "tftp", "bootfile"] {
        expect_none(given, name)?;
    }
    Ok(())
}

fn options_of_dhclient(given: &Given) -> Result<()> {
    for (name, value) in [
        ("new_subnet_mask", "255.255.255.0"),
        ("new_routers", "10.188.0.1"),
        ("new_domain_name_servers", "10.188.0.20 10.188.0.21"),
        ("new_domain_name", "example.com"),
        ("new_ntp_servers", "10.188.0.5 10.188.0.6"),
    ] {
        expect(given, name, value)?;
    }
    expect_none(given, "new_filename")?;
    expect_none(given, "new_next_server")
}

pub(super) fn exhausted(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let server = Served::start(
        context,
        &lan,
        "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\nranges = [\"10.188.0.60-10.188.0.61\"]\n",
    )?;
    let hosts = [lan.client("first")?, lan.client("second")?, lan.client("third")?];
    let [first, second, third] = &hosts;
    let (first, second, third) =
        (Client::new(context, first)?, Client::new(context, second)?, Client::new(context, third)?);

    let kept = first.udhcpc(&[])?.context("the first got nothing")?;
    let given = second.dhclient("")?.0.context("the second got nothing")?;
    let lent = given.get("new_ip_address").context("no address")?;
    ensure!(kept.get("ip") != Some(lent), "two machines have {lent}");
    let warned = server.log().any_line_from("most addresses of a subnet are lent", STEP_LIMIT)?;
    ensure!(warned.contains("subnet=10.188.0.0/24 held=2 of=2"), "not what is lent: {warned}");
    ensure!(third.udhcpc(&["-t", "2", "-T", "1"])?.is_none(), "a third address of two");
    let line = server.log().line_from("no address was left", STEP_LIMIT)?;
    context.note(&line);

    // The release is on its way when dhclient ends, and udhcpc asks again and again.
    let said = second.release_dhclient()?;
    let given = third.udhcpc(&["-t", "10", "-T", "1"])?;
    let given = given.with_context(|| format!("the third got nothing after a release: {said}"))?;
    expect(&given, "ip", lent)?;
    context.note("a released address has a new holder");
    Ok(())
}

pub(super) fn wrong_network(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let config = "[dhcp]\nmode = \"server\"\nauthoritative = true\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\nranges = [\"10.188.0.60-10.188.0.69\"]\n";
    let server = Served::start(context, &lan, config)?;
    let host = lan.client("traveller")?;
    let client = Client::new(context, &host)?;
    fs::write(client.dhclient_leases(), LEASE_OF_ELSEWHERE)?;
    let (given, said) = client.dhclient("")?;
    ensure!(said.contains("DHCPNAK"), "an address of another network was not refused: {said}");
    let given = given.context("nothing after the NAK")?;
    ensure!(given.get("new_ip_address").is_some_and(|ip| ip.starts_with("10.188.0.6")), "{given:?}");
    client.release_dhclient()?;
    context.note("authoritative: NAK, and dhclient begins anew");
    drop(server);

    let quiet = Lan::new()?;
    let server = Served::start(context, &quiet, &config.replace("true", "false"))?;
    let stranger = quiet.client("stranger")?;
    let raw = RawDhcp::open(stranger.namespace())?;
    let mac = [2, 0, 0, 0, 0, 1];
    raw.send(&Packet::init_reboot(mac, 1, Ipv4Addr::new(192, 168, 7, 7)))?;
    raw.send(&Packet::init_reboot(mac, 2, Ipv4Addr::new(10, 188, 0, 65)))?;
    // Answers come in the order of the questions: when this one is here, the others were not answered.
    raw.send(&Packet::discover(mac, 3))?;
    let reply = raw.receive()?.context("no answer to a DISCOVER")?;
    ensure!((reply.xid, reply.kind) == (3, OFFER), "a server without authority answered: {reply:?}");
    let wrong = Packet::init_reboot(mac, 4, Ipv4Addr::new(192, 168, 7, 7));
    ensure!(raw.exchange(&Packet::request(&reply))?.kind == ACK, "no ACK");
    ensure!(raw.exchange(&wrong)?.kind == NAK, "a machine that we know was left with a wrong address");
    context.note("not authoritative: silence, but for a machine that it knows");
    drop(server);
    Ok(())
}

const LEASE_OF_ELSEWHERE: &str = r#"lease {
  interface "eth0";
  fixed-address 192.168.7.7;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 86400;
  option dhcp-message-type 5;
  option dhcp-server-identifier 192.168.7.1;
  renew never;
  rebind never;
  expire never;
}
"#;
