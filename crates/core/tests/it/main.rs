//! What `bootlace_core` does, seen from outside.

mod boot;
mod configs;
mod conversations;
mod dhcp_properties;
mod explain;
mod learning;
mod lease_pressure;
mod lease_probes;
mod lease_simulation;
mod lease_stations;
mod lease_table;
mod mutants;
mod packets;
mod property;
mod session;
/// Shared with the other crates.
#[path = "../../../wire/tests/it/survive.rs"]
mod survive;
