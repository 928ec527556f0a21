//! `/api/v1/boots`: sessions and their timelines.

use axum::Json;
use axum::extract::{Path, Query, State};
use bootlace_core::session::{Session, SessionId, steps};
use bootlace_store::JournalReader;
use bootlace_store::journal::{Events, SessionRow};
use bootlace_wire::{HwAddr, Mac};
use serde::Deserialize;

use super::{Admin, Failure, read};
use crate::api::{BootDetail, BootView, EventView};
use crate::hub;

/// Boots of one list.
const BOOTS_MAX: usize = 100;
/// Events of one boot that are shown.
const EVENTS_MAX: usize = 10_000;
/// Events of each boot in a list that are looked at, unless the boot goes on right now: far more than one takes
/// to its payload. What happened after them is in the boot's own timeline.
const LISTED_EVENTS_MAX: usize = 256;

/// What a list is narrowed to.
#[derive(Deserialize)]
pub(super) struct Filter {
    mac: Option<String>,
}

/// The newest boots.
pub(super) async fn list(
    State(admin): State<Admin>,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<BootView>>, Failure> {
    let mac = filter.mac.map(|mac| mac.parse::<Mac>()).transpose();
    let mac = mac.map_err(|error| Failure::bad(&error.to_string()))?;
    read(admin, move |admin| {
        let serving = admin.serving.load();
        admin.catch_up();
        let journal = JournalReader::open(&admin.state_dir)?;
        let rows = match mac {
            Some(mac) => journal.sessions_of(HwAddr::from(mac), BOOTS_MAX)?,
            None => journal.sessions(BOOTS_MAX)?,
        };
        let view = |row: SessionRow| {
            if let Some(session) = open_session(admin, &row) {
                return Ok(BootView::new(&session, &serving.config));
            }
            let events = journal.events_of(row.id, LISTED_EVENTS_MAX)?;
            Ok(BootView::new(&folded(&row, &events), &serving.config))
        };
        rows.into_iter().map(view).collect()
    })
    .await
}

/// One boot.
pub(super) async fn one(
    State(admin): State<Admin>,
    Path(session): Path<u64>,
) -> Result<Json<BootDetail>, Failure> {
    read(admin, move |admin| {
        let serving = admin.serving.load();
        admin.catch_up();
        let journal = JournalReader::open(&admin.state_dir)?;
        let Some(row) = journal.session(SessionId(session))? else {
            return Err(Failure::absent(&format!("there is no boot {session}")));
        };
        let events = journal.events_of(row.id, EVENTS_MAX)?;
        let of_session = || events.events.iter().map(|stored| &stored.record);
        Ok(BootDetail {
            boot: BootView::new(&folded(&row, &events), &serving.config),
            steps: steps(of_session().map(|record| &record.event)).iter().map(Into::into).collect(),
            timeline: of_session().map(|record| EventView::new(&record.event, record.repeats)).collect(),
        })
    })
    .await
}

/// The session of a boot that goes on.
fn open_session(admin: &Admin, row: &SessionRow) -> Option<Session> {
    let is_it = |session: &&Session| session.id == row.id;
    admin.hub.with_session(row.hw, hub::now(), |session| session.filter(is_it).cloned())
}

fn folded(row: &SessionRow, events: &Events) -> Session {
    let mut session = Session::new(row.id, row.hw, row.started);
    events.events.iter().for_each(|stored| session.apply(&stored.record.event));
    session.last = session.last.max(row.last);
    session
}
