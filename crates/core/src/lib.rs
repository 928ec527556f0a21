//! Everything that Bootlace decides: facts in, decision and effects out.
//!
//! Pure: no IO, no clock, no log. `now` is an argument; what a machine sent has been made harmless on arrival
//! ([`model::Text`]) and is escaped again where it is printed. The same functions serve the wire, `explain`
//! and the tests, and each returns its trail: what was considered and why.
#![forbid(unsafe_code)]

pub mod boot;
pub mod config;
pub mod crypt;
pub mod dhcp;
pub mod event;
pub mod explain;
pub mod files;
pub mod finding;
pub mod learn;
pub mod model;
pub mod nearest;
pub mod oneshot;
pub mod session;

pub use nearest::nearest;
