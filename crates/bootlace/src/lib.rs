//! The Bootlace server and its tools, as a library for its binary, tests and benches.
#![deny(unsafe_code)]

pub mod cli;
pub mod files;
pub mod net;
pub mod resolver;
pub mod services;
