//! TFTP by the clients that people have.

use std::fs;

use anyhow::{Result, ensure};
use bootlace_lab::{Host, Lan};

use super::Context;
use super::files::{command, fetch, run, target, write};
use super::served::{SERVER, SUBNET, Served};

/// More than 65,535 blocks of 512 bytes: the block number wraps.
const LONG: u64 = 70_000 * 512 + 77;
/// A multiple of every block size below: the last packet is empty.
const EVEN: u64 = 1_024 * 1_428;
const SMALL: u64 = 1_000;
/// curl's exit code for TFTP's error 2, access violation.
const CURL_TFTP_PERMISSION: i32 = 69;
const REFUSAL: &str = "this server does not accept uploads";

pub(super) fn clients(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let server = Served::start(context, &lan, &format!("[dhcp]\nmode = \"server\"\n{SUBNET}"))?;
    let boot_dir = server.boot_dir();
    for (name, len) in [("long", LONG), ("even", EVEN), ("small", SMALL), ("empty", 0)] {
        write(&boot_dir.join(name), len)?;
    }
    let host = lan.host("client", "10.188.0.20/24")?;
    reads(context, &host, &server)?;
    refusals(context, &host, &server)
}

fn reads(context: &Context, host: &Host, server: &Served) -> Result<()> {
    for name in ["small", "even", "empty"] {
        let (got, sent) = (target(context.dir(), name), server.boot_dir().join(name));
        for block in ["512", "1024", "1428", "1468"] {
            let mut get = command("busybox", &["tftp", "-g", "-b", block, "-r", name, "-l"]);
            fetch(host, get.arg(&got).arg(SERVER), &got, &sent)?;
            // RFC 7440; without fragments up to 1428 and 1468 alike.
            for window in ["1", "8", "64"] {
                let mut get = command("atftp", &["-g", "-r", name]);
                get.args(["--option", &format!("blksize {block}")]);
                get.args(["--option", &format!("windowsize {window}")]);
                fetch(host, get.arg("-l").arg(&got).arg(SERVER), &got, &sent)?;
            }
            // curl takes the size of an empty file for an illegal answer.
            if name != "empty" {
                let mut get = command("curl", &["-sS", "--tftp-blksize", block, "-o"]);
                fetch(host, get.arg(&got).arg(format!("tftp://{SERVER}/{name}")), &got, &sent)?;
            }
        }
        let mut get = command("curl", &["-sS", "--tftp-no-options", "-o"]);
        fetch(host, get.arg(&got).arg(format!("tftp://{SERVER}/{name}")), &got, &sent)?;
    }
    context.note("atftp, busybox and curl, in blocks of 512 to 1468, windows of 1 to 64");

    let (got, sent) = (target(context.dir(), "long"), server.boot_dir().join("long"));
    let mut get = command("busybox", &["tftp", "-g", "-b", "512", "-r", "long", "-l"]);
    fetch(host, get.arg(&got).arg(SERVER), &got, &sent)?;
    context.note("busybox past block 65,535");
    let mut get = command("atftp", &["-g", "-r", "long", "--option", "blksize 512"]);
    get.args(["--option", "windowsize 32", "-l"]);
    fetch(host, get.arg(&got).arg(SERVER), &got, &sent)?;
    context.note("atftp past block 65,535, by windows");
    Ok(())
}

fn refusals(context: &Context, host: &Host, server: &Served) -> Result<()> {
    let upload = context.dir().join("upload");
    fs::write(&upload, "mine")?;
    for mut put in [
        command("atftp", &["-p", "--verbose", "-r", "upload", SERVER, "-l"]),
        command("busybox", &["tftp", "-p", "-r", "upload", SERVER, "-l"]),
    ] {
        let (done, said) = run(host, put.arg(&upload))?;
        ensure!(!done && said.contains(REFUSAL), "an upload by {put:?} was not refused with words: {said}");
    }
    // curl shows of an error only its code, as its own.
    let mut put = command("curl", &["-sS", &format!("tftp://{SERVER}/upload"), "-T"]);
    let status = host.namespace().output(put.arg(&upload))?.status;
    ensure!(status.code() == Some(CURL_TFTP_PERMISSION), "an upload by curl: {status}");
    ensure!(!server.boot_dir().join("upload").exists(), "an upload came through");
    context.note("uploads are refused");

    fs::write(context.dir().join("secret"), "not for you")?;
    std::os::unix::fs::symlink("../secret", server.boot_dir().join("link"))?;
    let got = target(context.dir(), "secret");
    for name in
        ["../secret", "/../secret", "..\\secret", "small/../../secret", "link", "/etc/passwd", "./../secret"]
    {
        let mut get = command("busybox", &["tftp", "-g", "-r", name, "-l"]);
        let (done, said) = run(host, get.arg(&got).arg(SERVER))?;
        ensure!(!done && said.contains("error"), "{name} was not refused: {said}");
        ensure!(fs::read(&got).unwrap_or_default().is_empty(), "{name} came out of boot_dir");
    }
    context.note("names stay in boot_dir");
    let mut get = command("busybox", &["tftp", "-g", "-r", "\\small", "-l"]);
    fetch(host, get.arg(&got).arg(SERVER), &got, &server.boot_dir().join("small"))?;
    let mut get = command("busybox", &["tftp", "-g", "-r", "//small", "-l"]);
    fetch(host, get.arg(&got).arg(SERVER), &got, &server.boot_dir().join("small"))
}
