//! From facts to what a machine boots: rules choose, a plan says what, a dialect says how.

pub mod dialect;
pub mod plan;
pub mod rules;
pub mod template;
