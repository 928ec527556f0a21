//! The admin API. All that reads stands in [`routes`]; what makes the server do something, in [`probe_route`], is for its
//! socket only.
//!
//! It listens on `state_dir/admin.sock` and on the admin address, never on the boot port (design: names).

mod adopt;
mod auth;
mod boots;
mod config;
mod counters;
mod disks;
mod health;
mod learned;
mod leases;
mod machines;
mod next_boot;
mod probe;

pub use leases::LEASES_MAX;

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bootlace_store::StoreError;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};

use crate::hub::Hub;
use crate::services::dhcp::Orders;
use crate::services::iscsi::MachineDisks;
use crate::serving::Serving;

pub use auth::{Guard, Token};
pub use probe::probe_route;

/// Requests that read the databases at once. They share the threads that read files for machines, which must not
/// wait for a crowd of readers when a disk is slow.
const READS_MAX: usize = 8;

/// What the handlers share.
#[derive(Clone)]
pub struct Admin {
    serving: Arc<ArcSwap<Serving>>,
    config: Arc<PathBuf>,
    state_dir: Arc<PathBuf>,
    hub: Arc<Hub>,
    reads: Arc<Semaphore>,
    /// To whoever owns the store; nobody where DHCP is off.
    orders: Weak<Orders>,
    adopting: Arc<Mutex<()>>,
    /// None where there were none at the start.
    disks: Option<Arc<MachineDisks>>,
}

impl Admin {
    /// The config in force, the file that it is read from again, where the databases are, and what happens now.
    pub fn new(
        serving: Arc<ArcSwap<Serving>>,
        config: Arc<PathBuf>,
        state_dir: Arc<PathBuf>,
        hub: Arc<Hub>,
    ) -> Self {
        Self {
            serving,
            config,
            state_dir,
            hub,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            orders: Weak::new(),
            adopting: Arc::default(),
            disks: None,
        }
    }

    /// The same that has what it changes stored.
    #[must_use]
    pub fn keeping_by(self, orders: Weak<Orders>) -> Self {
        Self { orders, ..self }
    }

    /// The same with the disks of machines.
    #[must_use]
    pub fn with_disks(self, disks: Option<Arc<MachineDisks>>) -> Self {
        Self { disks, ..self }
    }

    /// Waits until what has just happened, which is asked for most, is in the journal. When it cannot be written,
    /// `healthz` says so, and what is there is shown.
    fn catch_up(&self) {
        if let Err(error) = self.hub.journal().flush() {
            tracing::debug!(%error, "the journal is behind");
        }
    }
}

/// Every route, behind `guard`.
pub fn routes(admin: Admin, guard: Guard) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/api/v1/config", get(config::in_force))
        .route("/api/v1/counters", get(counters::list))
        .route("/api/v1/machines", get(machines::list))
        .route("/api/v1/machines/adopt", post(adopt::adopt))
        .route("/api/v1/machines/next-boot", post(next_boot::arm))
        .route("/api/v1/machines/next-boot/cancel", post(next_boot::cancel))
        .route("/api/v1/leases", get(leases::list))
        .route("/api/v1/learned", get(learned::list))
        .route("/api/v1/learned/pin", post(learned::pin))
        .route("/api/v1/learned/clear", post(learned::clear))
        .route("/api/v1/images", get(disks::images))
        .route("/api/v1/overlays", get(disks::overlays))
        .route("/api/v1/overlays/release", post(disks::release))
        .route("/api/v1/overlays/reset", post(disks::reset))
        .route("/api/v1/boots", get(boots::list))
        .route("/api/v1/boots/{session}", get(boots::one))
        .fallback(|| async { Failure::absent("there is nothing of this name here") })
        .layer(axum::middleware::from_fn_with_state(guard, auth::check))
        .with_state(admin)
}

/// An answer that is none.
struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    fn absent(message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.to_owned() }
    }

    fn conflict(message: &str) -> Self {
        Self { status: StatusCode::CONFLICT, message: message.to_owned() }
    }

    fn bad(message: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.to_owned() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store fails the API");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: error.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, format!("{}\n", self.message)).into_response()
    }
}

/// Reads the databases on a thread that may wait.
async fn read<T: Serialize + Send + 'static>(
    admin: Admin,
    work: impl FnOnce(&Admin) -> Result<T, Failure> + Send + 'static,
) -> Result<Json<T>, Failure> {
    let broken =
        || Failure { status: StatusCode::INTERNAL_SERVER_ERROR, message: "the request broke off".to_owned() };
    let permit = Arc::clone(&admin.reads).acquire_owned().await.map_err(|_| broken())?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&admin);
        drop(permit);
        done
    });
    done.await.map_err(|_| broken())?.map(Json)
}
