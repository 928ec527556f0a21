//! `/api/v1/leases`: addresses and who holds them.

use std::net::Ipv4Addr;

use axum::Json;
use axum::extract::{Query, State};
use bootlace_store::LeaseReader;
use serde::Deserialize;

use super::{Admin, Failure, read};
use crate::api::LeaseView;
use crate::hub;

/// Leases of one answer at most, some 20 MB.
pub const LEASES_MAX: usize = 100_000;
/// The same when nobody says how many.
const LEASES_DEFAULT: usize = 10_000;

/// A part of the list.
#[derive(Deserialize)]
pub(super) struct Part {
    /// Begins behind this address.
    after: Option<String>,
    /// Ends after so many.
    limit: Option<usize>,
}

/// Leases by address, and from there on those `after` the last one. Each part looks at all leases once.
pub(super) async fn list(
    State(admin): State<Admin>,
    Query(part): Query<Part>,
) -> Result<Json<Vec<LeaseView>>, Failure> {
    let after = part.after.as_deref().unwrap_or("0.0.0.0").parse::<Ipv4Addr>();
    let after = after.map_err(|_| Failure::bad("`after` is an IPv4 address"))?;
    let most = part.limit.unwrap_or(LEASES_DEFAULT).min(LEASES_MAX);
    read(admin, move |admin| {
        let serving = admin.serving.load();
        let leases = LeaseReader::open(&admin.state_dir)?.page(after, most)?;
        let now = hub::now();
        Ok(leases.iter().map(|lease| LeaseView::new(lease, &serving.config, now)).collect())
    })
    .await
}
