//! iSCSI initiators of the real world at the server's targets.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::{Disk, Firmware, Host, Lan, Machine};

use super::boots::MAC;
use super::context::{BOOT_LIMIT, STEP_LIMIT};
use super::served::{SERVER, Served};
use super::stage::Files;
use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "iscsi-test-cu",
        shows: "libiscsi's suite of tests passes at a writable target, but for what is left out on purpose",
        run: test_cu,
    },
    Scenario {
        name: "iscsi-families",
        shows: "some families of the same suite pass whole: residuals, order of data, UNMAP, COMPARE AND WRITE",
        run: families,
    },
    Scenario {
        name: "iscsi-qemu",
        shows: "QEMU's initiator writes and reads back with CHAP and digests, and finds what was flushed after a kill",
        run: qemu,
    },
    Scenario {
        name: "iscsi-ipxe",
        shows: "iPXE boots a disk of the server itself, and each proves to the other by CHAP who it is",
        run: ipxe,
    },
];

const DISK: &str = "iqn.2026-01.example:disk";
const DISK_BYTES: u64 = 256 << 20;
/// Families of libiscsi 1.19 that test what `crates/wire/src/scsi` leaves out on purpose.
const LEFT_OUT: [&str; 6] = [
    "ExtendedCopy",
    "ReceiveCopyResults",
    "Sanitize",
    "WriteAtomic16",
    "ReadDefectData10",
    "ReadDefectData12",
];
/// Single tests that are skipped, as they are for other disks: removable media, protection, read-only.
const SKIPPED_MAX: usize = 37;
/// Of 230.
const PASSED_MIN: usize = 191;
/// Tests that are wrong themselves. The first one takes the logical block behind an unmapped one for the next physical
/// block, which is only so where both have one size. The second one wants blocks of FFh that WRITE SAME with UNMAP leaves to
/// read as zeroes, where SBC-3 has them written as long as LBPRZ is set.
const WRONG_THEMSELVES: [&str; 2] = ["GetLBAStatus.UnmapSingle", "WriteSame10.UnmapUntilEnd"];
/// What the gate runs of it: the protocol, and some families of commands.
const FAMILIES: [&str; 4] =
    ["iSCSI.iSCSIResiduals", "iSCSI.iSCSIdatasn", "SCSI.Unmap", "SCSI.CompareAndWrite"];

const TARGET: &str = "[dhcp]\nmode = \"off\"\n[[iscsi.target]]\nname = \"NAME\"\nfile = \"disk.img\"\n\
                      mode = \"read-write\"\n";

/// A server with one disk, and an initiator's host.
fn start(context: &Context, lan: &Lan, more: &str) -> Result<(Served, Host)> {
    fs::File::create(context.dir().join("disk.img"))?.set_len(DISK_BYTES)?;
    let server = Served::start(context, lan, &(TARGET.replace("NAME", DISK) + more))?;
    let client = lan.host("client", "10.188.0.20/24")?;
    Ok((server, client))
}

/// How a test of the suite ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Skipped,
    Failed,
}

fn test_cu(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let (server, client) = start(context, &lan, "shared = true\n")?;
    let ends = run_suite(context, &client, "ALL")?;
    let named = |end| ends.iter().filter(move |(_, ended)| **ended == end).map(|(name, _)| name.as_str());
    let (passed, skipped) = (named(End::Passed).count(), named(End::Skipped).count());
    let failed: Vec<&str> = named(End::Failed).filter(|name| !WRONG_THEMSELVES.contains(name)).collect();
    context.note(&format!("{passed} passed, {} failed, {skipped} skipped", failed.len()));
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    let surprising: Vec<&str> =
        named(End::Skipped).filter(|name| !LEFT_OUT.iter().any(|family| name.starts_with(family))).collect();
    context.note(&format!("skipped beside what is left out: {}", surprising.join(", ")));
    ensure!(passed >= PASSED_MIN && skipped <= SKIPPED_MAX, "{passed} passed and {skipped} were skipped");
    server.ask(&["counters"])?;
    Ok(())
}

fn families(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let (_server, client) = start(context, &lan, "shared = true\n")?;
    for family in FAMILIES {
        let ends = run_suite(context, &client, family)?;
        let passed = ends.values().filter(|end| **end == End::Passed).count();
        context.note(&format!("{family}: {passed} of {} passed", ends.len()));
        ensure!(passed > 0 && passed == ends.len(), "{family}: {ends:?}");
    }
    Ok(())
}

/// Runs tests of the suite over two paths.
fn run_suite(context: &Context, client: &Host, tests: &str) -> Result<BTreeMap<String, End>> {
    let url = format!("iscsi://{SERVER}/{DISK}/0");
    let mut suite = Command::new("iscsi-test-cu");
    suite.args(["--dataloss", "--verbose", &format!("--test={tests}"), &url, &url]);
    let output = client.namespace().output(&mut suite)?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    fs::write(context.dir().join(format!("suite-{tests}.txt")), &said)?;
    Ok(ends(&said))
}

