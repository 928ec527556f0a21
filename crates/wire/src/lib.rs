//! Bytes to meaning and back, and the server-side protocol machines of Bootlace.
//!
//! Nothing in here does IO, reads a clock, logs or draws random numbers: what a machine needs of the
//! outside is an argument (`now` is the monotonic time since any fixed origin). Input from the network is
//! hostile: decoders return an error or ignore what is malformed, they never panic.
#![forbid(unsafe_code)]

pub mod arp;
pub mod cursor;
pub mod dhcp;
pub mod frame;
pub mod http;
mod hwaddr;
pub mod iscsi;
pub mod ndp;
pub mod scsi;
pub mod tftp;

pub use hwaddr::{HwAddr, Mac, ParseMacError};
