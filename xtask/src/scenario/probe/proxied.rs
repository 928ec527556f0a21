//! Against our server as a proxy beside dnsmasq, in both of its recipes.

use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::{Daemon, Lan, Namespace};

use super::bootlace::{CMDLINE, CONFIG, fill};
use super::context::STEP_LIMIT;
use super::served::Served;
use super::{Context, leaves_nothing, play_all};

const MACHINES: [(&str, &str, &str); 6] = [
    ("bios", "52:54:00:00:00:41", "linux"),
    ("uefi-x64", "52:54:00:00:00:42", "linux"),
    ("http-x64", "52:54:00:00:00:43", "linux"),
    ("ipxe", "52:54:00:00:00:44", "linux"),
    ("kernel", "52:54:00:00:00:45", "lease"),
    ("udhcpc", "52:54:00:00:00:46", "lease"),
];

/// `keys` go into the section of DHCP.
pub(super) fn boots(context: &Context, keys: &str) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let router = lan.host("router", "10.188.0.1/24")?;
    let _dnsmasq = start_dnsmasq(context, router.namespace())?;
    fill(context)?;
    let _server = Served::start(context, &lan, &format!("[dhcp]\nmode = \"proxy\"\n{keys}{CONFIG}"))?;
    let host = lan.client("probe")?;
    let played = play_all(context, &host, &MACHINES.map(|(kind, mac, _)| (kind, mac)))?;
    for ((kind, mac, end), played) in MACHINES.iter().zip(&played) {
        context.note(&format!("{kind} {mac} {}", played.text("/end/text")));
        ensure!(played.succeeded && played.text("/end/kind") == *end, "{kind} {mac}: {:#}", played.view);
        let is_right = *end != "linux" || played.text("/end/cmdline").ends_with(CMDLINE);
        ensure!(is_right, "{kind} {mac}: {:#}", played.view);
    }
    leaves_nothing(&host)
}

/// It has addresses and nothing else.
fn start_dnsmasq(context: &Context, ns: &Namespace) -> Result<Daemon> {
    let mut command = Command::new("dnsmasq");
    command
        .args(["--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--log-dhcp"])
        .args([
            "--port=0",
            "--interface=eth0",
            "--bind-interfaces",
            "--user=root",
            "--pid-file=",
            "--no-ping",
        ])
        .args(["--dhcp-range=10.188.0.100,10.188.0.119,12h", "--dhcp-authoritative"])
        // It holds no address for the four seconds that UEFI thinks: another machine would get it.
        .args((0..MACHINES.len()).map(|at| format!("--dhcp-host={},10.188.0.{}", MACHINES[at].1, 100 + at)))
        .arg(format!("--dhcp-leasefile={}", context.dir().join("dnsmasq.leases").display()));
    let dnsmasq = Daemon::start(ns, "dnsmasq", context.dir(), &mut command)?;
    dnsmasq.output().wait_for("DHCP, IP range", STEP_LIMIT)?;
    Ok(dnsmasq)
}
