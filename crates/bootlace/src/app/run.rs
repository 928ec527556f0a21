//! Starts what was opened, and stops it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use bootlace_store::journal::{Retention, Writer};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bind::Bound;
use super::{Opened, held};
use crate::http::{Admin, Guard, routes};
use crate::hub::Hub;
use crate::resolver::Resolver;
use crate::services::http::BootHttp;
use crate::services::{dhcp, http, ndp, tftp};
use crate::serving;

/// How long transfers under way may take once the server was told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) fn run(opened: Opened) -> Result<()> {
    let Opened { serving, plane, store, leases, table, journal, next_session, bound } = opened;
    let state_dir = Arc::new(serving.config.state_dir.clone());
    let tftp_config = serving.config.tftp.clone();
    let serving = Arc::new(ArcSwap::from_pointee(serving));
    let writer = Writer::spawn(journal, Retention::default()).context("cannot start the journal")?;
    let hub = Arc::new(Hub::new(next_session, held(&leases), writer));
    drop(leases);
    let resolver = Arc::new(serving::resolver(Arc::new(plane), Arc::clone(&serving), Arc::clone(&hub)));
    let names: Vec<String> = bound.interfaces.iter().map(|interface| interface.name.clone()).collect();
    let Bound {
        dhcp: dhcp_sockets,
        tftp: tftp_listeners,
        solicitations,
        http: http_listeners,
        admin_socket,
        admin,
        served,
        ..
    } = bound;

    let (dhcp_runs, dhcp_ended) = watch::channel(());
    let (stop_dhcp, stopped) = io::pipe().context("cannot make a pipe")?;
    let dhcp_thread = dhcp_sockets.map(|(ports, frames)| {
        let service = dhcp::Dhcp {
            ports,
            frames,
            serving: Arc::clone(&serving),
            table,
            store,
            hub: Arc::clone(&hub),
            counters: Arc::default(),
            stop: OwnedFd::from(stop_dhcp),
        };
        // Dropped when the thread ends, by whatever way.
        let running = dhcp_runs.clone();
        thread::Builder::new().name("dhcp".into()).spawn(move || {
            let _running = running;
            service.run()
        })
    });
    let dhcp_thread = dhcp_thread.transpose().context("cannot start the DHCP thread")?;
    drop(dhcp_runs);

    let runtime = runtime()?;
    let admin_state = Admin::new(serving, state_dir, Arc::clone(&hub));
    runtime.block_on(async {
        let (stopping, stop) = watch::channel(());
        let mut tasks = JoinSet::new();
        spawn_http(&mut tasks, http_listeners, &resolver, &stop)?;
        for (interface, socket) in solicitations {
            tasks.spawn(ndp::serve(socket, interface, Arc::clone(&hub)));
        }
        let tftp = tftp::Tftp {
            resolver,
            served: served.into(),
            ports: tftp_config.ports.clone(),
            answer_from: if tftp_config.single_port {
                tftp::AnswerFrom::RequestPort
            } else {
                tftp::AnswerFrom::OwnPort
            },
            counters: Arc::default(),
        };
        let until = ended(stop.clone());
        tasks.spawn(async move {
            if let Err(error) = tftp::serve(tftp, tftp_listeners, until).await {
                tracing::error!(%error, "TFTP cannot be served");
            }
        });
        let socket = tokio::net::UnixListener::from_std(admin_socket)?;
        let router = routes(admin_state.clone(), Guard::Socket);
        tasks.spawn(async move { report(axum::serve(socket, router).await) });
        if let Some((listener, token)) = admin {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let router = routes(admin_state, Guard::Address(token))
                .into_make_service_with_connect_info::<SocketAddr>();
            tasks.spawn(async move { report(axum::serve(listener, router).await) });
        }
        tracing::info!(interfaces = names.join(","), version = env!("CARGO_PKG_VERSION"), "ready");
        tokio::select! {
            signal = wait_for_signal() => signal?,
            // Without DHCP nothing boots: whoever supervises this process must know.
            () = ended(dhcp_ended), if dhcp_thread.is_some() => tracing::error!("DHCP has ended"),
        }
        tracing::info!("stopping");
        drop(stopping);
        drop(stop);
        Ok::<_, anyhow::Error>(())
    })?;
    drop(stopped);
    runtime.shutdown_timeout(STOP_TIME_MAX);
    if let Some(thread) = dhcp_thread {
        thread.join().map_err(|_| anyhow::anyhow!("the DHCP thread panicked"))??;
    }
    hub.journal().flush()?;
    tracing::info!("stopped");
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

fn spawn_http(
    tasks: &mut JoinSet<()>,
    listeners: Vec<TcpListener>,
    resolver: &Arc<Resolver>,
    stop: &watch::Receiver<()>,
) -> Result<()> {
    let service = Arc::new(BootHttp::new(Arc::clone(resolver)));
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tasks.spawn(http::serve(listener, Arc::clone(&service), ended(stop.clone())));
    }
    Ok(())
}

/// Ends when the sender is dropped.
async fn ended(mut stop: watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}

fn report(served: io::Result<()>) {
    if let Err(error) = served {
        tracing::error!(%error, "the admin API cannot be served");
    }
}

/// A SIGHUP by habit must not end the server.
async fn ignore(hangup: &mut Signal) {
    while hangup.recv().await.is_some() {
        tracing::warn!("SIGHUP changes nothing: restart to read the config again");
    }
}

async fn wait_for_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = ignore(&mut hangup) => {}
    }
    Ok(())
}
