//! `/healthz`: whether the server does its work.

use axum::extract::State;
use axum::http::StatusCode;

use super::Admin;

/// 200 when all is well, 503 with the reason when leases or the history cannot be stored.
pub(super) async fn healthz(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.hub.trouble().map(|error| error.finding()) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(finding) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}: {finding}\n", finding.code)),
    }
}