/// The tests by suite and name, as CUnit lists them. One that is skipped counts as passed there, so what it printed
/// decides.
fn ends(said: &str) -> BTreeMap<String, End> {
    let mut ends = BTreeMap::new();
    let mut suite = "";
    let mut current: Option<(String, End)> = None;
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("Suite: ") {
            suite = name.trim();
        }
        if let Some(rest) = line.trim_start().strip_prefix("Test: ") {
            ends.extend(current.take());
            let name = rest.split([' ', '.']).next().unwrap_or_default();
            current = Some((format!("{suite}.{name}"), End::Passed));
        }
        let Some((_, end)) = &mut current else { continue };
        // Commands that fail as a test expects are told as [FAILED], too.
        if line.trim_end().ends_with("FAILED") {
            *end = End::Failed;
        } else if line.contains("[SKIPPED]") && *end == End::Passed {
            *end = End::Skipped;
        }
    }
    ends.extend(current);
    ends
}

const CHAP: &str = "username = \"host\"\npassword_file = \"host.secret\"\nreverse_username = \"disk\"\n\
                    reverse_password_file = \"disk.secret\"\ninitiators = [\"iqn.2026-01.example:host\"]\n";

fn qemu(context: &Context) -> Result<()> {
    fs::write(context.dir().join("host.secret"), "host-secret-1\n")?;
    fs::write(context.dir().join("disk.secret"), "disk-secret-2\n")?;
    let lan = Lan::new()?;
    let (mut server, client) = start(context, &lan, CHAP)?;
    let io = |password: &str, orders: &[&str]| -> Result<String> {
        let url = format!(
            "json:{{\"driver\":\"iscsi\",\"transport\":\"tcp\",\"portal\":\"{SERVER}:3260\",\"target\":\
                           \"{DISK}\",\"lun\":0,\"user\":\"host\",\"password-secret\":\"s\",\"header-digest\":\"crc32c\",\
                           \"initiator-name\":\"iqn.2026-01.example:host\"}}"
        );
        let mut command = Command::new("qemu-io");
        command.args(["--object", &format!("secret,id=s,data={password}")]);
        for order in orders {
            command.args(["-c", order]);
        }
        let output = client.namespace().output(command.arg(url))?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || said.contains("error") || said.contains("failed") {
            bail!("qemu-io: {}", said.trim());
        }
        Ok(said.into_owned())
    };
    ensure!(io("another-secret", &["read 0 512"]).is_err(), "a wrong secret was taken");
    io("host-secret-1", &["write -P 0xa5 1M 3M", "write -P 0x5a 64k 4k", "write -z -u 2M 64k", "flush"])?;
    context.note("written");
    server.kill()?;
    server.revive()?;
    for order in [
        "read -P 0xa5 1M 1M",
        "read -P 0 2M 64k",
        "read -P 0xa5 2112k 1M",
        "read -P 0x5a 64k 4k",
        "read -P 0 0 64k",
    ] {
        let said = io("host-secret-1", &[order])?;
        ensure!(!said.contains("Pattern"), "{order}: {}", said.trim());
    }
    context.note("read after a kill");
    let bytes = fs::read(context.dir().join("disk.img")).context("read the disk's file")?;
    ensure!(bytes[1 << 20] == 0xa5 && bytes[64 << 10] == 0x5a, "the file has other bytes");
    Ok(())
}

const SAN: &str = r#"
[boot.san]
kind = "san"
target = "iscsi:10.188.0.10:6:3260:0:iqn.2026-01.example:disk"
initiator = "iqn.2026-01.example:{{ machine.name }}"
username = "host"
password_file = "host.secret"
reverse_username = "disk"
reverse_password_file = "disk.secret"
[[machine]]
name = "web1"
mac = ["00:12:34:56:78:90"]
boot = "san"
[[iscsi.target]]
name = "iqn.2026-01.example:disk"
file = "disk.img"
mode = "read-write"
initiators = ["iqn.2026-01.example:web1"]
username = "host"
password_file = "host.secret"
reverse_username = "disk"
reverse_password_file = "disk.secret"
"#;
const SAYS: &str = "BOOTLACE-LAB own disk";

fn ipxe(context: &Context) -> Result<()> {
    fs::write(context.dir().join("host.secret"), "host-secret-1\n")?;
    fs::write(context.dir().join("disk.secret"), "disk-secret-2\n")?;
    Disk::that_says(SAYS, &context.dir().join("disk.img"))?;
    let mut stage = Files::new(context, SAN)?.serve()?;
    for _ in 0..2 {
        // The second time, iPXE has not logged out of its first session: it never does.
        let boot = stage.switch_on(&Machine::new("web1", MAC, Firmware::SeaBios))?;
        boot.machine.wait_for("Registered SAN device", BOOT_LIMIT)?;
        boot.machine.wait_for(SAYS, BOOT_LIMIT)?;
        context.note("booted from it");
    }
    let log = stage.server.log();
    log.wait_for("disk in use", STEP_LIMIT)?;
    stage.server.end()?;
    context.note("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_tests_are_not_passed_ones() {
        let said = "Suite: Inquiry\n  Test: Standard ...passed\n  Test: Sup ...    [SKIPPED] no page\npassed\n\
                    Suite: Read10\n  Test: Simple ...FAILED\n    1. x.c:3  - CU_FAIL\n";
        let ends = ends(said);
        let expected = [
            ("Inquiry.Standard", End::Passed),
            ("Inquiry.Sup", End::Skipped),
            ("Read10.Simple", End::Failed),
        ];
        assert_eq!(ends, expected.into_iter().map(|(name, end)| (name.to_owned(), end)).collect());
    }
}
