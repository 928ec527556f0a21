//! A server with files and a client that sends what it likes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::{Daemon, Host, Lan};

use super::super::context::STEP_LIMIT;
use super::super::{Context, Subject, served};

pub(super) const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 188, 0, 10)), 69);
pub(super) const DATA: u8 = 3;
pub(super) const ACK: u8 = 4;
pub(super) const ERROR: u8 = 5;
pub(super) const OACK: u8 = 6;
pub(super) const BLOCK: usize = 512;
/// What lies outside of the served folder.
pub(super) const SECRET: &[u8] = b"not for you";

const CONFIG: &str = "
[dhcp]
mode = \"off\"
[http]
port = 8080
";
/// A server that says nothing for so long does not answer; its own timers are shorter.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a request waits before it is sent again while the server starts.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The files and their lengths.
pub(super) const FILES: [(&str, usize); 5] =
    [("small", 1000), ("even", 4 * BLOCK), ("empty", 0), ("dir/inner", 700), ("long", 70_000 * 8 + 3)];

pub(in super::super) struct World {
    client: Host,
    _server: Host,
    _lan: Lan,
    _daemon: Daemon,
}

/// One client port.
#[derive(Debug)]
pub(super) struct Port {
    socket: UdpSocket,
    /// Where the transfer comes from, once something came.
    pub(super) peer: Option<SocketAddr>,
}

impl World {
    pub(super) fn start(context: &Context, subject: Subject) -> Result<Self> {
        let lan = Lan::new()?;
        let server = lan.host("server", "10.188.0.10/24")?;
        let client = lan.host("client", "10.188.0.20/24")?;
        let dir = context.dir().join(format!("tftp-{subject}"));
        let mut command = prepare(context, subject, &dir)?;
        let daemon = Daemon::start(server.namespace(), subject.name(), &dir, command.current_dir(&dir))?;
        let output = daemon.output().clone();
        let world = Self { client, _server: server, _lan: lan, _daemon: daemon };
        let deadline = Instant::now() + STEP_LIMIT;
        loop {
            let mut port = world.port()?;
            port.request(1, "empty", "octet", &[])?;
            if port.receive_within(AGAIN_AFTER)?.is_some_and(|packet| packet[1] == DATA) {
                port.ack(1)?;
                return Ok(world);
            }
            ensure!(Instant::now() < deadline, "{subject} does not answer; it printed:\n{}", output.text());
        }
    }

    pub(super) fn port(&self) -> Result<Port> {
        let socket = self.client.namespace().run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        Ok(Port { socket, peer: None })
    }

    /// The first answer to a read request.
    pub(super) fn ask(&self, name: &str, options: &[(&str, &str)]) -> Result<(Port, Vec<u8>)> {
        let mut port = self.port()?;
        port.request(1, name, "octet", options)?;
        let answer = port.receive()?;
        Ok((port, answer))
    }

    /// A whole file, block by block.
    pub(super) fn fetch(&self, name: &str, options: &[(&str, &str)], blksize: usize) -> Result<Vec<u8>> {
        let (mut port, first) = self.ask(name, options)?;
        port.rest(first, blksize)
    }

    /// The server still serves.
    pub(super) fn lives(&self) -> Result<()> {
        let small = self.fetch("small", &[], BLOCK).context("afterwards")?;
        ensure!(small == content("small"), "afterwards a file came wrong");
        Ok(())
    }
}

impl Port {
    pub(super) fn send(&self, bytes: &[u8]) -> Result<()> {
        self.socket.send_to(bytes, self.peer.unwrap_or(SERVER)).context("send a TFTP packet")?;
        Ok(())
    }

