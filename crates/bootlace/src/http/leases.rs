//! `/api/v1/leases`: addresses and who holds them.

use axum::Json;
use axum::extract::State;
use bootlace_store::LeaseReader;

use super::{Admin, Failure, read};
use crate::api::LeaseView;
use crate::hub;

/// Every lease, by address.
pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<Vec<LeaseView>>, Failure> {
    read(admin, |admin| {
        let serving = admin.serving.load();
        let leases = LeaseReader::open(&admin.state_dir)?.leases()?;
        let now = hub::now();
        Ok(leases.iter().map(|lease| LeaseView::new(lease, &serving.config, now)).collect())
    })
    .await
}
