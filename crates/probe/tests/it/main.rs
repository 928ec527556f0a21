//! Whole boots of played machines against a played network, in virtual time.

mod golden;
mod hostile;
mod property;
mod stops;
mod world;
