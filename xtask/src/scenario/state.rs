//! The state folder on disks that fail, and its way back.

mod disks;
mod trouble;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use bootlace_lab::{Daemon, Lan};
use rustix::process::Signal;

use super::context::STEP_LIMIT;
use super::rawdhcp::{Packet, RawDhcp, mac_text};
use super::served::{NOBODY, SERVER, SUBNET, Served, has_nobody, serve, write_config};
use super::{Context, Scenario, context, rawdhcp};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "state-full-disk",
        shows: "a full disk is told once, costs leases only, and needs no restart when it has room again",
        run: trouble::full_disk,
    },
    Scenario {
        name: "state-read-only",
        shows: "the same for a disk that the kernel makes read-only; what was acknowledged is there afterwards",
        run: trouble::read_only,
    },
    Scenario {
        name: "state-corrupt",
        shows: "a damaged database stops the start with one line, and a backup made beside the server brings its leases back",
        run: corrupt,
    },
    Scenario {
        name: "state-of-user",
        shows: "root verifies, backs up and restores the state of a server that runs as a user, who goes on owning it",
        run: of_user,
    },
];

/// Offers need no probes here: what is awaited is an answer or none, at once.
pub(super) fn config() -> String {
    format!("[dhcp]\nmode = \"server\"\nauthoritative = true\nprobe = false\n{SUBNET}")
}

fn corrupt(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let mut server = Served::start(context, &lan, &config())?;
    let client = RawDhcp::open(lan.client("client")?.namespace())?;
    let mac = [0x52, 0x54, 0, 0, 0, 1];
    let address = client.lease(&Packet::discover(mac, 1))?.address;
    let backup = context.dir().join("backup");
    let backup = backup.to_string_lossy();
    server.ask(&["state", "backup", &backup])?;
    ensure!(server.end()?.success(), "a server that is told to stop fails");
    server.ask(&["state", "verify"])?;

    let database = context.dir().join("state/bootlace.db");
    fs::write(&database, "no database at all, ".repeat(1000))?;
    let line = fails_to_start(context, &server, "is damaged")?;
    ensure!(line.contains("bootlace state restore") && line.contains("bootlace.db"), "{line}");
    ensure!(fs::read(&database)?.starts_with(b"no database"), "the file was changed");
    ensure!(server.ask(&["state", "verify"]).is_err(), "verify finds nothing");
    context.note("a damaged database");

    server.ask(&["state", "restore", &backup])?;
    server.revive()?;
    let leases = server.ask_json("leases")?;
    let kept =
        |lease: &serde_json::Value| lease["mac"] == mac_text(mac) && lease["address"] == address.to_string();
    ensure!(leases.len() == 1 && kept(&leases[0]), "{leases:?}");
    context.note("and its backup");
    Ok(())
}

fn of_user(context: &Context) -> Result<()> {
    if !has_nobody()? {
        context.note("not shown: this sandbox has no other user");
        return Ok(());
    }
    let lan = Lan::new()?;
    let host = lan.host("server", &format!("{SERVER}/24"))?;
    // Elsewhere than in a folder of root's, which somebody else may not enter.
    let dir = PathBuf::from("/run/bootlace-state");
    write_config(&dir, &format!("user = \"nobody\"\n{}", config()))?;
    let start = || {
        let mut serve = serve(&context.bootlace(), &dir);
        let server = Daemon::start(host.namespace(), "server", context.dir(), &mut serve)?;
        server.output().wait_for("ready", STEP_LIMIT)?;
        Ok::<Daemon, anyhow::Error>(server)
    };
    let mut server = start()?;
    let crowd = lan.client("client")?;
    let address =
        RawDhcp::open(crowd.namespace())?.lease(&Packet::discover([0x52, 0x54, 0, 0, 0, 1], 1))?.address;
    server.signal(Signal::TERM)?;
    ensure!(server.wait(STEP_LIMIT)?.success(), "a server that is told to stop fails");

    let backup = dir.join("backup");
    let (backup, file) = (backup.to_string_lossy(), dir.join("bootlace.toml"));
    for words in [&["verify"][..], &["backup", &backup], &["verify", &backup], &["restore", &backup]] {
        let mut state = Command::new(context.bootlace());
        let output = state.arg("state").args(words).arg("-c").arg(&file).output()?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        for entry in fs::read_dir(dir.join("state"))? {
            let entry = entry?;
            let owner = entry.metadata()?.uid();
            ensure!(owner == NOBODY, "after {words:?} {:?} is user {owner}'s", entry.file_name());
        }
    }
    ensure!(fs::metadata(dir.join("backup"))?.uid() == 0, "the backup is not root's");
    let _again = start()?;
    let mut leases = Command::new(context.bootlace());
    let output = leases.arg("leases").arg("-c").arg(&file).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains(&address.to_string()), "{address} is not in: {said}");
    Ok(())
}

/// Starts a second process of a server that has ended: it fails with one line, which is returned.
fn fails_to_start(context: &Context, server: &Served, wanted: &str) -> Result<String> {
    let mut command = serve(&context.bootlace(), context.dir());
    let output = server.host().namespace().output(&mut command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    let lines: Vec<&str> = said.lines().collect();
    let [line] = lines[..] else { anyhow::bail!("not one line: {said}") };
    ensure!(line.starts_with("bootlace: ") && line.contains(wanted), "{line}");
    context.note(line);
    Ok(line.to_owned())
}

/// What a program of the server's host prints.
fn run(server: &Served, program: &str, arguments: &[&str]) -> Result<String> {
    let output = server.host().namespace().output(Command::new(program).args(arguments))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
