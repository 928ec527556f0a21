//! The six TFTP packets (RFC 1350 section 5, RFC 2347).

use std::fmt;

use super::limits::TEXT_LEN_MAX;
use super::options::TransferOptions;
use crate::cursor::Cursor;

/// Transfer mode of a request; names compare without case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bytes as they are.
    Octet,
    /// Text with line ends of the network. Served as [`Mode::Octet`]: everything that boots is binary, and
    /// a loader that asks for this mode by mistake would get a damaged file otherwise. So `tsize` stays true.
    Netascii,
    /// Mail to a user: obsolete since RFC 1350.
    Mail,
}

impl Mode {
    const NAMES: [(Self, &str); 3] =
        [(Self::Octet, "octet"), (Self::Netascii, "netascii"), (Self::Mail, "mail")];

    fn decode(text: &[u8]) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(_, name)| text.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(known.0)
    }

    /// The mode as requests spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Octet => "octet",
            Self::Netascii => "netascii",
            Self::Mail => "mail",
        }
    }
}

/// Reason of an ERROR packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// 0: see the text.
    Undefined,
    /// 1: file not found.
    NotFound,
    /// 2: access violation.
    Access,
    /// 3: disk full.
    DiskFull,
    /// 4: illegal operation.
    IllegalOperation,
    /// 5: unknown transfer (a packet from a port that is not part of it).
    UnknownTransfer,
    /// 6: file already exists.
    FileExists,
    /// 7: no such user.
    NoSuchUser,
    /// 8: the options are refused (RFC 2347); EDK2 also ends size probes with it.
    OptionsRefused,
    /// Any other number.
    Other(u16),
}

impl ErrorCode {
    /// The code on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::Undefined => 0,
            Self::NotFound => 1,
            Self::Access => 2,
            Self::DiskFull => 3,
            Self::IllegalOperation => 4,
            Self::UnknownTransfer => 5,
            Self::FileExists => 6,
            Self::NoSuchUser => 7,
            Self::OptionsRefused => 8,
            Self::Other(number) => number,
        }
    }
}

impl From<u16> for ErrorCode {
    fn from(number: u16) -> Self {
        match number {
            0 => Self::Undefined,
            1 => Self::NotFound,
            2 => Self::Access,
            3 => Self::DiskFull,
            4 => Self::IllegalOperation,
            5 => Self::UnknownTransfer,
            6 => Self::FileExists,
            7 => Self::NoSuchUser,
            8 => Self::OptionsRefused,
            _ => Self::Other(number),
        }
    }
}

/// What a client asks to read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The name as it came; [`clean_name`](super::clean_name) makes a path of it.
    pub name: &'a [u8],
    /// How bytes are to be sent.
    pub mode: Mode,
    /// The options that we know.
    pub options: TransferOptions,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Read request.
    Rrq(Request<'a>),
    /// Write request.
    Wrq(Request<'a>),
    /// A block of the file.
    Data {
        /// Number modulo 65536.
        block: u16,
        /// The payload.
        bytes: &'a [u8],
    },
    /// The block that arrived last in order, modulo 65536.
    Ack(u16),
    /// The end of a transfer.
    Error {
        /// The reason.
        code: ErrorCode,
        /// Text for a human, unfiltered; show it by [`printable_text`].
        text: &'a [u8],
    },
    /// Options granted.
    Oack(TransferOptions),
}

/// Why bytes are no TFTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Too short for its opcode.
    Truncated,
    /// An opcode outside 1 to 6.
    Opcode(u16),
    /// The name or mode of a request has no NUL behind it.
    Unterminated,
    /// Neither `octet`, `netascii` nor `mail`.
    Mode,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("packet too short"),
            Self::Opcode(number) => write!(f, "unknown opcode {number}"),
            Self::Unterminated => f.write_str("request without terminating NUL"),
            Self::Mode => f.write_str("unknown transfer mode"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl<'a> Packet<'a> {
    /// Reads one datagram.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(datagram);
        let opcode = cursor.u16().ok_or(DecodeError::Truncated)?;
        Ok(match opcode {
            1 => Self::Rrq(decode_request(cursor)?),
            2 => Self::Wrq(decode_request(cursor)?),
            3 => Self::Data { block: cursor.u16().ok_or(DecodeError::Truncated)?, bytes: cursor.rest() },
            4 => Self::Ack(cursor.u16().ok_or(DecodeError::Truncated)?),
            5 => {
                let code = cursor.u16().ok_or(DecodeError::Truncated)?.into();
                // Several ROMs forget the NUL behind the text.
                let text = cursor.until_nul().unwrap_or(cursor.rest());
                Self::Error { code, text }
            }
            6 => Self::Oack(TransferOptions::decode(cursor.rest())),
            other => return Err(DecodeError::Opcode(other)),
        })
    }

    /// Appends the packet to `out`. Names and texts must have no NUL in them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Rrq(request) => encode_request(1, request, out),
            Self::Wrq(request) => encode_request(2, request, out),
            Self::Data { block, bytes } => {
                out.extend(data_header(u64::from(*block)));
                out.extend_from_slice(bytes);
            }
            Self::Ack(block) => {
                out.extend([0, 4]);
                out.extend(block.to_be_bytes());
            }
            Self::Error { code, text } => {
                out.extend([0, 5]);
                out.extend(code.number().to_be_bytes());
                out.extend_from_slice(text);
                out.push(0);
            }
            Self::Oack(options) => {
                out.extend([0, 6]);
                options.encode(out);
            }
        }
    }

    /// The packet as bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

