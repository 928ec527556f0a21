//! The Bootlace server and its tools.
fn main() {}
