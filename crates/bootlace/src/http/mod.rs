//! The admin API: read-only so far. All routes stand in [`routes`].
//!
//! It listens on `state_dir/admin.sock` and on the admin address, never on the boot port (design: names).

mod auth;
mod boots;
mod health;
mod leases;
mod machines;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bootlace_store::StoreError;
use serde::Serialize;

use crate::hub::Hub;
use crate::serving::Serving;

pub use auth::{Guard, Token};

/// What the handlers share.
#[derive(Clone)]
pub struct Admin {
    /// Config in force.
    pub serving: Arc<ArcSwap<Serving>>,
    /// Where the databases are.
    pub state_dir: Arc<PathBuf>,
    /// Sessions and journal.
    pub hub: Arc<Hub>,
}

/// Every route, behind `guard`.
pub fn routes(admin: Admin, guard: Guard) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/api/v1/machines", get(machines::list))
        .route("/api/v1/leases", get(leases::list))
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

    fn bad(message: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.to_owned() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store cannot be read for the API");
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
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<Json<T>, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    let failed = |_| Failure {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        message: "the request broke off".to_owned(),
    };
    done.map_err(failed)?.map(Json)
}
