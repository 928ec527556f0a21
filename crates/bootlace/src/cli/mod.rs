//! The commands, and how their answers are printed.

pub mod render;
