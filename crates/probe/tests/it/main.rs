//! Whole boots of played machines against a played network, in virtual time.

mod golden;
mod hostile;
mod mutants;
mod property;
mod stops;
#[path = "../../../wire/tests/it/survive.rs"]
mod survive;
mod world;
