//! The files that a server holds when it has nothing to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// An abandoned TFTP transfer is given up after some 30 s; but one whose port was used again by a mutant that looked
/// like an ACK waits six times for as long as it asked to.
const REST_LIMIT: Duration = Duration::from_secs(1_200);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Where the kernel lists sockets, one a line: local address, remote address, ..., inode.
const SOCKET_TABLES: [&str; 4] = ["tcp", "tcp6", "udp", "udp6"];
const REMOTE_FIELD: usize = 2;
const INODE_FIELD: usize = 9;

/// Waits until no connection and no file of `boot_dir` is open, and the other files are as many as `wanted`, if
/// that is said. Returns how many they are.
pub(super) fn at_rest(pid: u32, boot_dir: &Path, wanted: Option<usize>) -> Result<usize> {
    let deadline = Instant::now() + REST_LIMIT;
    loop {
        // In this order: what closes in between is then in neither.
        let connections = connections(pid)?;
        let files = open_files(pid)?;
        let at_work = |file: &&PathBuf| {
            file.starts_with(boot_dir) && file != &boot_dir || connections.contains(file.as_path())
        };
        let busy = files.iter().filter(at_work).count();
        if busy == 0 && wanted.is_none_or(|wanted| wanted == files.len()) {
            return Ok(files.len());
        }
        if Instant::now() >= deadline {
            bail!("{busy} of {} files are at work, {wanted:?} were wanted: {files:#?}", files.len());
        }
        sleep(LOOK_EVERY);
    }
}

/// How many files a process has open.
pub(super) fn count(pid: u32) -> Result<usize> {
    Ok(open_files(pid)?.len())
}

/// What the links in `/proc/PID/fd` say: paths, `socket:[INODE]` and the like.
fn open_files(pid: u32) -> Result<Vec<PathBuf>> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).context("the server has ended")?;
    // One that closes meanwhile is none.
    Ok(links.filter_map(|link| fs::read_link(link.ok()?.path()).ok()).collect())
}

/// The sockets with another end, as their links say it.
fn connections(pid: u32) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for table in SOCKET_TABLES {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).context("the server has ended")?;
        found.extend(text.lines().skip(1).filter_map(connection));
    }
    Ok(found)
}

fn connection(line: &str) -> Option<PathBuf> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, _port) = fields.get(REMOTE_FIELD)?.split_once(':')?;
    let connected = address.bytes().any(|digit| digit != b'0');
    connected.then(|| Some(PathBuf::from(format!("socket:[{}]", fields.get(INODE_FIELD)?))))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_another_end() {
        let line = |remote: &str| {
            format!("  0: 0100007F:0050 {remote} 01 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 20")
        };
        assert_eq!(connection(&line("0A00BC0A:8001")), Some(PathBuf::from("socket:[4711]")));
        assert_eq!(connection(&line("00000000:0000")), None);
    }

    #[test]
    fn this_process_has_files() {
        assert!(count(std::process::id()).unwrap() >= 3);
        assert!(connections(std::process::id()).is_ok());
    }
}
