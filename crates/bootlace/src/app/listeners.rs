//! HTTP's listeners: one for each address of the served interfaces, which come and go.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bind::listen;
use super::run::ended;
use crate::services::http::{BootHttp, serve};

/// Serves `first`, then whatever `wanted` says, until `stop`. What is under way on a listener that is closed goes on
/// for as long as at the end of the server.
pub(super) async fn run(
    http: Arc<BootHttp>,
    first: Vec<TcpListener>,
    mut wanted: watch::Receiver<Vec<SocketAddr>>,
    mut stop: watch::Receiver<()>,
) -> io::Result<()> {
    let mut listeners = Listeners { http, open: BTreeMap::new(), serving: JoinSet::new() };
    for listener in first {
        listeners.add(listener)?;
    }
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Ok(()) = wanted.changed() => {
                let now = wanted.borrow_and_update().clone();
                listeners.follow(&now);
            }
            Some(closed) = listeners.serving.join_next() => closed.map_err(io::Error::other)?,
        }
    }
    listeners.open.clear();
    while let Some(closed) = listeners.serving.join_next().await {
        closed.map_err(io::Error::other)?;
    }
    Ok(())
}

struct Listeners {
    http: Arc<BootHttp>,
    /// Dropping the sender closes the listener.
    open: BTreeMap<SocketAddr, watch::Sender<()>>,
    serving: JoinSet<()>,
}

impl Listeners {
    fn follow(&mut self, wanted: &[SocketAddr]) {
        self.open.retain(|address, _| wanted.contains(address));
        for address in wanted {
            if self.open.contains_key(address) {
                continue;
            }
            let added = listen("HTTP", *address).and_then(|listener| self.add(listener).map_err(Into::into));
            match added {
                Ok(()) => tracing::info!("HTTP listens on {address}"),
                Err(error) => tracing::error!("{error:#}"),
            }
        }
    }

    fn add(&mut self, listener: TcpListener) -> io::Result<()> {
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (close, closed) = watch::channel(());
        self.serving.spawn(serve(listener, Arc::clone(&self.http), ended(closed)));
        self.open.insert(address, close);
        Ok(())
    }
}
