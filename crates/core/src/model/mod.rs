//! The nouns: what is known of a machine, in types that cannot hold nonsense.

mod client_id;
mod facts;
mod firmware;
mod serial;
mod text;
mod time;
mod uuid;

pub use client_id::{CLIENT_ID_BYTES_MAX, ClientId, ParseClientIdError};
pub use facts::{Facts, Reporting, Var};
pub use firmware::Firmware;
pub use serial::is_placeholder;
pub use text::{TEXT_BYTES_MAX, Text};
pub use time::Timestamp;
pub use uuid::{ParseUuidError, Uuid};
