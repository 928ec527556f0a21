//! Against our server as a proxy beside another's on another host, in both of its recipes.

use anyhow::{Result, ensure};
use bootlace_lab::Lan;

use super::bootlace::{CMDLINE, CONFIG, fill};
use super::peers::{start_dnsmasq, start_kea};
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

/// Kea holds no offer at all: so few machines that each finds its address free.
const BESIDE_KEA: [&str; 4] = ["bios", "uefi-x64", "ipxe", "kernel"];

/// Who gives the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Dnsmasq,
    Kea,
}

/// `keys` go into the section of DHCP.
pub(super) fn boots(context: &Context, beside: Beside, keys: &str) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let router = lan.host("router", "10.188.0.1/24")?;
    let machines: Vec<_> = MACHINES
        .into_iter()
        .filter(|(kind, ..)| beside == Beside::Dnsmasq || BESIDE_KEA.contains(kind))
        .collect();
    let _other = match beside {
        Beside::Dnsmasq => {
            // dnsmasq holds no address for the four seconds that UEFI thinks: another machine would get it.
            let hold = |at: usize| format!("--dhcp-host={},10.188.0.{}", MACHINES[at].1, 100 + at);
            let held: Vec<String> = (0..MACHINES.len()).map(hold).collect();
            let more: Vec<&str> = held.iter().map(String::as_str).chain(["--no-ping"]).collect();
            start_dnsmasq(context, router.namespace(), &more)?
        }
        Beside::Kea => start_kea(context.dir(), router.namespace())?,
    };
    fill(context)?;
    let _server = Served::start(context, &lan, &format!("[dhcp]\nmode = \"proxy\"\n{keys}{CONFIG}"))?;
    let host = lan.client("probe")?;
    let played =
        play_all(context, &host, &machines.iter().map(|(kind, mac, _)| (*kind, *mac)).collect::<Vec<_>>())?;
    for ((kind, mac, end), played) in machines.iter().zip(&played) {
        context.note(&format!("{kind} {mac} {}", played.text("/end/text")));
        ensure!(played.succeeded && played.text("/end/kind") == *end, "{kind} {mac}: {:#}", played.view);
        let is_right = *end != "linux" || played.text("/end/cmdline").ends_with(CMDLINE);
        ensure!(is_right, "{kind} {mac}: {:#}", played.view);
    }
    leaves_nothing(&host)
}
