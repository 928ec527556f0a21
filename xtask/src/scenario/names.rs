//! Behind a DHCP server where nothing but a next server and a file name can be set.

use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::{Firmware, Lan, Machine, Namespace};

use super::context::BOOT_LIMIT;
use super::stage::Files;
use super::{Context, Scenario, proxy};

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
];

const MAC: &str = "52:54:00:12:34:57";
/// What many networks have in such a place. The last line leads to no machine.
const OWN_SCRIPT: &str = "#!ipxe
isset ${hostname} && chain --replace --autofree hostname-${hostname}.ipxe ||
chain --replace --autofree mac-${mac:hexraw}.ipxe ||
poweroff
";

const CONFIG: &str = r#"
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

/// Boots by the file that dnsmasq names; by way of `beside` when that file is one of our own.
fn boot(context: &Context, file: &str, beside: Option<&str>) -> Result<()> {
    let lan = Lan::new()?;
    let router = lan.host("router", "10.188.0.1/24")?;
    let mut files = Files::on(context, "[dhcp]\nmode = \"off\"\n", CONFIG)?.put_linux("")?;
    if beside.is_some() {
        files = files.put(file, OWN_SCRIPT)?;
    }
    let stage = files.serve_on(lan)?;
    let named = format!("--dhcp-boot={file},server,10.188.0.10");
    announce_ipv6(router.namespace())?;
    let more = [named.as_str(), "--enable-ra", "--dhcp-range=fd00:188::,ra-only"];
    let _dnsmasq = proxy::start_dnsmasq(context, router.namespace(), &more)?;

    let mut machine = Machine::new("web1", MAC, Firmware::SeaBios).start(&stage.lan, context.dir())?;
    let line = machine.console().line_from("BOOTLACE-LAB cmdline:", BOOT_LIMIT)?;
    context.note(&line);
    ensure!(line.ends_with("console=ttyS0 hostname=web1"), "this is not what web1 boots: {line}");
    machine.wait_off(BOOT_LIMIT)?;
    let boots = stage.server.ask_json("boots")?;
    ensure!(boots.len() == 1 && boots[0]["mac"] == MAC, "the journal has another story: {boots:?}");
    let told = stage.server.ask(&["boots", &boots[0]["session"].to_string(), "--json"])?;
    for name in [Some(file), beside, Some("script"), Some("vmlinuz")].into_iter().flatten() {
        ensure!(told.contains(&format!("\"{name}\"")), "nobody asked for {name}: {told}");
    }
    context.note("one boot, in the journal under its MAC");
    Ok(())
}

/// Like most routers it has IPv6, so that iPXE does not wait for it.
fn announce_ipv6(router: &Namespace) -> Result<()> {
    router.sysctl("ipv6/conf/eth0/accept_dad", "0")?;
    router.sysctl("ipv6/conf/eth0/disable_ipv6", "0")?;
    let mut add = Command::new("ip");
    let added = router.output(add.args(["-6", "address", "add", "fd00:188::1/64", "dev", "eth0"]))?;
    ensure!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    Ok(())
}
