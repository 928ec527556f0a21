//! Disks on real files, against models of what they must hold.

mod export;
mod generations;
mod images;
mod mutants;
mod overlays;
mod power;
mod property;
mod qcow2;
mod raw;
mod support;
/// Shared with the other crates.
#[path = "../../../wire/tests/it/survive.rs"]
mod survive;
