//! iSCSI: one thread for each connection, which receives a batch, does it and sends once. Disks block, so there is
//! nothing to be gained by a runtime, and a thread that works for one initiator keeps nobody else waiting.

mod flush;
mod image;
pub mod limits;
mod link;
mod memory;
mod table;
mod target;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use anyhow::Result;
use bootlace_core::config::IscsiConfig;
use bootlace_wire::iscsi::limits::CHALLENGE_BYTES;
use socket2::{SockRef, TcpKeepalive};

use self::limits::{ACCEPT_PAUSE, SEND_TIME_MAX, SILENCE, STOP_TIME, UNACKNOWLEDGED_MAX};
use self::memory::Memory;
use self::table::Table;
use self::target::Target;
use crate::counters::Counters;

/// The disks of all targets, opened.
#[derive(Debug, Default)]
pub struct Disks(Vec<Arc<Target>>);

impl Disks {
    /// Opens them; one that cannot be is a failed start.
    pub fn open(config: &IscsiConfig) -> Result<Self> {
        config
            .targets
            .iter()
            .map(|target| Target::open(target).map(Arc::new))
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// What all connections see.
#[derive(Debug)]
struct Shared {
    targets: Vec<Arc<Target>>,
    table: Arc<Table>,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
    /// Numbers the sessions.
    sessions: AtomicU64,
}

impl Shared {
    fn target(&self, name: &str) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.name() == name)
    }

    fn stopping(&self) -> bool {
        self.table.stopping()
    }
}

/// Serves the targets on all listeners until `stop` resolves, and then ends all connections.
pub async fn serve(
    disks: Disks,
    listeners: Vec<TcpListener>,
    counters: Arc<Counters>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let table = Arc::new(Table::new(Arc::clone(&counters)));
    let shared = Arc::new(Shared {
        targets: disks.0,
        table,
        counters,
        memory: Arc::new(Memory::new()),
        sessions: AtomicU64::new(0),
    });
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(tokio::net::TcpListener::from_std(listener)?, Arc::clone(&shared)));
    }
    stop.await;
    accepting.shutdown().await;
    shared.table.stop();
    let emptied = tokio::task::spawn_blocking(move || shared.table.wait_empty(STOP_TIME));
    emptied.await.map_err(io::Error::other)
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.into_std().and_then(|stream| begin(&shared, stream)) {
                    tracing::warn!("an iSCSI connection cannot be served: {error}");
                }
            }
            Err(error) => {
                tracing::warn!("no iSCSI connection can be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SEND_TIME_MAX))?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    let Some(mut place) = shared.table.enter(&stream, peer) else { return Ok(()) };
    let shared = Arc::clone(shared);
    thread::Builder::new().name("iscsi".into()).spawn(move || link::serve(&shared, stream, &mut place))?;
    Ok(())
}

/// The identifier and the challenge of one login.
fn random() -> io::Result<[u8; 1 + CHALLENGE_BYTES]> {
    let mut bytes = [0; 1 + CHALLENGE_BYTES];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}
