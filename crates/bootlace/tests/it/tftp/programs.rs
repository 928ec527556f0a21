//! Debian's own clients as processes.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::Server;

/// Short files around a block, and how long one is whose block numbers start over.
const LENGTHS: [u64; 4] = [0, 511, 512, 513];
const BLOCKS: u64 = 65_600;

/// A client with a block size; the command without the names.
type Fetch = fn(&mut Command, &Job<'_>);

struct Job<'a> {
    port: String,
    blksize: u16,
    remote: &'a str,
    local: &'a Path,
}

fn curl(command: &mut Command, job: &Job<'_>) {
    command
        .args(["--silent", "--show-error", "--max-time", "120", "--tftp-blksize", &job.blksize.to_string()])
        .arg("--output")
        .arg(job.local)
        .arg(format!("tftp://127.0.0.1:{}/{}", job.port, job.remote));
}

fn atftp(command: &mut Command, job: &Job<'_>) {
    command
        .args(["--option", &format!("blksize {}", job.blksize), "--get", "--remote-file", job.remote])
        .arg("--local-file")
        .arg(job.local)
        .args(["127.0.0.1", &job.port]);
}

fn atftp_with_windows(command: &mut Command, job: &Job<'_>) {
    command.args(["--option", "windowsize 16"]);
    atftp(command, job);
}

fn busybox(command: &mut Command, job: &Job<'_>) {
    command
        .args(["tftp", "-g", "-b", &job.blksize.to_string(), "-r", job.remote, "-l"])
        .arg(job.local)
        .args(["127.0.0.1", &job.port]);
}

/// Fetches files by `program` and compares them. A host without it can only run the other tests; CI must not be
/// such a host.
fn check(program: &str, fetch: Fetch, blksize: u16, lengths: &[u64]) {
    let found = Command::new(program).arg("--help").output();
    if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing: run `cargo xtask setup`");
        eprintln!("not tested, as {program} is missing: `cargo xtask setup` installs it");
        return;
    }
    let server = Server::new();
    for len in lengths {
        let name = format!("file-{len}");
        let (remote, local) = (server.path(&name), server.dir.path().join("copy"));
        make(&remote, *len);
        let job = Job { port: server.addr.port().to_string(), blksize, remote: &name, local: &local };
        let mut command = Command::new(program);
        fetch(&mut command, &job);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}, {len} bytes: {said}");
        assert!(same(&remote, &local), "{program}, {len} bytes: {said}");
        fs::remove_file(local).unwrap();
    }
}

/// A file without data on disk but for its ends and the places where block numbers start over.
fn make(path: &Path, len: u64) {
    let file = File::create(path).unwrap();
    file.set_len(len).unwrap();
    for block in [0, 65_534, 65_535, 65_536, BLOCKS] {
        for blksize in [512, 1432] {
            let mark = format!("block {block} of {blksize}").into_bytes();
            let room = len.saturating_sub(block * blksize).min(mark.len() as u64);
            file.write_all_at(&mark[..room as usize], block * blksize).unwrap();
        }
    }
    if let Some(last) = len.checked_sub(1) {
        file.write_all_at(b"!", last).unwrap();
    }
    assert_eq!(file.metadata().unwrap().len(), len);
}

fn same(a: &Path, b: &Path) -> bool {
    let [mut a, mut b] = [a, b].map(|path| File::open(path).unwrap());
    if a.metadata().unwrap().len() != b.metadata().unwrap().len() {
        return false;
    }
    let [mut from_a, mut from_b] = [vec![0; 1 << 20], vec![0; 1 << 20]];
    loop {
        let len = a.read(&mut from_a).unwrap();
        if len == 0 {
            return true;
        }
        b.read_exact(&mut from_b[..len]).unwrap();
        if from_a[..len] != from_b[..len] {
            return false;
        }
    }
}

#[test]
fn curl_gets_short_files() {
    // Debian 12's curl fails with every server on an empty file: "getpeername() failed".
    check("curl", curl, 512, &LENGTHS[1..]);
    check("curl", curl, 1432, &[1431, 1432, 1433]);
}

#[test]
fn curl_gets_more_blocks_than_there_are_numbers() {
    check("curl", curl, 512, &[BLOCKS * 512 + 100]);
}

#[test]
fn atftp_gets_short_files() {
    check("atftp", atftp, 512, &LENGTHS);
    check("atftp", atftp_with_windows, 512, &LENGTHS);
}

#[test]
fn atftp_gets_more_blocks_than_there_are_numbers() {
    check("atftp", atftp_with_windows, 1432, &[BLOCKS * 1432]);
}

#[test]
fn busybox_gets_short_files() {
    check("busybox", busybox, 512, &LENGTHS);
    check("busybox", busybox, 1432, &[1431, 1432, 1433]);
}

#[test]
fn busybox_gets_more_blocks_than_there_are_numbers() {
    check("busybox", busybox, 1432, &[BLOCKS * 1432 + 5]);
}
