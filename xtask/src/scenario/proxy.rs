//! Beside another DHCP server, which gives out the addresses and knows nothing of booting.

pub(super) mod auto;
mod ip_dhcp;

use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use bootlace_lab::{Firmware, Lan, Machine};

use super::context::BOOT_LIMIT;
use super::peers::{start_dnsmasq, start_kea};
use super::rawdhcp::{OFFER, OPTION_SERVER_ID, Packet, RawDhcp, Reply};
use super::served::SERVER;
use super::stage::{Files, WEB1, WEB1_MAC, web1_boots};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "proxy-leaves-alone",
        shows: "beside dnsmasq, an operating system hears of dnsmasq alone, and firmware of both",
        run: leaves_alone,
    },
    Scenario {
        name: "proxy-ip-dhcp",
        shows: "Debian's kernel with `ip=dhcp` beside dnsmasq gets exactly one offer, and no reply of the proxy",
        run: ip_dhcp::one_offer,
    },
    Scenario {
        name: "proxy-seabios",
        shows: "SeaBIOS and QEMU's iPXE get their address from dnsmasq and their boot from the proxy",
        run: |context| boot(context, Firmware::SeaBios, Beside::OtherHost, ""),
    },
    Scenario {
        name: "proxy-seabios-same-host",
        shows: "the same beside a Kea that is started later on the host of the proxy, with port 67 free for it",
        run: |context| boot(context, Firmware::SeaBios, Beside::SameHost, ""),
    },
    Scenario {
        name: "proxy-seabios-kea",
        shows: "the same beside a Kea on another host",
        run: |context| boot(context, Firmware::SeaBios, Beside::KeaElsewhere, ""),
    },
    Scenario {
        name: "proxy-ovmf",
        shows: "OVMF's own PXE asks port 4011 of the proxy for its loader",
        run: |context| boot(context, Firmware::Ovmf, Beside::OtherHost, ""),
    },
    Scenario {
        name: "proxy-http-ovmf",
        shows: "OVMF's HTTP Boot takes its URL from the proxy's offer and its address from dnsmasq",
        run: |context| boot(context, Firmware::OvmfHttpBoot, Beside::OtherHost, ""),
    },
    Scenario {
        name: "proxy-ovmf-offer",
        shows: "OVMF's own PXE takes its loader from the offer, on the same host as Kea",
        run: |context| boot(context, Firmware::Ovmf, Beside::SameHost, "proxy = \"offer\"\n"),
    },
];

/// Where the other DHCP server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// dnsmasq on 10.188.0.1.
    OtherHost,
    /// Kea there.
    KeaElsewhere,
    /// Kea on the proxy's own.
    SameHost,
}

const FIRMWARE_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x57];
const ROUTER: &str = "10.188.0.1";

fn boot(context: &Context, firmware: Firmware, beside: Beside, keys: &str) -> Result<()> {
    let lan = Lan::new()?;
    let router = lan.host("router", &format!("{ROUTER}/24"))?;
    let network = format!("[dhcp]\nmode = \"proxy\"\n{keys}");
    let files =
        Files::on(context, &network, WEB1)?.put_linux("ip link set eth0 up\nudhcpc -i eth0 -n -q -f")?;
    let stage = files.serve_on(lan)?;
    // After the proxy: nothing of it may keep the other server from starting.
    let _other = match beside {
        Beside::OtherHost => start_dnsmasq(context, router.namespace(), &[])?,
        Beside::KeaElsewhere => start_kea(context.dir(), router.namespace())?,
        Beside::SameHost => start_kea(context.dir(), stage.server.host().namespace())?,
    };
    let mut boot = stage.switch_on(&Machine::new("web1", WEB1_MAC, firmware))?;
    web1_boots(context, &boot.machine)?;
    let lease = boot.machine.console().line_from("BOOTLACE-LAB lease: bound", BOOT_LIMIT)?;
    context.note(&lease);
    ensure!(
        lease.contains("ip=10.188.0.10") || lease.contains("ip=10.188.0.2"),
        "not of the other server: {lease}"
    );
    boot.machine.wait_off(BOOT_LIMIT)?;
    ensure!(stage.server.ask_json("leases")?.is_empty(), "a proxy gives nobody an address");
    boot.went_as_foretold(&stage)
}

fn leaves_alone(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let router = lan.host("router", &format!("{ROUTER}/24"))?;
    let client = lan.client("client")?;
    let _stage = Files::on(context, "[dhcp]\nmode = \"proxy\"\n", WEB1)?.serve_on(lan)?;
    let _dnsmasq = start_dnsmasq(context, router.namespace(), &[])?;
    let raw = RawDhcp::open(client.namespace())?;
    let theirs = answer(&raw, &Packet::discover([2, 0, 0, 0, 0, 1], 1), ROUTER, OFFER)?;
    context.note(&format!("dnsmasq offers an operating system {}", theirs.address));
    let offers = offers_before_firmware(&raw, [2, 0, 0, 0, 0, 2])?;
    ensure!(
        offers.iter().all(|server| server == ROUTER),
        "the proxy made an operating system an offer: {offers:?}"
    );
    Ok(())
}

/// The answer of one server among several.
fn answer(raw: &RawDhcp, packet: &Packet, server: &str, kind: u8) -> Result<Reply> {
    let deadline = Instant::now() + BOOT_LIMIT;
    raw.send(packet)?;
    while Instant::now() < deadline {
        match raw.receive()? {
            Some(reply) if (reply.xid, reply.kind) == (packet.xid, kind) && server_of(&reply) == server => {
                return Ok(reply);
            }
            Some(_) => {}
            None => raw.send(packet)?,
        }
    }
    bail!("{server} does not answer {packet:?}")
}

/// Who offers an operating system an address, until the proxy has answered firmware that asked after it: servers answer
/// in the order that they are asked in. The proxy's offer is the one without an address.
fn offers_before_firmware(raw: &RawDhcp, mac: [u8; 6]) -> Result<Vec<String>> {
    // An answer to an earlier question may be late.
    let asked = 100 + 2 * u32::from(mac[5]);
    let (system, mut firmware) = (Packet::discover(mac, asked), Packet::discover(FIRMWARE_MAC, asked + 1));
    firmware = firmware.with(60, b"PXEClient:Arch:00000:UNDI:002001").with(93, &[0, 0]);
    raw.send(&system)?;
    raw.send(&firmware)?;
    let (mut offers, deadline) = (Vec::new(), Instant::now() + BOOT_LIMIT);
    while Instant::now() < deadline {
        let Some(reply) = raw.receive()? else {
            raw.send(&firmware)?;
            continue;
        };
        if reply.xid == firmware.xid && reply.address.is_unspecified() {
            ensure!(server_of(&reply) == SERVER, "the proxy is {}", server_of(&reply));
            return Ok(offers);
        }
        if reply.xid == system.xid {
            offers.push(server_of(&reply));
        }
    }
    bail!("the proxy does not answer firmware")
}

fn server_of(reply: &Reply) -> String {
    reply.four(OPTION_SERVER_ID).map(|ip| Ipv4Addr::from(ip).to_string()).unwrap_or_default()
}
