//! The boot port as clients see it: raw bytes over real sockets.

mod answers;
mod crowds;
mod protocol;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use bootlace::counters::{Counter, Counters};
use bootlace::files::FilePlane;
use bootlace::resolver::{Ask, Resolver};
use bootlace::services::http::{BootHttp, Patience, serve};
use bootlace_core::event::{EventKind, FileEvent, FileOutcome, ScriptEvent, ScriptStep};
use bootlace_core::files::{Resolution, Resource};
use bootlace_core::model::Facts;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// What `/boot.ipxe` says here.
const SCRIPT: &str = "#!ipxe\nexit\n";

/// A server on loopback over a folder of its own.
struct Server {
    runtime: Option<Runtime>,
    dir: TempDir,
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    events: Receiver<EventKind>,
    queries: Arc<Mutex<Vec<String>>>,
    counters: Arc<Counters>,
}

impl Server {
    fn new() -> Self {
        Self::with_patience(Patience::default())
    }

    fn with_patience(patience: Patience) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("boot/debian")).unwrap();
        fs::write(dir.path().join("boot/debian/linux"), kernel()).unwrap();
        fs::write(dir.path().join("shadow"), "SECRET").unwrap();
        let files = Arc::new(FilePlane::new(&dir.path().join("boot"), &[]).unwrap());
        let (events, received) = mpsc::channel();
        let queries = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&queries);
        let decide = move |ask: &Ask<'_>| {
            asked.lock().unwrap().push(ask.query.to_owned());
            resolve(ask)
        };
        // A test that has ended does not listen any more.
        let record = move |_, event| drop(events.send(event));
        let resolver = Resolver::new(files, decide, record);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let counters = Arc::new(Counters::default());
        let http = BootHttp::new(Arc::new(resolver), Arc::clone(&counters)).with_patience(patience);
        runtime.spawn(serve(listener, Arc::new(http), async { drop(stopped.await) }));
        Self { runtime: Some(runtime), dir, addr, stop: Some(stop), events: received, queries, counters }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("boot").join(name)
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.addr).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    /// One request on a connection of its own.
    fn get(&self, target: &str, headers: &str) -> Answer {
        self.connect().request(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"))
    }

    /// The next file event; fails the test when the server is gone.
    fn file_event(&self) -> FileEvent {
        match self.events.recv().unwrap() {
            EventKind::File(event) => event,
            other => panic!("{other:?}"),
        }
    }

    fn outcome(&self) -> FileOutcome {
        self.file_event().outcome
    }

    /// What has been recorded when the server has stopped.
    fn stop(mut self) -> Vec<EventKind> {
        drop(self.stop.take());
        // Waits for tasks that run and drops the others.
        drop(self.runtime.take());
        self.events.try_iter().collect()
    }
}

fn resolve(ask: &Ask<'_>) -> Resolution {
    let script = ScriptEvent {
        name: ask.name.to_owned(),
        step: ScriptStep::Identify,
        facts: Facts::new(),
        bytes: SCRIPT.len() as u64,
        trail: Default::default(),
    };
    let text = |body: &str| Resource::Text { body: body.to_owned(), mime: "text/plain" };
    match ask.name {
        "boot.ipxe" => Resolution { resource: text(SCRIPT), script: Some(script) },
        "generated" => Resolution { resource: text("made"), script: None },
        "never" => Resolution { resource: Resource::Absent("no boot asks for it".to_owned()), script: None },
        name => Resolution { resource: Resource::File(name.to_owned()), script: None },
    }
}

/// A file of three frames and a bit whose bytes tell where they are.
fn kernel() -> Vec<u8> {
    (0..3 * 256 * 1024 + 1000_u32).map(|at| (at % 251) as u8).collect()
}

struct Client {
    stream: BufReader<TcpStream>,
}

/// A response as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// The head as raw text, with the case that it came in.
    head: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    fn send(&mut self, request: &str) {
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    fn request(&mut self, request: &str) -> Answer {
        self.send(request);
        let head = self.head();
        self.body(head, !request.starts_with("HEAD"))
    }

    /// Reads up to the empty line.
    fn head(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).unwrap(), 0, "ended in the head: {head:?}");
        }
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Answer { status, headers, body: Vec::new(), head }
    }

    fn body(&mut self, mut answer: Answer, expected: bool) -> Answer {
        if expected && let Some(len) = answer.header("Content-Length") {
            answer.body = vec![0; len.parse().unwrap()];
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    /// Whether the server has closed the connection, with nothing more to read.
    fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).is_ok_and(|_| rest.is_empty())
    }
}
