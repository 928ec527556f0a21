//! The TFTP service as clients see it: datagrams over real sockets of loopback.

mod client;
mod names;
mod places;
mod programs;
mod transfers;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use arc_swap::ArcSwap;
use bootlace::counters::{Counter, Counters};
use bootlace::files::FilePlane;
use bootlace::net::DatagramSocket;
use bootlace::resolver::{Ask, Resolver};
use bootlace::services::tftp::{AnswerFrom, Listener, Tftp, serve};
use bootlace_core::config::Cidr;
use bootlace_core::event::{EventKind, FileEvent, FileOutcome, ScriptEvent, ScriptStep};
use bootlace_core::files::{Resolution, Resource};
use bootlace_core::model::Facts;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc as guests, oneshot};
use tokio::task::JoinHandle;

use client::Client;

/// Only ends what hangs: half of what the server waits for a client that went silent.
const LIMIT: Duration = Duration::from_secs(15);
/// A client on whose link large packets are lost.
const FRAIL: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
/// What `script` is.
const SCRIPT: &str = "#!ipxe\nexit\n";

/// A service on loopback over a folder of its own.
struct Server {
    runtime: Runtime,
    dir: TempDir,
    addr: SocketAddrV4,
    counters: Arc<Counters>,
    events: Receiver<EventKind>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn new() -> Self {
        Self::with(AnswerFrom::OwnPort, None)
    }

    /// With `ports`, the server has an address that no other test uses, where they are free.
    fn with(answer_from: AnswerFrom, ports: Option<RangeInclusive<u16>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("boot/Boot")).unwrap();
        fs::write(dir.path().join("shadow"), "SECRET").unwrap();
        let files = Arc::new(FilePlane::new(&dir.path().join("boot"), &[]).unwrap());
        let (events, received) = mpsc::channel();
        // A test that has ended does not listen any more.
        let resolver = Resolver::new(files, resolve, move |_, event| drop(events.send(event)))
            .with_blocks(|peer| (*peer.ip() == FRAIL).then_some(512));
        let address = if ports.is_some() { Ipv4Addr::new(127, 0, 0, 69) } else { Ipv4Addr::LOCALHOST };
        let socket = DatagramSocket::bind_address(SocketAddrV4::new(address, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        let tftp = Tftp {
            resolver: Arc::new(resolver),
            served: Arc::new(ArcSwap::from_pointee(vec![Cidr::new(Ipv4Addr::LOCALHOST, 24).unwrap()])),
            ports,
            answer_from,
            counters: Arc::clone(&counters),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = Listener { socket, mtu: 1500, address };
        let served =
            runtime.spawn(serve(tftp, vec![listener], guests::channel(1).1, async { drop(stopped.await) }));
        Self { runtime, dir, addr, counters, events: received, stop: Some(stop), served }
    }

    fn counted(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("boot").join(name)
    }

    /// Makes a file whose bytes tell where they are.
    fn file(&self, name: &str, len: usize) -> Vec<u8> {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        fs::write(self.path(name), &bytes).unwrap();
        bytes
    }

    fn client(&self) -> Client {
        Client::new(self.addr, Ipv4Addr::LOCALHOST)
    }

    /// When this returns, what was sent to the request port before has been looked at: the port is a queue, and
    /// another host's question has gone through it.
    fn settle(&self) {
        let client = Client::new(self.addr, Ipv4Addr::new(127, 0, 0, 200));
        client.ask(b"\0\x02settle\0octet\0");
        client.receive();
    }

    fn event(&self) -> FileEvent {
        match self.events.recv_timeout(LIMIT).unwrap() {
            EventKind::File(event) => event,
            other => panic!("{other:?}"),
        }
    }

    fn outcome(&self) -> FileOutcome {
        self.event().outcome
    }
}

/// Whether it tells of `len` bytes that were delivered.
fn is_sent(outcome: &FileOutcome, len: usize) -> bool {
    matches!(outcome, FileOutcome::Sent { bytes, .. } if *bytes == len as u64)
}

fn resolve(ask: &Ask<'_>) -> Resolution {
    let script = ScriptEvent {
        name: ask.name.to_owned(),
        step: ScriptStep::Identify,
        facts: Facts::new(),
        bytes: SCRIPT.len() as u64,
        trail: Default::default(),
    };
    match ask.name {
        "script" => Resolution {
            resource: Resource::Text { body: SCRIPT.to_owned(), mime: "text/plain" },
            script: Some(script),
        },
        name => Resolution { resource: Resource::File(name.to_owned()), script: None },
    }
}
