//! Beside another DHCP server, which gives out the addresses and knows nothing of booting.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::{Daemon, Firmware, Lan, Machine, Namespace};

use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::rawdhcp::{OFFER, OPTION_SERVER_ID, Packet, RawDhcp};
use super::stage::{Files, Stage};
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "proxy-leaves-alone",
        shows: "beside dnsmasq, an operating system hears of dnsmasq alone, and firmware of both",
        run: leaves_alone,
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
    /// Kea on the proxy's own.
    SameHost,
}

const MAC: &str = "52:54:00:12:34:57";
const CMDLINE: &str = "BOOTLACE-LAB cmdline:";
const ARGUMENTS: &str = "console=ttyS0 hostname=web1";
const ROUTER: &str = "10.188.0.1";

const LINUX: &str = r#"
[boot.rescue]
kind = "linux"
kernel = "vmlinuz"
initrd = ["initrd"]
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[[machine]]
name = "web1"
mac = ["52:54:00:12:34:57"]
boot = "rescue"
"#;

fn boot(context: &Context, firmware: Firmware, beside: Beside, keys: &str) -> Result<()> {
    let lan = Lan::new()?;
    let router = lan.host("router", &format!("{ROUTER}/24"))?;
    let network = format!("[dhcp]\nmode = \"proxy\"\n{keys}");
    let files =
        Files::on(context, &network, LINUX)?.put_linux("ip link set eth0 up\nudhcpc -i eth0 -n -q -f")?;
    let stage = files.serve_on(lan)?;
    // After the proxy: nothing of it may keep the other server from starting.
    let _other = match beside {
        Beside::OtherHost => start_dnsmasq(context, router.namespace())?,
        Beside::SameHost => start_kea(context.dir(), stage.server.host().namespace())?,
    };
    let mut boot = stage.switch_on(&Machine::new("web1", MAC, firmware))?;
    let line = boot.machine.console().line_from(CMDLINE, BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.ends_with(ARGUMENTS), "the kernel was told something else than {ARGUMENTS}: {line}");
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
    let stage = Files::on(context, "[dhcp]\nmode = \"proxy\"\n", LINUX)?.serve_on(lan)?;
    let _dnsmasq = start_dnsmasq(context, router.namespace())?;
    let raw = RawDhcp::open(client.namespace())?;
    let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x57];
    let system = Packet::discover(mac, 1);
    let firmware = Packet::discover(mac, 2)
        .with(60, b"PXEClient:Arch:00000:UNDI:002001")
        .with(93, &[0, 0])
        .with(97, &[0; 17]);
    // The proxy hears both in this order: when its offer for the firmware is there, there is none for the system.
    raw.send(&system)?;
    raw.send(&firmware)?;
    let mut seen = Vec::new();
    while !(seen.contains(&(2, stage_id(&stage))) && seen.contains(&(1, ROUTER.to_owned()))) {
        let Some(reply) = raw.receive()? else {
            raw.send(&firmware)?;
            continue;
        };
        ensure!(reply.kind == OFFER, "what is this? {reply:?}");
        let server = reply.four(OPTION_SERVER_ID).map(std::net::Ipv4Addr::from).map(|ip| ip.to_string());
        seen.push((reply.xid, server.unwrap_or_default()));
    }
    context.note(&format!("offers by transaction and server: {seen:?}"));
    ensure!(!seen.contains(&(1, stage_id(&stage))), "the proxy made an operating system an offer");
    Ok(())
}

fn stage_id(stage: &Stage<'_>) -> String {
    stage.server.host().cidr().addr.to_string()
}

fn start_dnsmasq(context: &Context, ns: &Namespace) -> Result<Daemon> {
    let mut command = Command::new("dnsmasq");
    command
        .args(["--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--log-dhcp"])
        .args(["--port=0", "--interface=eth0", "--bind-interfaces", "--user=root", "--pid-file="])
        .args(["--dhcp-range=10.188.0.100,10.188.0.109,12h", "--dhcp-authoritative"])
        .arg(format!("--dhcp-leasefile={}", context.dir().join("dnsmasq.leases").display()));
    let dnsmasq = Daemon::start(ns, "dnsmasq", context.dir(), &mut command)?;
    dnsmasq.output().wait_for("DHCP, IP range", STEP_LIMIT)?;
    Ok(dnsmasq)
}

/// With a UDP socket, as it has it where relays are: it must be able to take port 67.
fn start_kea(dir: &Path, ns: &Namespace) -> Result<Daemon> {
    let leases = dir.join("kea-leases.csv");
    let config = format!(
        r#"{{ "Dhcp4": {{
            "interfaces-config": {{ "interfaces": [ "eth0" ] }},
            "lease-database": {{ "type": "memfile", "persist": true, "name": "{}", "lfc-interval": 0 }},
            "subnet4": [ {{ "subnet": "10.188.0.0/24", "pools": [ {{ "pool": "10.188.0.200 - 10.188.0.209" }} ] }} ],
            "loggers": [ {{ "name": "kea-dhcp4", "severity": "INFO", "output_options": [ {{ "output": "stdout" }} ] }} ]
        }} }}"#,
        leases.display()
    );
    let path = dir.join("kea.json");
    std::fs::write(&path, config)?;
    let mut command = Command::new("kea-dhcp4");
    command.arg("-c").arg(&path).env("KEA_PIDFILE_DIR", dir).env("KEA_LOCKFILE_DIR", dir);
    let kea = Daemon::start(ns, "kea", dir, &mut command)?;
    kea.output().wait_for("DHCP4_STARTED", STEP_LIMIT)?;
    Ok(kea)
}
