//! The store and the journal from outside.

mod battery;
mod disk;
mod fixtures;
mod histories;
mod journal;
mod kill;
mod learned;
mod lease_log;
mod make;
mod one_shots;
mod open;
mod queue;
mod retention;
mod state;
mod torn;
mod writer;
