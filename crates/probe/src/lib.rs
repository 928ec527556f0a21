//! Firmware, loaders and systems as a network sees them at boot.
//!
//! A [`Client`] plays one machine from its first DISCOVER to the last byte that it would fetch. It does no IO and
//! reads no clock: [`Client::handle`] takes what happened and the time, and gives back [`Action`]s. What a server sends is
//! hostile: any input ends in an [`Outcome`] within the [`limits`], none in a panic.
//!
//! The crate knows the client's side of the protocols only, and shares no decision with the server: what the two agree
//! on is what is on the wire.
#![forbid(unsafe_code)]

mod action;
mod catalogue;
mod client;
mod clients;
mod dhcp;
mod dns;
mod fetch;
mod finding;
mod http;
pub mod limits;
mod random;
mod report;
mod script;
mod text;
mod tftp;
mod url;

pub use action::{Action, Address, Input};
pub use client::Client;
pub use clients::Kind;
pub use dhcp::Identity;
pub use finding::{Finding, FindingCode, Severity};
pub use report::{File, Outcome, Report, Step, StepKind};
