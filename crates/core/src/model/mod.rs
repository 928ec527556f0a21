//! The nouns: what is known of a machine, in types that cannot hold nonsense.

mod facts;
mod firmware;
mod text;
mod time;
mod uuid;

pub use facts::{Facts, Reporting, Var};
pub use firmware::Firmware;
pub use text::{TEXT_BYTES_MAX, Text};
pub use time::Timestamp;
pub use uuid::{ParseUuidError, Uuid};
