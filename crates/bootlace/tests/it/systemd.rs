//! What systemd hears of the server and hands to it, without a systemd; and its unit.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Server, ask};

/// Longest wait for a message that must come.
const WAIT: Duration = Duration::from_secs(20);

/// The other end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        Self { socket, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("notify")
    }

    fn hear(&self) -> String {
        let mut text = [0; 1000];
        let len = self.socket.recv(&mut text).unwrap();
        String::from_utf8(text[..len].to_vec()).unwrap()
    }
}

#[test]
fn it_says_when_it_is_ready_reloads_and_stops() {
    let manager = Manager::new();
    let mut server = Server::start_with(":", |command| {
        command.env("NOTIFY_SOCKET", manager.path());
    });
    assert_eq!(manager.hear(), "READY=1\nSTATUS=serving config 1");
    server.signal(Signal::HUP);
    let reloading = manager.hear();
    let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().split_once('\n').unwrap().0;
    assert!(usec.parse::<u64>().unwrap() > 0, "{reloading}");
    assert_eq!(manager.hear(), "READY=1\nSTATUS=serving config 2");
    fs::write(server.dir.path().join("bootlace.toml"), "nonsense").unwrap();
    server.wait_for("stays");
    assert!(manager.hear().contains("STATUS=serving config 2; the file has errors"));
    server.signal(Signal::TERM);
    assert!(manager.hear().starts_with("STOPPING=1\n"));
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn the_watchdog_is_fed_as_often_as_it_wants() {
    let manager = Manager::new();
    let _server = Server::start_with("export WATCHDOG_PID=$$", |command| {
        command.env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "20000");
    });
    let heard: Vec<String> = (0..4).map(|_| manager.hear()).collect();
    assert_eq!(heard.iter().filter(|text| *text == "WATCHDOG=1").count(), 3, "{heard:?}");
    let other = Manager::new();
    let server = Server::start_with("export WATCHDOG_PID=1", |command| {
        command.env("NOTIFY_SOCKET", other.path()).env("WATCHDOG_USEC", "20000");
    });
    assert!(other.hear().starts_with("READY=1"));
    server.signal(Signal::TERM);
    assert!(other.hear().starts_with("STOPPING=1"), "a watchdog of another process was fed");
}

#[test]
fn it_serves_on_a_socket_that_was_opened_for_it() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // Descriptor 3 is what the shell makes of ours.
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let before =
        format!("exec 3<&{}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http", listener.as_raw_fd());
    let server = Server::start(&before);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).is_err(), "it listens elsewhere, too");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    ask(&mut stream, "small");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("small"), "{answer}");
    assert!(server.stop().success());
}

fn unit() -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../packaging/bootlace.service"].iter().collect();
    fs::read_to_string(path).unwrap()
}

/// Runs `systemd-analyze` on the unit, with this program in the place of the installed one.
fn analyze(arguments: &[&str]) -> String {
    let version = Command::new("systemd-analyze").arg("--version").output().expect("the package systemd");
    let version = String::from_utf8(version.stdout).unwrap();
    let version: u32 = version.split_whitespace().nth(1).unwrap().parse().unwrap();
    // What the unit says to do on a systemd of before 253.
    let kind = if version < 253 { "Type=notify\n" } else { "Type=notify-reload\n" };
    let unit = unit()
        .replace("Type=notify-reload\n", kind)
        .replace("/usr/bin/bootlace", env!("CARGO_BIN_EXE_bootlace"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bootlace.service");
    fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").args(arguments).arg(&path).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn systemd_understands_the_unit() {
    assert_eq!(analyze(&["verify", "--man=no"]), "");
}

#[test]
fn the_unit_leaves_little_open() {
    // In tenths; without any hardening it is 96.
    analyze(&["security", "--offline=true", "--no-pager", "--threshold=32"]);
}
