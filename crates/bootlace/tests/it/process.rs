//! `bootlace serve` as a process: on loopback, without privileges and without DHCP.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longest wait for what must come: what does not fails its test instead of holding up all of them.
pub(crate) const WAIT: Duration = Duration::from_secs(60);
/// More than what the sockets of one connection hold.
pub(crate) const LARGE: usize = 64 << 20;
/// More requests than a pipe holds log lines.
const MANY: usize = 2_000;

pub(crate) struct Server {
    pub(crate) child: Child,
    log: Option<BufReader<ChildStderr>>,
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
}

impl Server {
    /// Starts it by a shell that runs `before` first, and waits until it is ready.
    pub(crate) fn start(before: &str) -> Self {
        Self::start_with(before, |_| {})
    }

    /// The same in an environment.
    pub(crate) fn start_with(before: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("boot")).unwrap();
        fs::write(dir.path().join("boot/large"), vec![7; LARGE]).unwrap();
        fs::write(dir.path().join("boot/small"), "small").unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = dir.path().join("bootlace.toml");
        let text = format!(
            "interfaces = [\"lo\"]\nstate_dir = \"state\"\nboot_dir = \"boot\"\n[dhcp]\nmode = \"off\"\n\
             [tftp]\nenabled = false\n[http]\nport = {port}\n[admin]\nlisten = \"off\"\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{before}; exec \"$0\" serve -c \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_bootlace"))
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, log: Some(log), port, dir };
        server.wait_for("ready");
        server
    }

    /// All that is said until then.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        let log = self.log.as_mut().unwrap();
        let mut seen = String::new();
        while !seen.lines().last().is_some_and(|line| line.contains(what)) {
            // A line comes whole: what is there of it is all of it.
            if log.buffer().is_empty() {
                let limit = Timespec::try_from(WAIT).unwrap();
                let ready = poll(&mut [PollFd::new(log.get_ref(), PollFlags::IN)], Some(&limit)).unwrap();
                assert_eq!(ready, 1, "nothing of {what} was said: {seen}");
            }
            let read = log.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "it ended without saying {what}: {seen}");
        }
        seen
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream
    }

    /// Everything that comes for a request.
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        let mut stream = self.connect();
        ask(&mut stream, name);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn ask(stream: &mut TcpStream, name: &str) {
    write!(stream, "GET /{name} HTTP/1.0\r\n\r\n").unwrap();
}

fn mode(server: &Server, name: &str) -> u32 {
    fs::metadata(server.dir.path().join(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn leases_and_histories_are_the_owners_and_the_groups_business() {
    let server = Server::start("umask 0");
    assert_eq!(mode(&server, "state"), 0o750);
    assert_eq!(mode(&server, "state/admin.sock"), 0o660);
    assert!(server.stop().success());
}

#[test]
fn a_second_server_in_the_same_folder_does_not_start() {
    let server = Server::start(":");
    let config = fs::read_to_string(server.dir.path().join("bootlace.toml")).unwrap();
    let other = server.dir.path().join("other.toml");
    // On another port: the folder alone has to keep it out.
    fs::write(&other, config.replace(&format!("port = {}", server.port), "port = 1")).unwrap();
    let second =
        Command::new(env!("CARGO_BIN_EXE_bootlace")).args(["serve", "-c"]).arg(&other).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.contains("is in use by another Bootlace"), "{said}");
}

#[test]
fn a_download_under_way_is_finished_after_sigterm() {
    let mut server = Server::start(":");
    let mut stream = server.connect();
    ask(&mut stream, "large");
    stream.read_exact(&mut [0; 1000]).unwrap();
    server.signal(Signal::TERM);
    server.wait_for("stopping");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() + 1000 > LARGE, "it broke off after {} bytes", rest.len());
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let server = Server::start(":");
    for _ in 0..MANY {
        assert!(server.get("..%2fetc/passwd").starts_with(b"HTTP/1.0 400"));
    }
    assert!(server.get("small").ends_with(b"small"));
}

#[test]
fn a_log_that_has_gone_ends_nothing() {
    let mut server = Server::start(":");
    drop(server.log.take());
    for _ in 0..3 {
        assert!(server.get("..%2fetc/passwd").starts_with(b"HTTP/1.0 400"));
    }
    assert!(server.get("small").ends_with(b"small"));
    assert!(server.stop().success());
}

#[test]
fn signals_count_from_ready_on() {
    let server = Server::start(":");
    server.signal(Signal::HUP);
    assert!(server.get("small").ends_with(b"small"));
    assert!(server.stop().success());
    assert!(Server::start(":").stop().success());
}

#[test]
fn a_low_soft_limit_of_open_files_is_raised() {
    let server = Server::start("ulimit -S -n 64");
    let mut streams: Vec<TcpStream> = (0..200).map(|_| server.connect()).collect();
    for stream in &mut streams {
        ask(stream, "small");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"small"));
    }
    assert!(server.stop().success());
}

#[test]
fn without_root_it_keeps_the_capabilities_of_its_own_namespace() {
    let server = Server::start(
        "exec unshare -Urn sh -c 'ip link set lo up && exec \"$0\" serve -c \"$1\"' \"$0\" \"$1\"",
    );
    let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    for task in tasks {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for line in ["CapEff:\t0000000000002400", "CapBnd:\t0000000000002400", "NoNewPrivs:\t1"] {
            assert!(status.contains(line), "no {line} in {status}");
        }
    }
    assert!(server.stop().success());
}
