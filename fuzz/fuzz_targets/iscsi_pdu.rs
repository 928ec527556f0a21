//! The property is shared with the tests of the crate, which run it briefly on stable.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wire/tests/it/property/iscsi_pdu.rs"]
mod property;

fuzz_target!(|bytes: &[u8]| property::check(bytes));
