//! The store and the journal from outside.

mod battery;
mod fixtures;
mod journal;
mod kill;
mod lease_log;
mod make;
mod open;
mod queue;
mod retention;
mod torn;
mod writer;
