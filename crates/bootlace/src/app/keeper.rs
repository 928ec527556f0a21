//! Keeps a running server true to its surroundings: the config file and the interfaces.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bootlace_core::config::Cidr;
use tokio::signal::unix::Signal;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::bind::lends_no_own_address;
use super::links::Links;
use super::reload::{Next, Origin, Outcome, Read, Why, read};
use super::watched::watch as watch_folders;
use crate::http::Token;
use crate::net::{Settling, give_back_freed, interfaces, link_events};
use crate::services::dhcp;
use crate::serving::Serving;
use crate::systemd::Manager;

/// What the keeper changes in a running server.
pub(super) struct Hands {
    /// The config in force.
    pub(super) serving: Arc<ArcSwap<Serving>>,
    /// Whose TFTP requests are answered.
    pub(super) served: Arc<ArcSwap<Vec<Cidr>>>,
    /// Where HTTP listens; `None` when others opened its sockets.
    pub(super) http: Option<watch::Sender<Vec<SocketAddr>>>,
    /// The DHCP thread, while it runs.
    pub(super) dhcp: Weak<dhcp::Orders>,
    /// What the admin address asks for.
    pub(super) token: Option<Token>,
    /// Who wants to know.
    pub(super) manager: Manager,
}

pub(super) struct Keeper {
    hands: Hands,
    links: Links,
    link_events: Settling,
    origin: Origin,
    last: Read,
    folders: Settling,
}

impl Keeper {
    /// Watches from now on. A change in the moment since the start has read the config shows with the next one.
    pub(super) fn new(hands: Hands, links: Links, origin: Origin, last: Read) -> io::Result<Self> {
        let folders = Settling::new(watch_folders(&last.folders)?)?;
        Ok(Self { hands, links, link_events: Settling::new(link_events()?)?, origin, last, folders })
    }

    /// Goes on until `stop`.
    pub(super) async fn run(mut self, mut hang_up: Signal, mut stop: watch::Receiver<()>) -> io::Result<()> {
        loop {
            tokio::select! {
                _ = stop.changed() => return Ok(()),
                _ = hang_up.recv() => self.reload(Why::Asked).await?,
                changed = self.folders.changed() => {
                    changed?;
                    self.reload(Why::FoldersChanged).await?;
                }
                changed = self.link_events.changed() => {
                    changed?;
                    self.follow_links();
                }
            }
        }
    }

    async fn reload(&mut self, why: Why) -> io::Result<()> {
        if why == Why::Asked {
            self.hands.manager.reloading();
        }
        // First watched and then read: what changes meanwhile is read once more.
        self.folders = Settling::new(watch_folders(&self.last.folders)?)?;
        let (origin, in_force, last) =
            (self.origin.clone(), self.hands.serving.load_full(), self.last.clone());
        let (now, outcome) =
            spawn_blocking(move || read(&origin, &in_force, &last, why)).await.map_err(io::Error::other)?;
        if now.folders != self.last.folders {
            self.folders = Settling::new(watch_folders(&now.folders)?)?;
        }
        self.last = now;
        let status = match outcome {
            Outcome::Same => return Ok(()),
            Outcome::KeptOut(reason) => {
                tracing::error!("the config that was in force stays: {reason}");
                let number = self.hands.serving.load().edition.number;
                format!("serving config {number}; the file has errors and was kept out")
            }
            Outcome::Next(next) => self.swap(*next),
        };
        // Nobody waits for it.
        drop(spawn_blocking(give_back_freed));
        self.hands.manager.ready(&status);
        Ok(())
    }

    /// In one step; says what is in force now.
    fn swap(&mut self, next: Next) -> String {
        let Next { serving, changed, warnings, token } = next;
        for warning in &warnings {
            tracing::warn!(code = warning.code, "{warning}");
        }
        let edition = serving.edition.clone();
        for key in &edition.needs_restart {
            tracing::warn!(key, "needs a restart: what was in force stays");
        }
        if let (Some(own), Some(token)) = (&self.hands.token, token) {
            own.become_like(&token);
        }
        self.hands.served.store(Arc::new(self.links.served(&serving.config)));
        self.hands.serving.store(Arc::new(serving));
        if let Some(dhcp) = self.hands.dhcp.upgrade() {
            dhcp.send(dhcp::Order::Config);
        }
        tracing::info!(config = edition.number, "reloaded: changed {changed}");
        match edition.needs_restart.len() {
            0 => format!("serving config {}", edition.number),
            keys => format!("serving config {}; {keys} keys need a restart", edition.number),
        }
    }

    fn follow_links(&mut self) {
        let all = match interfaces() {
            Ok(all) => all,
            Err(error) => return tracing::error!(%error, "cannot list the network interfaces"),
        };
        let changed = self.links.follow(&all);
        if changed.is_empty() {
            return;
        }
        let serving = self.hands.serving.load();
        if let Some(dhcp) = self.hands.dhcp.upgrade() {
            changed.into_iter().for_each(|interface| dhcp.send(dhcp::Order::Interface(interface)));
        }
        self.hands.served.store(Arc::new(self.links.served(&serving.config)));
        if let Some(http) = &self.hands.http {
            http.send_replace(self.links.http_addresses(serving.config.http.port));
        }
        if let Err(error) = lends_no_own_address(&serving.config, all.values()) {
            tracing::error!("{error:#}");
        }
    }
}

/// Tells the manager that the server lives as long as the runtime and the DHCP thread go round. It says nothing when
/// one of them hangs: then the manager ends the server and starts another.
pub(super) async fn watchdog(manager: Manager, pause: Duration, dhcp: Option<Weak<dhcp::Orders>>) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(orders) = dhcp.as_ref().and_then(Weak::upgrade) {
            let (answer, answered) = oneshot::channel();
            orders.send(dhcp::Order::Turn(answer));
            drop(orders);
            // It ends without an answer only with the server.
            if answered.await.is_err() {
                return;
            }
        }
        manager.lives();
    }
}
