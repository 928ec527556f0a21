//! iSCSI: one thread for each connection, which receives a batch, does it and sends once. Disks block, so there is
//! nothing to be gained by a runtime, and a thread that works for one initiator keeps nobody else waiting.

mod flush;
mod images;
pub mod limits;
mod link;
mod listing;
mod machine_disks;
mod memory;
mod offline;
mod perform;
mod table;
mod target;
mod told;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use anyhow::Result;
use bootlace_core::config::IscsiConfig;
use bootlace_wire::iscsi::limits::CHALLENGE_BYTES;
use bootlace_wire::iscsi::{Admission, Authentication, LoginRequest, Refusal, SessionKind};
use socket2::{SockRef, TcpKeepalive};

pub use self::images::{IMAGES_MAX, find as find_image, missing as missing_image};
use self::limits::{ACCEPT_PAUSE, SEND_TIME_MAX, SILENCE, STOP_TIME, UNACKNOWLEDGED_MAX};
pub use self::listing::{Release, Reset};
pub use self::machine_disks::{MachineDisks, NamedFor, NotServed};
use self::memory::Memory;
pub use self::offline::{ImageFile, image_file, open_disk};
use self::table::Table;
use self::target::Target;
use crate::hub::Hub;

/// What is served.
#[derive(Debug, Default)]
pub struct Disks {
    /// The targets of the config, opened.
    targets: Vec<Arc<Target>>,
    machines: Option<Arc<MachineDisks>>,
}

impl Disks {
    /// Opens the targets of the config; one that cannot be is a failed start.
    pub fn open(config: &IscsiConfig) -> Result<Self> {
        let targets = config.targets.iter().map(|target| Target::open(target).map(Arc::new));
        Ok(Self { targets: targets.collect::<Result<_>>()?, machines: None })
    }

    /// The same with the disks of machines.
    #[must_use]
    pub fn with_machines(self, machines: Option<Arc<MachineDisks>>) -> Self {
        Self { machines, ..self }
    }
}

/// What all connections see.
struct Shared {
    disks: Disks,
    table: Arc<Table>,
    hub: Arc<Hub>,
    memory: Arc<Memory>,
    /// Numbers the sessions.
    sessions: AtomicU64,
}

impl Shared {
    fn of_config(&self, name: &str) -> Option<&Arc<Target>> {
        self.disks.targets.iter().find(|target| target.name() == name)
    }

    /// What an initiator has to do for what it wants.
    fn admission(&self, who: &LoginRequest) -> Result<Admission, Refusal> {
        let SessionKind::Normal { target } = &who.session else {
            // Disks of machines are told to those by their scripts.
            let seen = self.disks.targets.iter().filter(|target| target.admits(&who.initiator));
            let targets = seen.map(|target| target.name().to_owned()).collect();
            return Ok(Admission { authentication: Authentication::None, targets });
        };
        let admission = match (self.of_config(target), &self.disks.machines) {
            (Some(found), _) if found.admits(&who.initiator) => found.admission(),
            (Some(_), _) => return Err(Refusal::Forbidden),
            (None, Some(machines)) => machines.admission(target, &who.initiator)?,
            (None, None) => return Err(Refusal::NotFound),
        };
        // A session has one connection, which it began with.
        if who.tsih != 0 { Err(Refusal::NoSession) } else { Ok(admission) }
    }

    /// The target of a name, for who has done what it takes.
    fn target(&self, name: &str) -> Result<Arc<Target>, Refusal> {
        match (self.of_config(name), &self.disks.machines) {
            (Some(found), _) => Ok(Arc::clone(found)),
            (None, Some(machines)) => machines.target(name),
            (None, None) => Err(Refusal::NotFound),
        }
    }

    fn stopping(&self) -> bool {
        self.table.stopping()
    }
}

/// Serves the targets on all listeners until `stop` resolves, and then ends all connections.
pub async fn serve(
    disks: Disks,
    listeners: Vec<TcpListener>,
    hub: Arc<Hub>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let table = Arc::new(Table::new(Arc::clone(hub.counters())));
    let shared =
        Arc::new(Shared { disks, table, hub, memory: Arc::new(Memory::new()), sessions: AtomicU64::new(0) });
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(tokio::net::TcpListener::from_std(listener)?, Arc::clone(&shared)));
    }
    stop.await;
    accepting.shutdown().await;
    shared.table.stop();
    let emptied = tokio::task::spawn_blocking(move || {
        shared.table.wait_empty(STOP_TIME);
        if let Some(machines) = &shared.disks.machines {
            machines.close();
        }
    });
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
