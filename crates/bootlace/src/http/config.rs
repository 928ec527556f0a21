//! `/api/v1/config`: which config is in force.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Admin;

/// Tells whether a change of the file has come into force, and which part of it waits for a restart.
#[derive(Serialize)]
pub(super) struct ConfigView {
    number: u64,
    since: String,
    needs_restart: Vec<&'static str>,
}

pub(super) async fn in_force(State(admin): State<Admin>) -> Json<ConfigView> {
    let edition = admin.serving.load().edition.clone();
    Json(ConfigView {
        number: edition.number,
        since: edition.since.to_string(),
        needs_restart: edition.needs_restart,
    })
}
