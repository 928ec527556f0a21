//! What `bootlace_core` does, seen from outside.

mod boot;
mod configs;
mod lease_simulation;
mod lease_table;
