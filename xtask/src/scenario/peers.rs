//! Servers of others, beside which Bootlace has to get on.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use bootlace_lab::{Daemon, Namespace};

use super::Context;
use super::context::STEP_LIMIT;

/// `more`: what it says beside addresses.
pub(super) fn start_dnsmasq(context: &Context, ns: &Namespace, more: &[&str]) -> Result<Daemon> {
    start_dnsmasq_in(context.dir(), ns, "10.188.0.100,10.188.0.109", more)
}

/// The same with its files in `dir`, for another range of addresses.
pub(super) fn start_dnsmasq_in(dir: &Path, ns: &Namespace, range: &str, more: &[&str]) -> Result<Daemon> {
    std::fs::create_dir_all(dir)?;
    let mut command = Command::new("dnsmasq");
    command
        .args(["--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--log-dhcp"])
        .args(["--port=0", "--interface=eth0", "--bind-interfaces", "--user=root", "--pid-file="])
        .arg(format!("--dhcp-range={range},12h"))
        .arg("--dhcp-authoritative")
        .args(more)
        .arg(format!("--dhcp-leasefile={}", dir.join("dnsmasq.leases").display()));
    let dnsmasq = Daemon::start(ns, "dnsmasq", dir, &mut command)?;
    dnsmasq.output().wait_for("DHCP, IP range", STEP_LIMIT)?;
    Ok(dnsmasq)
}

/// With a UDP socket, as it has it where relays are: it must be able to take port 67.
pub(super) fn start_kea(dir: &Path, ns: &Namespace) -> Result<Daemon> {
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
