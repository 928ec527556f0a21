//! Clients that take places and give nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Host, Lan};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use super::Context;
use super::context::STEP_LIMIT;
use super::served::{SERVER, SUBNET, Served};

const STALLED: usize = 2_000;
/// More than the server has places for.
const SLOW: usize = 4_500;
const SIZE: u64 = 64 << 20;
/// The server's memory while it holds all of them. Each has a frame of 16 KiB and hyper's buffers; the kernel's
/// are not in this number.
const RSS_MAX_KIB: u64 = 300 << 10;
/// The runtime's workers and the threads that read for it; none is a client's.
const THREADS_MAX: u64 = 64;
/// A client that takes little from the kernel as well.
const RECEIVE_BUFFER: usize = 4_096;
const REQUEST: &[u8] = b"GET /big.img HTTP/1.1\r\nHost: x\r\n\r\n";

pub(super) fn stalled_downloads(context: &Context) -> Result<()> {
    raise_files_limit()?;
    let lan = Lan::new()?;
    let server = served(context, &lan)?;
    let idle = server.status("VmRSS")?;
    let (crowd, boot) = (lan.host("crowd", "10.188.0.20/24")?, lan.host("boot", "10.188.0.21/24")?);
    let stalled = (0..STALLED).map(|_| {
        let mut stream = connect(&crowd)?;
        stream.write_all(REQUEST)?;
        Ok(stream)
    });
    let mut stalled = stalled.collect::<Result<Vec<_>>>()?;
    // An answer's first byte shows that each of them is being served.
    for stream in &mut stalled {
        stream.set_read_timeout(Some(STEP_LIMIT))?;
        stream.read_exact(&mut [0]).context("a stalled client was not served")?;
    }
    context.note(&format!("{STALLED} stalled downloads"));

    let began = Instant::now();
    let bytes = download(&boot)?;
    ensure!(bytes >= SIZE, "{bytes} bytes of {SIZE}");
    let (peak, threads) = (server.status("VmHWM")?, server.status("Threads")?);
    context.note(&format!(
        "{} MiB beside them in {:.2} s; idle {} MiB, peak {} MiB, {threads} threads",
        SIZE >> 20,
        began.elapsed().as_secs_f64(),
        idle >> 10,
        peak >> 10
    ));
    ensure!(peak <= RSS_MAX_KIB, "{peak} KiB are more than {RSS_MAX_KIB}");
    ensure!(threads <= THREADS_MAX, "{threads} threads");
    ensure!(stalled.iter().all(is_open), "a stalled download was cut off early");
    Ok(())
}

pub(super) fn slow_headers(context: &Context) -> Result<()> {
    raise_files_limit()?;
    let lan = Lan::new()?;
    let server = served(context, &lan)?;
    // One address alone cannot take all places, so that there are three.
    let crowd = ["10.188.0.20/24", "10.188.0.22/24", "10.188.0.23/24"];
    let crowd = crowd.iter().enumerate().map(|(at, cidr)| lan.host(&format!("crowd{at}"), cidr));
    let crowd = crowd.collect::<Result<Vec<_>>>()?;
    let boot = lan.host("boot", "10.188.0.21/24")?;
    let mut slow = Vec::new();
    for host in crowd.iter().cycle().take(SLOW) {
        let mut stream = connect(host)?;
        // A server that is full closes the connection before it hears this.
        drop(stream.write_all(b"GET /big.img HT"));
        slow.push(stream);
    }
    context.note(&format!("{SLOW} requests that do not end"));
    let began = Instant::now();
    // A loader tries again when its connection is closed, and so does this one.
    let bytes = loop {
        match download(&boot) {
            Ok(bytes) if bytes >= SIZE => break bytes,
            _ => ensure!(began.elapsed() < STEP_LIMIT, "no boot beside slow clients"),
        }
    };
    let (peak, threads) = (server.status("VmHWM")?, server.status("Threads")?);
    context.note(&format!(
        "{bytes} bytes after {:.2} s; peak {} MiB, {threads} threads",
        began.elapsed().as_secs_f64(),
        peak >> 10
    ));
    ensure!(peak <= RSS_MAX_KIB, "{peak} KiB are more than {RSS_MAX_KIB}");
    ensure!(threads <= THREADS_MAX, "{threads} threads");
    drop(slow);
    Ok(())
}

fn served(context: &Context, lan: &Lan) -> Result<Served> {
    // A service manager starts servers with this soft limit; the server has to raise it.
    let wrapper = ["sh", "-c", "ulimit -S -n 1024; exec \"$@\"", "sh"];
    let config = format!("[dhcp]\nmode = \"server\"\n{SUBNET}");
    let server = Served::start_under(context, lan, &config, &wrapper)?;
    let big = std::fs::File::create(server.boot_dir().join("big.img"))?;
    big.set_len(SIZE)?;
    Ok(server)
}

fn connect(host: &Host) -> Result<TcpStream> {
    let connect = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let address: SocketAddr = (std::net::Ipv4Addr::from(address()), 80).into();
        socket.connect(&address.into())?;
        Ok::<TcpStream, std::io::Error>(socket.into())
    };
    host.namespace().run(connect)?.context("connect")
}

fn address() -> [u8; 4] {
    [10, 188, 0, 10]
}

fn download(host: &Host) -> Result<u64> {
    fetch(host, "/big.img")
}

/// Bytes of an answer, head included.
pub(super) fn fetch(host: &Host, path: &str) -> Result<u64> {
    host.namespace().run(|| {
        let mut stream = TcpStream::connect((SERVER, 80))?;
        stream.set_read_timeout(Some(STEP_LIMIT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        Ok(std::io::copy(&mut stream, &mut std::io::sink())?)
    })?
}

/// The peer has neither closed nor reset it.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    !matches!(
        rustix::net::recv(stream.as_fd(), &mut byte, flags),
        Ok((0, _)) | Err(rustix::io::Errno::CONNRESET)
    )
}

fn raise_files_limit() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("raise the limit of open files")
}
