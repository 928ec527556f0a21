//! Files out of memory over HTTP, against nginx with sendfile: one large one, and a kernel for a classroom.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::net::{RecvFlags, recv};

use super::contest::Standings;
use super::wire::{SERVER, Server, Wire, http_answers};
use super::{Bound, Contest, Floor, Sample, Subject};

const MIB: u64 = 1 << 20;
/// What one read of the sink discards at most.
const SINK_BYTES: usize = 1 << 20;
/// The longest response head.
const HEAD_BYTES_MAX: usize = 4096;

const BOOTLACE: &str = r#"interfaces = ["eth0"]
state_dir = "state"
boot_dir = "boot"
default = "local"

[dhcp]
mode = "off"

[boot.local]
kind = "local"
"#;

/// Debian's file without what has nothing to do with it.
const NGINX: &str = "user root;
worker_processes auto;
pid DIR/nginx.pid;
error_log DIR/nginx-error.log;
daemon off;
events { worker_connections 768; }
http {
  sendfile on;
  tcp_nopush on;
  types_hash_max_size 2048;
  default_type application/octet-stream;
  access_log DIR/nginx-access.log;
  client_body_temp_path DIR/nginx-body;
  proxy_temp_path DIR/nginx-proxy;
  fastcgi_temp_path DIR/nginx-fastcgi;
  uwsgi_temp_path DIR/nginx-uwsgi;
  scgi_temp_path DIR/nginx-scgi;
  server { listen 80 backlog=4096; root DIR/boot; }
}
";

/// So many clients at once, each with the whole file.
#[derive(Debug, Clone, Copy)]
struct Download {
    work: &'static str,
    name: &'static str,
    bytes: u64,
    clients: u64,
}

const DOWNLOADS: [Download; 2] = [
    Download { work: "1 GiB to one client", name: "image", bytes: 1024 * MIB, clients: 1 },
    Download { work: "30 MiB to 64 clients", name: "linux", bytes: 30 * MIB, clients: 64 },
];

/// Runs both contests. `dir` is in memory.
pub(super) fn run(bootlace: &Path, dir: &Path, rounds: u32) -> Result<Vec<Standings>> {
    let boot = dir.join("boot");
    fs::create_dir(&boot)?;
    for download in DOWNLOADS {
        fill(&boot.join(download.name), download.bytes).context("make a file")?;
    }
    fs::write(dir.join("bootlace.toml"), BOOTLACE)?;
    fs::write(dir.join("nginx.conf"), NGINX.replace("DIR", &dir.display().to_string()))?;
    let mut serve = Command::new(bootlace);
    serve.args(["serve", "-c", "bootlace.toml"]);
    let mut nginx = Command::new("nginx");
    nginx.arg("-c").arg(dir.join("nginx.conf"));
    let mut servers = Vec::new();
    for (name, mut command) in [("bootlace", serve), ("nginx", nginx)] {
        let wire = Wire::new()?;
        let server = wire.serve(name, dir, &mut command, http_answers)?;
        servers.push((name, wire, server));
    }
    DOWNLOADS.into_iter().map(|download| contest(&servers, download).run(rounds)).collect()
}

fn contest<'a>(servers: &'a [(&'static str, Wire, Server)], download: Download) -> Contest<'a> {
    let subjects = servers.iter().map(|(name, wire, server)| Subject {
        name,
        measure: Box::new(move || measure(wire, server, download)),
    });
    Contest {
        work: download.work.to_owned(),
        unit: "MiB",
        floor: Floor { rate: 1.0, cpu: None },
        end: "0.50 of nginx's CPU",
        subjects: subjects.collect(),
    }
}

fn measure(wire: &Wire, server: &Server, download: Download) -> Result<Sample> {
    let (before, started) = (server.spent()?, Instant::now());
    let fetched = wire.load.run(|| {
        thread::scope(|scope| {
            // A thread is born into the namespace of the one that starts it.
            let clients: Vec<_> =
                (0..download.clients).map(|_| scope.spawn(|| fetch(download.name))).collect();
            let fetched = clients
                .into_iter()
                .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            fetched.sum::<Result<u64>>()
        })
    })?;
    let (bytes, elapsed) = (fetched?, started.elapsed());
    ensure!(bytes == download.bytes * download.clients, "{bytes} bytes came");
    let cpu = server.spent()? - before;
    Ok(Sample { operations: bytes as f64 / MIB as f64, elapsed, cpu, bound: Bound::Server })
}

fn fill(path: &Path, bytes: u64) -> std::io::Result<()> {
    let block: Vec<u8> = (0..MIB).map(|at| (at % 251) as u8).collect();
    let mut file = File::create(path)?;
    (0..bytes / MIB).try_for_each(|_| file.write_all(&block))
}

/// Fetches a file and throws it away in the kernel (MSG_TRUNC of tcp(7)): a client that costs nearly nothing,
/// so that on two cores the server is what is measured. Returns the length of the body.
fn fetch(name: &str) -> Result<u64> {
    let mut stream = TcpStream::connect((SERVER, 80))?;
    write!(stream, "GET /{name} HTTP/1.1\r\nHost: {SERVER}\r\nConnection: close\r\n\r\n")?;
    let early = head(&mut stream)?;
    let mut bytes = early as u64;
    let mut sink = vec![0; SINK_BYTES];
    loop {
        match recv(&stream, &mut sink[..], RecvFlags::TRUNC)? {
            (_, 0) => return Ok(bytes),
            (_, count) => bytes += count as u64,
        }
    }
}

/// Reads the head of a response and returns how much of the body came with it.
fn head(stream: &mut TcpStream) -> Result<usize> {
    let mut read = vec![0; HEAD_BYTES_MAX];
    let mut len = 0;
    loop {
        let count = stream.read(&mut read[len..])?;
        ensure!(count > 0, "no whole head within {HEAD_BYTES_MAX} bytes");
        len += count;
        if let Some(end) = read[..len].windows(4).position(|four| four == b"\r\n\r\n") {
            let status = String::from_utf8_lossy(&read[..end]).into_owned();
            ensure!(status.starts_with("HTTP/1.1 200 "), "answered {status}");
            return Ok(len - end - 4);
        }
    }
}
