//! Bytes to [`Message`].

use std::fmt;
use std::net::Ipv4Addr;

use super::{CHADDR_LEN, Code, FILE_LEN, FLAG_BROADCAST, MAGIC_COOKIE, Message, Op, Options, SNAME_LEN};
use crate::HwAddr;
use crate::cursor::Cursor;

/// Why a datagram is no BOOTP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than the fixed header.
    Short,
    /// `op` is neither request nor reply.
    BadOp,
    /// `hlen` exceeds the sixteen bytes of `chaddr`.
    BadHardwareLength,
    /// An address without a hardware type.
    BadHardwareType,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "shorter than a BOOTP header",
            Self::BadOp => "neither a request nor a reply",
            Self::BadHardwareLength => "hardware address longer than 16 bytes",
            Self::BadHardwareType => "hardware address without a type",
        })
    }
}

impl std::error::Error for DecodeError {}

impl Message {
    /// Reads a UDP payload.
    ///
    /// Options are read as far as they make sense: a missing end mark is fine, a length that points past the
    /// end stops the reading and keeps what came before. Repeated options are joined (RFC 3396), and those in
    /// `file` and `sname` (option 52) are taken in; the two fields and option 52 are then empty. Without the
    /// magic cookie there are no options: plain BOOTP (RFC 951).
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (mut message, sname, file, vendor) = fixed_fields(payload).ok_or(DecodeError::Short)??;
        if let Some(options) = vendor.strip_prefix(&MAGIC_COOKIE) {
            join_options(&mut message.options, options);
        }
        let overload = Overload::from(message.options.remove(Code::OVERLOAD));
        if overload.file {
            join_options(&mut message.options, file);
        } else {
            message.file = up_to_nul(file).to_vec();
        }
        if overload.sname {
            join_options(&mut message.options, sname);
        } else {
            message.sname = up_to_nul(sname).to_vec();
        }
        // An overload inside the overloaded fields means nothing.
        message.options.remove(Code::OVERLOAD);
        Ok(message)
    }
}

/// The header without its texts, then `sname`, `file` and what follows.
type Parts<'a> = (Message, &'a [u8], &'a [u8], &'a [u8]);

/// `None` when the header is cut short.
fn fixed_fields(payload: &[u8]) -> Option<Result<Parts<'_>, DecodeError>> {
    let mut from = Cursor::new(payload);
    let [op, htype, hlen, hops] = from.array()?;
    let xid = from.u32()?;
    let secs = from.u16()?;
    let flags = from.u16()?;
    let mut address = || from.array::<4>().map(Ipv4Addr::from);
    let (ciaddr, yiaddr, siaddr, giaddr) = (address()?, address()?, address()?, address()?);
    let chaddr = from.take(CHADDR_LEN)?;
    let sname = from.take(SNAME_LEN)?;
    let file = from.take(FILE_LEN)?;

    let (op, hw) = match (operation(op), hardware(htype, hlen, chaddr)) {
        (Ok(op), Ok(hw)) => (op, hw),
        (Err(error), _) | (_, Err(error)) => return Some(Err(error)),
    };
    let broadcast = flags & FLAG_BROADCAST != 0;
    let message =
        Message { hops, secs, broadcast, ciaddr, yiaddr, siaddr, giaddr, ..Message::new(op, hw, xid) };
    Some(Ok((message, sname, file, from.rest())))
}

fn operation(op: u8) -> Result<Op, DecodeError> {
    match op {
        1 => Ok(Op::Request),
        2 => Ok(Op::Reply),
        _ => Err(DecodeError::BadOp),
    }
}

fn hardware(htype: u8, hlen: u8, chaddr: &[u8]) -> Result<HwAddr, DecodeError> {
    let address = chaddr.get(..usize::from(hlen)).ok_or(DecodeError::BadHardwareLength)?;
    if htype == 0 && hlen != 0 {
        return Err(DecodeError::BadHardwareType);
    }
    HwAddr::new(htype, address).ok_or(DecodeError::BadHardwareLength)
}

/// Which header fields hold options instead of text (RFC 2132 section 9.3).
struct Overload {
    file: bool,
    sname: bool,
}

impl From<Option<Vec<u8>>> for Overload {
    fn from(option: Option<Vec<u8>>) -> Self {
        let bits = option.and_then(|bytes| bytes.first().copied()).unwrap_or(0);
        Self { file: bits & 1 != 0, sname: bits & 2 != 0 }
    }
}

fn join_options(options: &mut Options, bytes: &[u8]) {
    for (code, value) in tlvs(bytes) {
        options.join(Code(code), value);
    }
}

/// Tag, length, value triples as DHCP writes them: 0 pads, 255 ends, a bad length ends too.
pub(super) fn tlvs(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut from = Cursor::new(bytes);
    std::iter::from_fn(move || {
        loop {
            match Code(from.u8()?) {
                Code::PAD => {}
                Code::END => return None,
                Code(tag) => {
                    let len = from.u8()?;
                    return Some((tag, from.take(usize::from(len))?));
                }
            }
        }
    })
    .fuse()
}

fn up_to_nul(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}
