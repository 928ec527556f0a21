//! TFTP (RFC 1350, 2347, 2348, 2349, 7440): the codec, and the sending side of a transfer as a machine
//! without sockets.
//!
//! A service does three things: [`admit`] judges what arrived on port 69, [`clean_name`] turns the asked
//! name into one that can be looked up, and a [`Transfer`] says what to send and when.
//!
//! Left out on purpose: writing (RFC 1350 WRQ is refused), `mail` mode (refused), `netascii` translation
//! (see [`Mode::Netascii`]) and multicast (RFC 2090, which no living client asks for).

mod admit;
pub mod limits;
mod name;
mod options;
mod output;
mod packet;
mod transfer;

pub use admit::{Admission, Ignored, Refusal, admit};
pub use limits::Limits;
pub use name::{NameError, clean_name};
pub use options::{TransferOptions, raw_options};
pub use output::{ContentInfo, DataRun, Outcome, Output, Repeat};
pub use packet::{DecodeError, ErrorCode, Mode, Packet, Request, data_header, error_packet, printable_text};
pub use transfer::Transfer;
