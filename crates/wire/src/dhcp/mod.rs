//! DHCPv4 (RFC 2131, 2132) as boot firmware speaks it.
//!
//! [`Message::decode`] is liberal: what a ROM gets nearly right is kept. [`Message::encode`] is strict: it
//! writes only what the pickiest loader reads. The views on [`Message`] give the options their meaning,
//! [`describe`] prints a message for people, [`typed`] reads option values that people wrote.
//!
//! Left out: splitting an option or overloading the header when sending (boot firmware reads neither),
//! compressed names in search lists, authentication (RFC 3118), forced renewal and lease queries.

mod arch;
mod code;
mod decode;
pub mod describe;
mod encode;
mod ipxe;
mod message;
mod options;
mod relay;
pub mod typed;
mod views;

pub use arch::Arch;
pub use code::Code;
pub use decode::DecodeError;
pub use encode::Encoded;
pub use ipxe::{Bus, Feature, Ipxe};
pub use message::{Message, Op};
pub use options::Options;
pub use relay::RelayInfo;
pub use views::{Fqdn, MessageType, UserClass};

/// The UDP port that servers and relays listen on; replies must come from it (iPXE and Linux check).
pub const SERVER_PORT: u16 = 67;
/// The UDP port that clients listen on.
pub const CLIENT_PORT: u16 = 68;
/// The UDP port of a PXE boot server (PXE 2.1 section 2.2).
pub const PXE_PORT: u16 = 4011;

/// A relay counter above this marks a loop; a server discards the message (RFC 1542 section 4.1.1).
pub const HOPS_MAX: u8 = 16;

/// What follows the fixed header when options do (RFC 2132 section 2).
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The fixed BOOTP header, from `op` to the end of `file`.
const HEADER_LEN: usize = 236;
/// Room for a server name in the header, with its NUL.
const SNAME_LEN: usize = 64;
/// Room for a boot file name in the header, with its NUL.
const FILE_LEN: usize = 128;
/// `chaddr` in the header.
const CHADDR_LEN: usize = 16;
/// The broadcast bit of `flags`; the other fifteen must be zero and are ignored (RFC 2131 section 2).
const FLAG_BROADCAST: u16 = 0x8000;
/// IPv4 header without options plus UDP header: the part of a datagram that option 57 counts and we do not.
const IP_UDP_HEADERS: u16 = 28;
/// What every IPv4 host must be able to take, so the least that option 57 may say (RFC 2132 section 9.10).
const DATAGRAM_MIN: u16 = 576;
