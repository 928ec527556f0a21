//! Behind a DHCP server where nothing but a next server and a file name can be set.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::firmware::Rom;
use bootlace_lab::machine::Inserted;
use bootlace_lab::{Firmware, Lan, Machine, Namespace};

use super::context::BOOT_LIMIT;
use super::served::SERVER;
use super::stage::{Files, WEB1, WEB1_MAC, web1_boots};
use super::{Context, Scenario, peers};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "names-autoexec",
        shows: "with autoexec.ipxe named by dnsmasq, QEMU's iPXE reports and boots without a DHCP server of ours",
        run: |context| boot(context, "autoexec.ipxe", None),
    },
    Scenario {
        name: "names-mac",
        shows: "an autoexec.ipxe of one's own comes first, and finds mac-*.ipxe beside itself",
        run: |context| boot(context, "net/autoexec.ipxe", Some("net/mac-525400123457.ipxe")),
    },
    Scenario {
        name: "names-autoexec-first",
        shows: "an iPXE that runs autoexec.ipxe before its own DHCP boots, in one session",
        run: before_dhcp,
    },
];

/// What many networks have in such a place. The last line leads to no machine.
const OWN_SCRIPT: &str = "#!ipxe
isset ${hostname} && chain --replace --autofree hostname-${hostname}.ipxe ||
chain --replace --autofree mac-${mac:hexraw}.ipxe ||
poweroff
";

/// Boots by the file that dnsmasq names; by way of `beside` when that file is one of our own.
fn boot(context: &Context, file: &str, beside: Option<&str>) -> Result<()> {
    let lan = Lan::new()?;
    let router = lan.host("router", "10.188.0.1/24")?;
    let mut files = Files::on(context, "[dhcp]\nmode = \"off\"\n", WEB1)?.put_linux("")?;
    if beside.is_some() {
        files = files.put(file, OWN_SCRIPT)?;
    }
    let stage = files.serve_on(lan)?;
    let named = format!("--dhcp-boot={file},server,{SERVER}");
    announce_ipv6(router.namespace())?;
    let more = [named.as_str(), "--enable-ra", "--dhcp-range=fd00:188::,ra-only"];
    let _dnsmasq = peers::start_dnsmasq(context, router.namespace(), &more)?;

    let mut machine = Machine::new("web1", WEB1_MAC, Firmware::SeaBios).start(&stage.lan, context.dir())?;
    web1_boots(context, &machine)?;
    machine.wait_off(BOOT_LIMIT)?;
    let boots = stage.server.ask_json("boots")?;
    ensure!(boots.len() == 1 && boots[0]["mac"] == WEB1_MAC, "the journal has another story: {boots:?}");
    let told = stage.server.ask(&["boots", &boots[0]["session"].to_string(), "--json"])?;
    for name in [Some(file), beside, Some("script"), Some("vmlinuz")].into_iter().flatten() {
        ensure!(told.contains(&format!("\"{name}\"")), "nobody asked for {name}: {told}");
    }
    context.note("one boot, in the journal under its WEB1_MAC");
    Ok(())
}

const IPXE: &str = "/usr/lib/ipxe/ipxe.lkrn";

/// As builds of 2022 and later do: the script runs while all interfaces are closed. Debian's is older and does not ask
/// for it, but runs what stands behind it in memory at the same point.
fn before_dhcp(context: &Context) -> Result<()> {
    let stage = Files::new(context, WEB1)?.put_linux("")?.serve()?;
    let client = stage.lan.host("client", "10.188.0.20/24")?;
    let mut curl = Command::new("curl");
    let url = format!("http://{SERVER}/ipxe/autoexec.ipxe");
    let fetched = client.namespace().output(curl.args(["--silent", "--fail", &url]))?;
    ensure!(fetched.status.success(), "there is no {url}");
    let script = context.dir().join("autoexec.ipxe");
    fs::write(&script, &fetched.stdout)?;

    let inserted = Some(Inserted { kernel: IPXE.into(), initrd: script, cmdline: String::new() });
    let machine = Machine { inserted, rom: Rom::Empty, ..Machine::new("web1", WEB1_MAC, Firmware::SeaBios) };
    let mut machine = machine.start(&stage.lan, context.dir())?;
    web1_boots(context, &machine)?;
    machine.wait_off(BOOT_LIMIT)?;
    let boots: Vec<_> =
        stage.server.ask_json("boots")?.into_iter().filter(|boot| boot["mac"] == WEB1_MAC).collect();
    ensure!(boots.len() == 1, "the journal has another story: {boots:?}");
    let told = stage.server.ask(&["boots", &boots[0]["session"].to_string(), "--json"])?;
    ensure!(told.contains("\"lease\"") && told.contains("\"name\":\"script\""), "a step is missing: {told}");
    ensure!(!told.contains("\"boot.ipxe\""), "it did what DHCP said: {told}");
    context.note("one boot: DHCP, then the decision");
    Ok(())
}

/// Like most routers it has IPv6, so that iPXE does not wait for it.
pub(super) fn announce_ipv6(router: &Namespace) -> Result<()> {
    router.sysctl("ipv6/conf/eth0/accept_dad", "0")?;
    router.sysctl("ipv6/conf/eth0/disable_ipv6", "0")?;
    let mut add = Command::new("ip");
    let added = router.output(add.args(["-6", "address", "add", "fd00:188::1/64", "dev", "eth0"]))?;
    ensure!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    Ok(())
}
