//! Every limit of the protocol, with its reason.

use std::time::Duration;

/// Most bytes of a data segment before both sides have agreed on anything (RFC 7143, section 13.12), and of one from an
/// initiator that only looks for targets.
pub const LOGIN_SEGMENT_BYTES_MAX: u32 = 8192;

/// Most bytes of a data segment that initiators may send afterwards; our MaxRecvDataSegmentLength, as much as Linux
/// takes.
pub const SEGMENT_BYTES_MAX: u32 = 262_144;

/// Most bytes of additional header segments: the length field has one byte, in words.
pub const AHS_BYTES_MAX: usize = 255 * 4;

/// Most bytes of one PDU, with digests and padding: a service's buffer must have room for it.
pub const PDU_BYTES_MAX: usize = 48 + AHS_BYTES_MAX + 4 + SEGMENT_BYTES_MAX as usize + 4;

/// Most bytes of one request or answer in text that is split over PDUs.
pub const TEXT_BYTES_MAX: usize = 65_536;

/// Most keys of one request in text: there are about thirty.
pub const KEYS_MAX: usize = 128;

/// Longest name of a key (RFC 7143, section 6.1).
pub const KEY_BYTES_MAX: usize = 63;

/// Longest value that we keep: list values have 255 bytes at most, and CHAP's binary ones 1024 (section 6.1).
pub const VALUE_BYTES_MAX: usize = 2100;

/// Longest iSCSI name (section 4.2.7.2).
pub const NAME_BYTES_MAX: usize = 223;

/// Most requests of one login. Mutual CHAP with negotiation takes five.
pub const LOGIN_REQUESTS_MAX: u32 = 32;

/// How long a connection may take to log in, from its first byte.
pub const LOGIN_MAX: Duration = Duration::from_secs(15);

/// How long a connection that looks for targets may stay, from its first byte: nobody has to prove anything for it, and
/// initiators ask once and leave.
pub const DISCOVERY_MAX: Duration = Duration::from_secs(60);

/// Most bytes of one sequence of data, in either direction; our side of MaxBurstLength.
pub const BURST_BYTES_MAX: u32 = 1 << 20;

/// Most bytes that come unasked with a command; our side of FirstBurstLength.
pub const FIRST_BURST_BYTES_MAX: u32 = 262_144;

/// Most commands of one session at a time, which MaxCmdSN tells: what Linux uses at most.
pub const COMMANDS_MAX: u32 = 128;

/// Bytes of data that one session holds because they came unasked, in or behind commands that wait for the rest of
/// them: first bursts of 64 commands, twice as many as Linux has under way for a disk.
pub const UNASKED_BYTES_MAX: u64 = 16 << 20;

/// Bytes of data that one session asks for at a time. One command may be longer by itself; others wait for it.
pub const SOLICITED_BYTES_MAX: u64 = 8 << 20;

/// Shortest CHAP secret: 96 bits (section 9.2.1), and Windows takes no shorter one.
pub const SECRET_BYTES_MIN: usize = 12;

/// Longest CHAP secret: more than any initiator takes.
pub const SECRET_BYTES_MAX: usize = 128;

/// Longest binary value of CHAP (section 12.1.3).
pub const CHAP_BINARY_BYTES_MAX: usize = 1024;

/// Bytes of our challenges: as long as the shortest digest.
pub const CHALLENGE_BYTES: usize = 16;
