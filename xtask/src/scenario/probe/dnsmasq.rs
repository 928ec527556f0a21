//! Against dnsmasq and a plain HTTP server, with the classic setup's files.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::{Daemon, Host, Lan};

use super::context::STEP_LIMIT;
use super::{Context, kernel, leaves_nothing, play_all, web};

const RESCUE: &str = "00:12:34:56:78:90";
const SAN: &str = "00:11:22:33:44:55";
const OTHER: &str = "00:77:21:ab:cd:ee";
const HTTP: &str = "00:77:21:ab:cd:ef";
const RESERVED: [(&str, &str); 4] =
    [(RESCUE, "10.188.0.61"), (SAN, "10.188.0.62"), (OTHER, "10.188.0.63"), (HTTP, "10.188.0.64")];
const KERNEL_BYTES: usize = 300_000;

/// What the classic script answers, by the MAC in the query.
fn boot2(path: &str) -> String {
    let boot = if path.contains(RESCUE) {
        "chain http://10.188.0.10/lpxelinux.0".to_owned()
    } else if path.contains(SAN) {
        "set initiator-iqn iqn.2007-08.com.example.initiator:initiator\n\
         sanboot iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:sometarget"
            .to_owned()
    } else {
        "exit".to_owned()
    };
    format!("#!ipxe\n{boot}\n")
}

pub(super) fn classic(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let server = lan.host("server", "10.188.0.10/24")?;
    let root = context.dir().join("www");
    fill(&root)?;
    let _dnsmasq = start_dnsmasq(context, &server, &root)?;
    web::serve(&server, move |path| answer_http(&root, path))?;
    let host = lan.client("probe")?;
    let machines = [
        ("bios", RESCUE, "linux"),
        ("ipxe", SAN, "san"),
        ("uefi-x64", OTHER, "local"),
        ("http-x64", HTTP, "local"),
        ("kernel", "00:12:34:56:78:91", "lease"),
        ("dhclient", "00:12:34:56:78:92", "lease"),
    ];
    let played = play_all(context, &host, &machines.map(|(kind, mac, _)| (kind, mac)))?;
    for ((kind, mac, end), played) in machines.iter().zip(&played) {
        context.note(&format!("{kind} {mac} {}", played.text("/end/text")));
        ensure!(played.succeeded && played.text("/end/kind") == *end, "{kind} {mac}: {:#}", played.view);
    }
    let [rescue, san, other, ..] = played.as_slice() else { unreachable!("six machines were played") };
    let loader = fs::metadata("/usr/lib/ipxe/undionly.kpxe")?.len();
    ensure!(rescue.bytes_of("undionly.kpxe") == Some(loader), "{:#}", rescue.view);
    ensure!(rescue.bytes_of("/vmlinuz") == Some(KERNEL_BYTES as u64), "{:#}", rescue.view);
    ensure!(rescue.text("/end/cmdline") == "BOOT_IMAGE=vmlinuz initrd=initrd.gz quiet", "{:#}", rescue.view);
    ensure!(san.text("/end/initiator").ends_with(":initiator"), "{:#}", san.view);
    let loader = fs::metadata("/usr/lib/ipxe/snponly.efi")?.len();
    ensure!(other.bytes_of("snponly.efi") == Some(loader), "{:#}", other.view);
    leaves_nothing(&host)
}

/// Loaders and what they load, with the first script of the classic setup.
pub(super) fn fill(root: &Path) -> Result<()> {
    fs::create_dir_all(root.join("pxelinux.cfg"))?;
    for loader in ["undionly.kpxe", "snponly.efi"] {
        fs::copy(format!("/usr/lib/ipxe/{loader}"), root.join(loader))?;
    }
    fs::copy("/usr/lib/PXELINUX/lpxelinux.0", root.join("lpxelinux.0"))?;
    fs::copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", root.join("ldlinux.c32"))?;
    // The query tells the server who asks.
    let boot1 = "#!ipxe\n\nchain http://10.188.0.10/boot2.php?mac=${mac}&ip=${ip}&asset=${asset}&uuid=${uuid}&serial=${serial}\n";
    fs::write(root.join("boot1.txt"), boot1)?;
    let config = "DEFAULT rescue\nLABEL rescue\n  KERNEL vmlinuz\n  APPEND initrd=initrd.gz quiet\n";
    fs::write(root.join("pxelinux.cfg/default"), config)?;
    fs::write(root.join("vmlinuz"), kernel(KERNEL_BYTES))?;
    fs::write(root.join("initrd.gz"), vec![7; 500_000])?;
    Ok(())
}

fn answer_http(root: &Path, path: &str) -> Vec<u8> {
    if path.starts_with("/boot2.php") {
        return web::ok(boot2(path).as_bytes());
    }
    fs::read(root.join(path.trim_start_matches('/'))).map_or_else(|_| web::not_found(), |body| web::ok(&body))
}

/// With the classic setup's config.
pub(super) fn start_dnsmasq(context: &Context, server: &Host, root: &Path) -> Result<Daemon> {
    let mut command = Command::new("dnsmasq");
    command
        .args(["--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--log-dhcp"])
        .args(["--port=0", "--interface=eth0", "--bind-interfaces", "--user=root", "--pid-file="])
        // Otherwise it waits for an echo before each new lease, one after the other.
        .arg("--no-ping")
        // It holds no address for the four seconds that UEFI thinks: another machine would get it.
        .args(RESERVED.map(|(mac, ip)| format!("--dhcp-host={mac},{ip}")))
        .args(["--dhcp-range=10.188.0.60,10.188.0.99,12h", "--dhcp-authoritative", "--dhcp-no-override"])
        .args(["--dhcp-option=option:router,10.188.0.1", "--dhcp-userclass=set:ENH,iPXE"])
        .args([
            "--dhcp-match=set:EFI,option:client-arch,7",
            "--dhcp-boot=tag:!ENH,tag:EFI,snponly.efi,,10.188.0.10",
        ])
        .args(["--dhcp-boot=tag:!ENH,tag:!EFI,tag:!HTTP,undionly.kpxe,,10.188.0.10"])
        .args(["--dhcp-vendorclass=set:HTTP,HTTPClient", "--dhcp-option-force=tag:HTTP,60,HTTPClient"])
        .args(["--dhcp-boot=tag:HTTP,http://10.188.0.10/snponly.efi"])
        .args(["--dhcp-boot=tag:ENH,http://10.188.0.10/boot1.txt", "--enable-tftp"])
        .arg(format!("--tftp-root={}", root.display()))
        .arg(format!("--dhcp-leasefile={}", context.dir().join("leases").display()));
    let dnsmasq = Daemon::start(server.namespace(), "dnsmasq", context.dir(), &mut command)?;
    dnsmasq.output().wait_for("TFTP root is", STEP_LIMIT)?;
    Ok(dnsmasq)
}
