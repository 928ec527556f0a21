//! `/healthz`: whether the server does its work.

use axum::extract::State;
use axum::http::StatusCode;

use super::Admin;

/// 200 when all is well, 503 with the reason when the journal cannot be written.
pub(super) async fn healthz(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.hub.journal().counters().error {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("journal: {error}\n")),
    }
}
