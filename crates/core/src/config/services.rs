//! The top level and the sections of the services.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::file::Table;
use super::keys::{ADMIN, HTTP, IPXE, LEARN, TFTP};
use super::report::Report;
use super::scalar;
use super::types::{AdminConfig, HttpConfig, Ipv6Wait, LearnConfig, SandboxMode, TftpConfig};
use crate::finding::Finding;
use crate::learn::{ALIKE_WITHIN, EXPIRE_DEFAULT};

/// Where the distributions put loaders and what they need beside them: Debian's packages ipxe, pxelinux,
/// syslinux-common, syslinux-efi, shim-signed, shim-helpers-amd64-signed and grub-efi-amd64-signed, and the last two
/// for other processors. Files or folders.
const LOADER_FOLDERS: [&str; 13] = [
    "/usr/lib/ipxe",
    "/boot/ipxe.efi",
    "/usr/lib/PXELINUX",
    "/usr/lib/syslinux/modules/bios",
    "/usr/lib/syslinux/modules/efi64",
    "/usr/lib/syslinux/modules/efi32",
    "/usr/lib/SYSLINUX.EFI/efi64",
    "/usr/lib/SYSLINUX.EFI/efi32",
    "/usr/lib/shim",
    "/usr/lib/grub/x86_64-efi-signed",
    "/usr/lib/grub/x86_64-efi",
    "/usr/lib/grub/i386-efi-signed",
    "/usr/lib/grub/arm64-efi-signed",
];
const TFTP_PORT: u16 = 69;
const HTTP_PORT: u16 = 80;
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8470);

pub(super) fn interfaces(top: &Table<'_>, report: &mut Report<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in top.all_parsed("interfaces", scalar::interface, report) {
        if names.contains(&name.value) {
            let message = format!("the interface {} is listed twice", name.value);
            report.add(Finding::error("config-duplicate", message).fix("remove one of them"), &name.span);
        } else {
            names.push(name.value);
        }
    }
    names
}

/// A path of the table, resolved against the file's folder.
pub(super) fn path(table: &Table<'_>, key: &str, report: &mut Report<'_>) -> Option<PathBuf> {
    let path = table.parsed(key, scalar::path, report)?;
    Some(report.resolve(&path.value))
}

pub(super) fn follow(top: &Table<'_>, report: &mut Report<'_>) -> Vec<PathBuf> {
    if top.get("follow").is_none() {
        return LOADER_FOLDERS.iter().map(PathBuf::from).collect();
    }
    let paths = top.all_parsed("follow", scalar::path, report);
    paths.iter().map(|path| report.resolve(&path.value)).collect()
}

pub(super) fn user(top: &Table<'_>, report: &mut Report<'_>) -> Option<String> {
    let user = |text: &str| {
        let plain = !text.is_empty() && !text.contains([':', '/', '\0', '\n', ' ']);
        if plain { Ok(text.to_owned()) } else { Err(("is no user name", "write the name of a local user")) }
    };
    top.parsed("user", user, report).map(|user| user.value)
}

pub(super) fn sandbox(top: &Table<'_>, report: &mut Report<'_>) -> SandboxMode {
    let Some(text) = top.text("sandbox", report) else { return SandboxMode::Auto };
    match text.value {
        "auto" => SandboxMode::Auto,
        "off" => SandboxMode::Off,
        other => {
            report.add(super::one_of("sandbox", other, &["auto", "off"]), &text.span);
            SandboxMode::Auto
        }
    }
}

pub(super) fn tftp(top: &Table<'_>, report: &mut Report<'_>) -> TftpConfig {
    let Some(table) = top.section("tftp", &TFTP, report) else {
        return TftpConfig { enabled: true, port: TFTP_PORT, single_port: false, ports: None };
    };
    let ports = table.parsed("ports", scalar::port_range, report);
    let tftp = TftpConfig {
        enabled: table.flag("enabled", report).unwrap_or(true),
        port: table.port("port", TFTP_PORT, report),
        single_port: table.flag("single_port", report).unwrap_or(false),
        ports: ports.as_ref().map(|ports| ports.value.clone()),
    };
    if let Some(ports) = ports {
        if tftp.single_port {
            let message = "`ports` has no effect: with single_port every transfer uses the request port";
            report.add(Finding::warning("config-unused", message).fix("remove one of the two"), &ports.span);
        }
        if ports.value.contains(&tftp.port) {
            let message = format!("the range holds port {}, where requests arrive", tftp.port);
            report.add(Finding::error("config-conflict", message).fix("choose other ports"), &ports.span);
        }
    }
    tftp
}

pub(super) fn http(top: &Table<'_>, report: &mut Report<'_>) -> HttpConfig {
    let table = top.section("http", &HTTP, report);
    HttpConfig { port: table.map_or(HTTP_PORT, |table| table.port("port", HTTP_PORT, report)) }
}

pub(super) fn ipv6_wait(top: &Table<'_>, report: &mut Report<'_>) -> Ipv6Wait {
    let table = top.section("ipxe", &IPXE, report);
    let Some(text) = table.and_then(|table| table.text("ipv6_wait", report)) else { return Ipv6Wait::Skip };
    match text.value {
        "skip" => Ipv6Wait::Skip,
        "keep" => Ipv6Wait::Keep,
        other => {
            report.add(super::one_of("ipv6_wait", other, &["skip", "keep"]), &text.span);
            Ipv6Wait::Keep
        }
    }
}

pub(super) fn learn(top: &Table<'_>, report: &mut Report<'_>) -> LearnConfig {
    let Some(table) = top.section("learn", &LEARN, report) else {
        return LearnConfig { enabled: true, expire: EXPIRE_DEFAULT };
    };
    let expire = table.parsed("expire", scalar::duration, report);
    if let Some(at) = expire.as_ref().filter(|at| at.value < ALIKE_WITHIN) {
        let message = "facts that are forgotten between two boots teach nothing";
        let fix = "use 30m or more, or enabled = false";
        report.add(Finding::error("config-value", message).fix(fix), &at.span);
    }
    LearnConfig {
        enabled: table.flag("enabled", report).unwrap_or(true),
        expire: expire.map_or(EXPIRE_DEFAULT, |at| at.value),
    }
}

pub(super) fn admin(top: &Table<'_>, report: &mut Report<'_>) -> AdminConfig {
    let Some(table) = top.section("admin", &ADMIN, report) else {
        return AdminConfig { listen: Some(ADMIN_LISTEN), token_file: None };
    };
    let token_file = path(&table, "token_file", report);
    let listen = |text: &str| match text {
        "off" => Ok(None),
        _ => text
            .parse::<SocketAddr>()
            .map(Some)
            .map_err(|_| ("is no address with a port", "write it as 127.0.0.1:8470, or \"off\"")),
    };
    let listen = table.parsed("listen", listen, report);
    if let Some(at) = &listen
        && at.value.is_some_and(|address| !address.ip().is_loopback())
        && table.get("token_file").is_none()
    {
        let message = "everybody who reaches this address could read and command the server";
        let fix = "add token_file, or listen on 127.0.0.1";
        report.add(Finding::error("config-admin-open", message).fix(fix), &at.span);
    }
    AdminConfig { listen: listen.map_or(Some(ADMIN_LISTEN), |at| at.value), token_file }
}
