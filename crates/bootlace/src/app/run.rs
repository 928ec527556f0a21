//! Starts what was opened, and stops it.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use axum::Router;
use bootlace_store::journal::{Retention, Writer};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bind::{Bound, Owner};
use super::keeper::{Hands, Keeper, watchdog};
use super::links::Links;
use super::{Opened, held, listeners};
use crate::http::{Admin, Guard, Token, probe_route, routes};
use crate::hub::{self, Hub};
use crate::one_shots::Book;
use crate::services::http::BootHttp;
use crate::services::stand_in::StandIns;
use crate::services::{dhcp, iscsi, ndp, tftp};
use crate::serving::Serving;
use crate::tokens::Tokens;
use crate::{logging, net, serving};

/// How long everything together may take to end: more than what the services grant their transfers.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a read that hangs in the disk may hold up the end after that.
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(1);

pub(super) fn run(opened: Opened) -> Result<()> {
    let Opened {
        origin,
        read,
        manager,
        serving,
        store,
        clock,
        mut table,
        learned,
        one_shots,
        tokens,
        journal,
        next_session,
        bound,
        disks,
    } = opened;
    let state_dir = Arc::new(serving.config.state_dir.clone());
    let config_file = Arc::new(origin.path.clone());
    let tftp_config = serving.config.tftp.clone();
    let links = Links::of(&bound).context("cannot keep the sockets of the interfaces")?;
    let served = Arc::new(ArcSwap::from_pointee(links.served(&serving.config)));
    let serving = Arc::new(ArcSwap::from_pointee(serving));
    let writer = Writer::spawn_telling(journal, Retention::default(), logging::journal)
        .context("cannot start the journal")?;
    let one_shots = Book::keep(one_shots).context("cannot keep one-shots")?;
    let hub = Arc::new(
        Hub::new(next_session, held(&table), writer)
            .knowing(learned)
            .with_one_shots(one_shots)
            .with_tokens(tokens.clone()),
    );
    let machine_disks = machine_disks(&serving, tokens, &hub)?;
    let disks = disks.with_machines(machine_disks.clone());
    let resolver = Arc::new(serving::resolver(Arc::clone(&serving), Arc::clone(&hub), machine_disks.clone()));
    let names: Vec<String> = bound.interfaces.iter().map(|interface| interface.name.clone()).collect();
    let Bound {
        dhcp: dhcp_sockets,
        probed,
        tftp: tftp_listeners,
        solicitations,
        http,
        http_owner,
        iscsi: iscsi_listeners,
        admin_socket,
        admin,
        ..
    } = bound;

    let (mut dhcp, _lock) = match dhcp_sockets {
        Some((ports, frames)) => {
            let (serving, hub) = (Arc::clone(&serving), Arc::clone(&hub));
            let prober = dhcp::Prober::new(probed, &serving.load().config, &mut table);
            let neighbourhood = dhcp::Neighbourhood::new(&serving.load().config, &ports, hub::now())
                .context("cannot get random bytes")?;
            let service = |inbox| dhcp::Dhcp {
                ports,
                frames,
                prober,
                serving,
                clock,
                neighbourhood,
                table,
                store,
                hub,
                inbox,
            };
            (Some(DhcpThread::start(service).context("cannot start the DHCP thread")?), None)
        }
        // Without DHCP the store still keeps other servers out of the state folder.
        None => (None, Some(store)),
    };

    let runtime = runtime()?;
    let tftp = tftp::Tftp {
        resolver: Arc::clone(&resolver),
        served: Arc::clone(&served),
        ports: tftp_config.ports.clone(),
        answer_from: if tftp_config.single_port {
            tftp::AnswerFrom::RequestPort
        } else {
            tftp::AnswerFrom::OwnPort
        },
        counters: Arc::clone(hub.counters()),
    };
    let orders = dhcp.as_ref().map(|dhcp| Arc::downgrade(&dhcp.orders));
    let (http_addresses, wanted) = watch::channel(Vec::new());
    if let Some(orders) = orders.clone() {
        hub.tell_of_lessons(Box::new(move || {
            if let Some(orders) = orders.upgrade() {
                orders.send(dhcp::Order::Lessons);
            }
        }));
    }
    let hands = Hands {
        serving: Arc::clone(&serving),
        served,
        http: (http_owner == Owner::Ourselves).then_some(http_addresses),
        dhcp: orders.clone().unwrap_or_default(),
        token: admin.as_ref().and_then(|(_, token)| token.clone()),
        manager: manager.clone(),
    };
    let admin_state = Admin::new(Arc::clone(&serving), config_file, state_dir, Arc::clone(&hub))
        .keeping_by(orders.clone().unwrap_or_default())
        .with_disks(machine_disks.clone());
    let served = runtime.block_on(async {
        let Signals { mut terminate, mut interrupt, hang_up } =
            Signals::new().context("cannot wait for signals")?;
        let keeper = Keeper::new(hands, links, origin, read).context("cannot watch config and interfaces")?;
        let (stopping, stop) = watch::channel(());
        let mut services = JoinSet::new();
        let boot_http = BootHttp::new(resolver, Arc::clone(hub.counters()));
        services.spawn(listeners::run(Arc::new(boot_http), http, wanted, stop.clone()));
        let (tftp_guests, guests) = mpsc::channel(tftp::GUESTS_MAX);
        let stand_ins = StandIns::new(names.clone(), serving, orders.clone(), tftp_guests, stop.clone());
        services.spawn(tftp::serve(tftp, tftp_listeners, guests, ended(stop.clone())));
        services.spawn(iscsi::serve(disks, iscsi_listeners, Arc::clone(&hub), ended(stop.clone())));
        services.spawn(keeper.run(hang_up, stop.clone()));
        // Courtesies: the server goes on without them.
        let mut courtesies = JoinSet::new();
        for (interface, socket) in solicitations {
            courtesies.spawn(ndp::serve(socket, interface, Arc::clone(&hub)));
        }
        if let Some(pause) = manager.watchdog_pause() {
            courtesies.spawn(watchdog(manager.clone(), pause, orders));
        }
        let on_socket = routes(admin_state.clone(), Guard::Socket).merge(probe_route(Arc::new(stand_ins)));
        spawn_admin(&mut services, (admin_socket, on_socket), admin, admin_state, &stop)?;
        net::give_back_freed();
        tracing::info!(interfaces = names.join(","), version = env!("CARGO_PKG_VERSION"), "ready");
        manager.ready("serving config 1");
        let told = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let served = until_the_end(told, dhcp.as_mut().map(|dhcp| &mut dhcp.ended), &mut services).await;
        tracing::info!("stopping");
        manager.stopping();
        // Nobody is told any more to fetch what nobody will serve.
        let dhcp = dhcp.map_or(Ok(()), DhcpThread::stop);
        drop((stopping, stop));
        let finished = async { while services.join_next().await.is_some() {} };
        if timeout(STOP_TIME_MAX, finished).await.is_err() {
            tracing::warn!("what is still under way is broken off");
        }
        dhcp.and(served)
    });
    runtime.shutdown_timeout(BLOCKED_TIME_MAX);
    hub.one_shots().close();
    if let Err(error) = hub.journal().flush() {
        tracing::warn!("the last of the history is lost: {error}");
    }
    tracing::info!("stopped");
    served
}

