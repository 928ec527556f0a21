//! `bootlace probe` against servers: ours, others' and one that is broken in ten ways.

mod apache;
mod bootlace;
mod broken;
mod dnsmasq;
mod local;
mod proxied;
mod web;

use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::Host;
use serde_json::Value;

use super::{Context, Scenario, context, peers, served};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "probe-bootlace",
        shows: "every kind of played machine boots from Bootlace as its config says, and leaves nothing behind",
        run: bootlace::kinds,
    },
    Scenario {
        name: "probe-ends",
        shows: "a probe that is interrupted or killed leaves nothing behind, and one on the server's own host says so",
        run: bootlace::ends,
    },
    Scenario {
        name: "probe-local",
        shows: "played machines boot from the running server of their own host, unheard by the network, and only while a probe lasts",
        run: local::own_host,
    },
    Scenario {
        name: "probe-storm",
        shows: "200 played machines boot at once, and every byte of every one of them comes",
        run: bootlace::storm,
    },
    Scenario {
        name: "probe-proxy",
        shows: "played firmware gets its address from dnsmasq and its boot from the proxy's port 4011, systems the address alone",
        run: |context| proxied::boots(context, proxied::Beside::Dnsmasq, ""),
    },
    Scenario {
        name: "probe-proxy-kea",
        shows: "the same beside a Kea on another host",
        run: |context| proxied::boots(context, proxied::Beside::Kea, ""),
    },
    Scenario {
        name: "probe-proxy-offer",
        shows: "the same beside dnsmasq with the boot file in the proxy's offer",
        run: |context| proxied::boots(context, proxied::Beside::Dnsmasq, "proxy = \"offer\"\n"),
    },
    Scenario {
        name: "probe-dnsmasq",
        shows: "dnsmasq and a plain HTTP server with the files of the classic setup boot played machines",
        run: dnsmasq::classic,
    },
    Scenario {
        name: "probe-apache",
        shows: "dnsmasq, apache and PHP as the classic setup has them boot played machines, and of eight mistakes in the script the first finding is right",
        run: apache::classic,
    },
    Scenario {
        name: "probe-broken",
        shows: "of a server that is broken in ten ways, the first finding is the right one each time",
        run: broken::ten_ways,
    },
];

/// A played boot.
struct Played {
    succeeded: bool,
    view: Value,
}

impl Played {
    fn text(&self, pointer: &str) -> &str {
        self.view.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The bytes of the file whose URL ends so.
    fn bytes_of(&self, end: &str) -> Option<u64> {
        let files = self.view.get("files")?.as_array()?;
        let file = files.iter().find(|file| file["url"].as_str().is_some_and(|url| url.ends_with(end)))?;
        file["bytes"].as_u64()
    }
}

/// Plays a machine of this kind and MAC on a host's `eth0`.
fn play(context: &Context, host: &Host, arguments: &[&str]) -> Result<Played> {
    let mut command = Command::new(context.bootlace());
    command.args(["probe", "--interface", "eth0", "--json"]).args(arguments);
    let output = host.namespace().output(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let view = serde_json::from_str(&text)
        .with_context(|| format!("{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Played { succeeded: output.status.success(), view })
}

/// Plays several at once.
fn play_all(context: &Context, host: &Host, machines: &[(&str, &str)]) -> Result<Vec<Played>> {
    thread::scope(|scope| {
        let playing: Vec<_> = machines
            .iter()
            .map(|(kind, mac)| scope.spawn(move || play(context, host, &["--firmware", kind, "--mac", mac])))
            .collect();
        playing
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// A probe is gone with all it made.
fn leaves_nothing(host: &Host) -> Result<()> {
    let links = host.namespace().output(Command::new("ip").args(["-brief", "link"]))?;
    let links = String::from_utf8_lossy(&links.stdout).into_owned();
    ensure!(links.lines().count() == 2, "more than lo and eth0 is left: {links}");
    Ok(())
}

/// The beginning of a Linux kernel and as many bytes as asked: nobody runs it here.
fn kernel(len: usize) -> Vec<u8> {
    let mut bytes = vec![0x90; len];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}
