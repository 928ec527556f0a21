//! What an HTTP request says of a file: its path and its range. The messages themselves are read elsewhere.

mod range;
mod target;

pub use range::{ByteRange, byte_range};
pub use target::{TargetError, name_of};
