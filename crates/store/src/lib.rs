//! What must survive: leases, and the journal of what happened. The only code that knows SQL.
//!
//! Two database files live in `state_dir`. [`Store`] (`bootlace.db`) holds promises: a lease is on stable storage
//! before its ACK leaves (design invariant 2), so each commit is synced; what boots taught goes along, and so do one-shots,
//! which are taken once ([`OneShotStore`]). [`Journal`] (`journal.db`) holds what
//! was seen: events, sessions, machines. It has its own writer and may lose its last moments at a power loss,
//! never its integrity. A third file, `lock`, keeps a second server out. [`state`] copies the directory and puts copies back.
//!
//! Queries and changes are one SQL text that SQLite and PostgreSQL both take (`$1` in order of appearance,
//! BIGINT times, TEXT addresses and JSON, `ON CONFLICT .. DO UPDATE`, `RETURNING`); only the DDL in `migrations/`
//! is an engine's own.
#![forbid(unsafe_code)]

mod db;
mod error;
pub mod journal;
mod learned;
mod lease_log;
mod lock;
mod migrate;
mod one_shots;
pub mod state;
mod store;

pub use error::{Cause, StoreError};
pub use journal::{Journal, JournalReader};
pub use one_shots::OneShotStore;
pub use store::{Commit, LeaseReader, Sqlite, Store};
