//! Asking an iPXE who it is: a script that sends back what rules and templates use.

use std::collections::BTreeSet;

use super::{Platform, Script};
use crate::boot::template::Server;
use crate::model::Var;

/// How often the report is tried: a server that restarts is back within the second try.
const TRIES: usize = 3;

/// Seconds between tries.
const RETRY_SECS: u64 = 3;

/// The script that reports `vars`, and the MAC in any case, to `/script`.
///
/// It replaces itself by what comes back (`--replace`), so that the exit status of the script that boots is
/// the one that the firmware sees.
pub fn identify(vars: &BTreeSet<Var>, server: &Server, platform: Platform) -> String {
    report(vars, server, platform, None)
}

/// The same for an iPXE that may not have an open interface with an address yet.
///
/// `netX` is the interface that was opened last: without one, or without an address there, DHCP is asked. What
/// an iPXE took over from its firmware's DHCP does not count, since most builds leave that interface closed.
pub fn autoexec(vars: &BTreeSet<Var>, server: &Server, platform: Platform) -> String {
    report(vars, server, platform, Some("isset ${netX/ip} || dhcp ||"))
}

fn report(vars: &BTreeSet<Var>, server: &Server, platform: Platform, before: Option<&str>) -> String {
    let reports: Vec<Var> = vars.iter().copied().collect();
    let url = report_url(&reports, server);
    let mut script = Script::new();
    for try_number in 1..=TRIES {
        if let Some(before) = before {
            script.line(before);
        }
        script.line(&format!("chain --replace --autofree {url} ||"));
        if try_number < TRIES {
            script.line(&format!("sleep {RETRY_SECS} ||"));
        }
    }
    script.say("Bootlace: the server did not say what to boot");
    script.wait_and_leave(platform);
    script.text
}

/// The URL of `/script` with iPXE's own settings in the query.
pub fn report_url(vars: &[Var], server: &Server) -> String {
    let mut asked: BTreeSet<Var> = vars.iter().copied().collect();
    asked.insert(Var::Mac);
    if asked.remove(&Var::Firmware) {
        // iPXE has no setting for it; these two give it.
        asked.extend([Var::Platform, Var::Buildarch]);
    }
    let pairs: Vec<String> = asked
        .into_iter()
        .filter_map(|var| Some(format!("{}=${{{}{}}}", var.name(), var.ipxe_setting()?, type_of(var))))
        .collect();
    format!("{}/script?{}", server.url, pairs.join("&"))
}

/// Texts are percent-encoded by iPXE, which also keeps a `${` in them from being expanded. Settings with a type
/// of their own (addresses, numbers) would be reinterpreted by that, and have nothing to encode.
fn type_of(var: Var) -> &'static str {
    match var {
        Var::Mac
        | Var::Ip
        | Var::Uuid
        | Var::Netmask
        | Var::Gateway
        | Var::Dns
        | Var::NextServer
        | Var::Memsize
        | Var::Busid => "",
        _ => ":uristring",
    }
}
