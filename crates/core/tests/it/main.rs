//! What `bootlace_core` does, seen from outside.

mod configs;
mod lease_simulation;
mod lease_table;