fn decode_request(mut cursor: Cursor<'_>) -> Result<Request<'_>, DecodeError> {
    let name = cursor.until_nul().ok_or(DecodeError::Unterminated)?;
    let mode = cursor.until_nul().ok_or(DecodeError::Unterminated)?;
    let mode = Mode::decode(mode).ok_or(DecodeError::Mode)?;
    Ok(Request { name, mode, options: TransferOptions::decode(cursor.rest()) })
}

fn encode_request(opcode: u8, request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend([0, opcode]);
    for text in [request.name, request.mode.name().as_bytes()] {
        out.extend_from_slice(text);
        out.push(0);
    }
    request.options.encode(out);
}

/// The four bytes before the payload of DATA block `block`. After 65535 comes 0, as iPXE, EDK2, GRUB and
/// U-Boot expect.
pub fn data_header(block: u64) -> [u8; 4] {
    let [high, low] = (block as u16).to_be_bytes();
    [0, 3, high, low]
}

/// An ERROR packet with a text of ours.
pub fn error_packet(code: ErrorCode, text: &str) -> Vec<u8> {
    Packet::Error { code, text: text.as_bytes() }.to_vec()
}

/// A client's text made fit for a log or terminal: bounded, all but printable ASCII replaced.
pub fn printable_text(text: &[u8]) -> String {
    let shown = text.iter().take(TEXT_LEN_MAX);
    shown.map(|&b| if b == b' ' || b.is_ascii_graphic() { char::from(b) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_real_clients_decode() {
        let ipxe = b"\0\x01boot/undionly.kpxe\0octet\0blksize\x001432\0tsize\x000\0";
        let Ok(Packet::Rrq(request)) = Packet::decode(ipxe) else { panic!("not an RRQ") };
        assert_eq!(request.name, b"boot/undionly.kpxe");
        assert_eq!(request.mode, Mode::Octet);
        assert_eq!((request.options.blksize, request.options.tsize), (Some(1432), Some(0)));
        let Ok(Packet::Wrq(request)) = Packet::decode(b"\0\x02x\0NetASCII\0") else { panic!("not a WRQ") };
        assert_eq!((request.mode, request.options.is_empty()), (Mode::Netascii, true));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let cases: [(&[u8], DecodeError); 10] = [
            (b"", DecodeError::Truncated),
            (b"\0", DecodeError::Truncated),
            (b"\0\x03\0", DecodeError::Truncated),
            (b"\0\x04\0", DecodeError::Truncated),
            (b"\0\x05\0", DecodeError::Truncated),
            (b"\0\x07", DecodeError::Opcode(7)),
            (b"\x01\x01x\0octet\0", DecodeError::Opcode(257)),
            (b"\0\x01name", DecodeError::Unterminated),
            (b"\0\x01name\0octet", DecodeError::Unterminated),
            (b"\0\x01name\0binary\0", DecodeError::Mode),
        ];
        for (bytes, error) in cases {
            assert_eq!(Packet::decode(bytes), Err(error), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_error_text_may_lack_its_nul_and_is_made_printable() {
        let Ok(Packet::Error { code, text }) = Packet::decode(b"\0\x05\0\x08User\x1b[2J\naborted") else {
            panic!("not an ERROR")
        };
        assert_eq!(code, ErrorCode::OptionsRefused);
        assert_eq!(printable_text(text), "User?[2J?aborted");
        assert_eq!(printable_text(&[b'a'; 1000]).len(), TEXT_LEN_MAX);
    }

    #[test]
    fn block_numbers_wrap_to_zero() {
        assert_eq!(data_header(1), [0, 3, 0, 1]);
        assert_eq!(data_header(65535), [0, 3, 0xff, 0xff]);
        assert_eq!(data_header(65536), [0, 3, 0, 0]);
    }
}
