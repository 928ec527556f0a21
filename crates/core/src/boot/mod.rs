//! From facts to what a machine boots: rules choose, a plan says what, a dialect says how.

pub mod choose;
pub mod dialect;
pub mod disk;
pub(crate) mod escape;
pub mod features;
mod glob;
pub mod install;
pub mod loader;
pub mod plan;
pub mod rules;
pub mod template;
