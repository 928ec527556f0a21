//! The checked configuration: every value is usable as it stands.
//!
//! The config file becomes a [`Config`] in three steps that need no IO: the TOML text becomes the raw file type,
//! the raw type is checked against itself, its templates are compiled. All findings come back together, each
//! with its place in the file. A [`Config`] is immutable; reload builds another and swaps it.

mod types;

pub use types::*;
