//! The target's side of iSCSI (RFC 7143, error recovery level 0, one connection per session) as a machine without
//! sockets: bytes in; events for whoever owns the disks, and bytes out.
//!
//! A service keeps one [`Connection`] per TCP connection. It gives [`Connection::handle_bytes`] what it received, which
//! stops behind each PDU that needs a decision; takes [`Connection::poll_event`] until there is none; and when all
//! bytes are handled sends what [`Connection::poll_output`] gives, in one call. A command is answered, or waits for its
//! data, before more bytes are handed in, so that an aborted one is never half done; only a flush, which changes nothing,
//! may be done later, also that of a command that has written.
//!
//! Left out on purpose: error recovery above level 0 (no SNACK, no retransmission), several connections per session,
//! bidirectional commands, CDBs longer than 16 bytes, markers, and pings of our own, since iPXE ignores them: TCP tells
//! whether the other side lives.

mod chap;
mod connection;
mod digest;
mod discovery;
mod full;
mod keys;
pub mod limits;
mod login;
mod params;
mod pdu;
mod reply;
mod serial;
mod task;

pub use chap::{Algorithm, Challenge, Chap, ChapFailure, Credentials, Secret};
pub use connection::{Cause, Connection, Event, Portal};
pub use digest::{Digest, Digests};
pub use keys::{BadText, Keys};
pub use login::{Admission, Authentication, LoginRequest, Refusal, SessionKind};
pub use params::{Allowed, Parameters};
pub use pdu::{BHS_BYTES, Header, Malformed, NO_TAG, Opcode, Pdu};
pub use serial::Serial;
pub use task::{Collected, Fault, Function, ManagementResponse, Request, Task};
