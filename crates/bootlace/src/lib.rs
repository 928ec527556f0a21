//! The Bootlace server and its tools, as a library for its binary, tests and benches.
#![deny(unsafe_code)]

pub mod adopted;
pub mod api;
pub mod app;
pub mod cli;
pub mod counters;
pub mod doctor;
pub mod files;
pub mod http;
pub mod hub;
pub mod loaders;
mod logging;
pub mod net;
pub mod one_shots;
mod privileges;
mod probe;
pub mod resolver;
pub mod sandbox;
pub mod services;
pub mod serving;
mod sources;
mod systemd;
pub mod tokens;

/// The admin socket's name in the state folder.
pub const ADMIN_SOCKET: &str = "admin.sock";
