//! The journal: what happened, kept for people. Nothing that is served depends on it.

mod append;
mod machines;
mod queue;
mod read;
mod retain;
mod writer;

use bootlace_core::event::Event;
use bootlace_core::model::{Facts, Timestamp};
use bootlace_core::session::SessionId;
use bootlace_wire::HwAddr;

use std::net::Ipv4Addr;

use crate::migrate::Migration;

pub use append::Journal;
pub use machines::MACHINES_MAX;
pub use queue::{Fate, JournalQueue, QUEUE_HIGH_WATER, QUEUE_MAX};
pub use read::{Events, JournalReader, StoredEvent};
pub use retain::{AGE_DEFAULT, BYTES_DEFAULT, Retention, Trimmed};
pub use writer::{BATCH_MAX, Counters, Handle, Notice, Writer};

/// The database file in the state directory.
pub(crate) const FILE: &str = "journal.db";

pub(crate) const MIGRATIONS: [Migration; 1] =
    [Migration { version: 1, sql: include_str!("../../migrations/journal-0001.sql") }];

/// An event on its way into the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session that it belongs to; some events belong to none.
    pub session: Option<SessionId>,
    /// The event; when it stands for several, the first of them.
    pub event: Event,
    /// How many more of the same came right after it and were folded into it.
    pub repeats: u32,
}

/// The place of an event in the journal. Ids grow, with gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

/// A session in a list; all else of it is folded from its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its number.
    pub id: SessionId,
    /// The machine.
    pub hw: HwAddr,
    /// Its first event.
    pub started: Timestamp,
    /// Its last event.
    pub last: Timestamp,
}

/// A machine that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineSeen {
    /// Its hardware address.
    pub hw: HwAddr,
    /// When it first showed up.
    pub first_seen: Timestamp,
    /// When it last did.
    pub last_seen: Timestamp,
    /// The last address that it had.
    pub address: Option<Ipv4Addr>,
    /// The last that its firmware and loaders told.
    pub facts: Facts,
}

/// Numbers count up from one, and an `i64` of them lasts for ever.
fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