/// None where nothing listens for them: then the first one takes a restart.
fn machine_disks(
    serving: &Arc<ArcSwap<Serving>>,
    tokens: Tokens,
    hub: &Arc<Hub>,
) -> Result<Option<Arc<iscsi::MachineDisks>>> {
    let has_disks = serving.load().config.has_disks();
    let open = || iscsi::MachineDisks::open(Arc::clone(serving), tokens, Arc::clone(hub));
    has_disks.then(open).transpose().context("cannot keep the disks of machines")
}

/// The DHCP thread, and how each learns of the other's end.
struct DhcpThread {
    thread: JoinHandle<io::Result<()>>,
    /// The only handle that lasts: dropping it stops the thread.
    orders: Arc<dhcp::Orders>,
    /// Resolves when the thread has ended, even by a panic.
    ended: oneshot::Receiver<Infallible>,
}

impl DhcpThread {
    fn start(service: impl FnOnce(dhcp::Inbox) -> dhcp::Dhcp) -> io::Result<Self> {
        let (orders, inbox) = dhcp::orders()?;
        let service = service(inbox);
        let (alive, ended) = oneshot::channel::<Infallible>();
        let thread = thread::Builder::new().name("dhcp".into()).spawn(move || {
            let _alive = alive;
            service.run()
        })?;
        Ok(Self { thread, orders: Arc::new(orders), ended })
    }

    /// Lets it finish its batch and says how it ended.
    fn stop(self) -> Result<()> {
        drop(self.orders);
        match self.thread.join() {
            Ok(ended) => ended.context("DHCP cannot be served any more"),
            Err(_) => bail!("the DHCP thread panicked"),
        }
    }
}

/// Waits until it is told to stop, or for a service to end, which none does by itself: half a server is worse than one that
/// whoever watches it starts again.
async fn until_the_end(
    told: impl Future<Output = ()>,
    dhcp_ended: Option<&mut oneshot::Receiver<Infallible>>,
    services: &mut JoinSet<io::Result<()>>,
) -> Result<()> {
    let dhcp_ended = async {
        match dhcp_ended {
            Some(ended) => drop(ended.await),
            None => pending().await,
        }
    };
    tokio::select! {
        () = told => Ok(()),
        () = dhcp_ended => bail!("the DHCP service has ended"),
        Some(ended) = services.join_next() => {
            ended.context("a service panicked")?.context("a service cannot go on")?;
            bail!("a service has ended")
        }
    }
}

/// Signals are caught from before `ready` on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

fn spawn_admin(
    services: &mut JoinSet<io::Result<()>>,
    (socket, on_socket): (UnixListener, Router),
    address: Option<(TcpListener, Option<Token>)>,
    state: Admin,
    stop: &watch::Receiver<()>,
) -> Result<()> {
    let socket = tokio::net::UnixListener::from_std(socket)?;
    let served = axum::serve(socket, on_socket);
    services.spawn(served.with_graceful_shutdown(ended(stop.clone())).into_future());
    if let Some((listener, token)) = address {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = routes(state, Guard::Address(token)).into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, router).with_graceful_shutdown(ended(stop.clone()));
        services.spawn(served.into_future());
    }
    Ok(())
}

/// Ends when the sender is dropped.
pub(super) async fn ended(mut stop: watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_that_ends_is_the_end_of_the_server() {
        let running = || {
            let mut services = JoinSet::new();
            services.spawn(pending::<io::Result<()>>());
            services
        };
        let (alive, mut dhcp) = oneshot::channel();
        drop(alive);
        let ended = until_the_end(pending(), Some(&mut dhcp), &mut running()).await;
        assert_eq!(ended.unwrap_err().to_string(), "the DHCP service has ended");

        let (_alive, mut dhcp) = oneshot::channel();
        let mut services = running();
        services.spawn(async { Err(io::ErrorKind::NotConnected.into()) });
        let ended = until_the_end(pending(), Some(&mut dhcp), &mut services).await;
        assert_eq!(ended.unwrap_err().to_string(), "a service cannot go on");
    }
}
