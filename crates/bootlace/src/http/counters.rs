//! `/api/v1/counters`: what was refused, given up or forgotten since the start.

use axum::Json;
use axum::extract::State;

use super::Admin;
use crate::api::CounterView;
use crate::counters::Counter;

/// Every counter, also those that are zero, in the order of the docs.
pub(super) async fn list(State(admin): State<Admin>) -> Json<Vec<CounterView>> {
    admin.hub.count_journal();
    let counters = admin.hub.counters();
    let view = |counter: &Counter| CounterView {
        name: counter.name().to_owned(),
        value: counters.get(*counter),
        meaning: counter.meaning().to_owned(),
    };
    Json(Counter::ALL.iter().map(view).collect())
}
