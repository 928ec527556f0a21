//! Looks at the host and its networks for what would keep machines from booting.
//!
//! Each file is a check: it gathers facts from the kernel and judges them by functions that see only the facts. Nothing is
//! changed but for a moment: ports are bound and let go, and questions are sent that no lease comes of.

mod clock;
mod code;
mod disk;
mod firewall;
mod guests;
mod heard;
mod iptables;
mod links;
mod loaders;
mod ports;
mod routes;
mod ruleset;

use std::time::SystemTime;

use anyhow::{Context, Result};
use bootlace_core::config::Config;
use bootlace_core::finding::{Finding, Severity};

pub use code::Code;
pub use heard::{LISTEN, OTHERS_MAX};

use crate::net::{self, Interface};

/// Whether Bootlace serves this config at the moment: its ports are its own then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Runs,
    Rests,
}

/// Everything that was found, the worst first.
pub(crate) fn examine(config: &Config, server: Server) -> Result<Vec<Finding>> {
    let all = net::interfaces().context("cannot list the network interfaces")?;
    let (served, mut findings) = links::served(config, &all);
    let served: Vec<Interface> = served.into_iter().cloned().collect();
    findings.extend(links::address_lent(config, &all));
    findings.extend(links::macvlan_children(&served, &all));
    findings.extend(routes::reverse_path(config, &served));
    let held = ports::Held::of_this_host();
    if server == Server::Rests {
        findings.extend(ports::taken(config, &served, &held));
    }
    findings.extend(firewall::drops(config, &served));
    findings.extend(loaders::missing(config));
    findings.extend(disk::space(config));
    findings.extend(clock::wrong(&config.state_dir, SystemTime::now()));
    findings.extend(guests::without_randomness());
    findings.extend(heard::others(config, &served, &all, held.dhcp_server()));
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

fn finding(severity: Severity, code: Code, message: impl Into<String>) -> Finding {
    Finding { severity, ..Finding::error(code.name(), message) }
}

fn error(code: Code, message: impl Into<String>) -> Finding {
    finding(Severity::Error, code, message)
}

fn warning(code: Code, message: impl Into<String>) -> Finding {
    finding(Severity::Warning, code, message)
}

fn note(code: Code, message: impl Into<String>) -> Finding {
    finding(Severity::Note, code, message)
}
