//! Everything that Bootlace decides. See ARCHITECTURE.md.
#![forbid(unsafe_code)]