    pub(super) fn request(&self, opcode: u8, name: &str, mode: &str, options: &[(&str, &str)]) -> Result<()> {
        let mut bytes = [&[0, opcode], name.as_bytes(), &[0], mode.as_bytes(), &[0]].concat();
        for (option, value) in options {
            bytes.extend([option.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
        }
        self.socket.send_to(&bytes, SERVER).context("send a request")?;
        Ok(())
    }

    pub(super) fn ack(&self, block: u16) -> Result<()> {
        let [high, low] = block.to_be_bytes();
        self.send(&[0, ACK, high, low])
    }

    pub(super) fn receive(&mut self) -> Result<Vec<u8>> {
        self.receive_within(PATIENCE)?.context("no answer")
    }

    pub(super) fn receive_within(&mut self, patience: Duration) -> Result<Option<Vec<u8>>> {
        self.socket.set_read_timeout(Some(patience))?;
        let mut buffer = vec![0; 66_000];
        match self.socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                ensure!(len >= 4, "a packet of {len} bytes");
                self.peer.get_or_insert(from);
                buffer.truncate(len);
                Ok(Some(buffer))
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => Ok(None),
            Err(error) => Err(error).context("receive a TFTP packet"),
        }
    }

    /// Acknowledges `first` and what follows, up to the end.
    pub(super) fn rest(&mut self, first: Vec<u8>, blksize: usize) -> Result<Vec<u8>> {
        let (mut packet, mut next, mut file) = (first, 1u16, Vec::new());
        if packet[1] == OACK {
            self.ack(0)?;
            packet = self.receive()?;
        }
        loop {
            ensure!(packet[1] == DATA, "{}", describe(&packet));
            // A copy of what came already is no news.
            if block(&packet) == next {
                file.extend(&packet[4..]);
                self.ack(next)?;
                if packet.len() - 4 < blksize {
                    return Ok(file);
                }
                next = next.wrapping_add(1);
            }
            packet = self.receive()?;
        }
    }
}

/// The block number of DATA, or the code of an ERROR.
pub(super) fn block(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

/// The options of an OACK.
pub(super) fn granted(packet: &[u8]) -> Result<Vec<(String, String)>> {
    ensure!(packet[1] == OACK, "{} instead of an OACK", describe(packet));
    let text = String::from_utf8_lossy(&packet[2..]).to_lowercase();
    let fields: Vec<&str> = text.split_terminator('\0').collect();
    Ok(fields.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect())
}

pub(super) fn describe(packet: &[u8]) -> String {
    match packet[1] {
        DATA => format!("DATA {}", block(packet)),
        ERROR => format!("ERROR {}: {}", block(packet), packet[4..].escape_ascii()),
        OACK => format!("OACK {}", packet[2..].escape_ascii()),
        ACK => format!("ACK {}", block(packet)),
        other => format!("opcode {other}"),
    }
}

/// What a file holds: the same bytes in every run, with line ends among them.
pub(super) fn content(name: &str) -> Vec<u8> {
    let len = FILES.iter().find(|(file, _)| *file == name).map_or(0, |(_, len)| *len);
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

fn prepare(context: &Context, subject: Subject, dir: &Path) -> Result<Command> {
    let boot = dir.join("boot");
    fs::create_dir_all(boot.join("dir"))?;
    for (name, _) in FILES {
        fs::write(boot.join(name), content(name))?;
    }
    fs::write(dir.join("secret"), SECRET)?;
    let mut command;
    match subject {
        Subject::Bootlace => {
            served::write_config(dir, CONFIG)?;
            command = served::serve(&context.bootlace(), dir);
        }
        Subject::Dnsmasq => {
            command = Command::new("dnsmasq");
            command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]);
            command.args(["--pid-file=", "--log-facility=-", "--enable-tftp"]);
            command.arg(format!("--tftp-root={}", boot.display()));
        }
        Subject::Atftpd => {
            command = Command::new("atftpd");
            command.args(["--daemon", "--no-fork", "--user", "root.root", "--verbose=3", "--logfile", "-"]);
            command.arg(boot);
        }
        Subject::Kea => bail!("Kea speaks no TFTP"),
    }
    Ok(command)
}
