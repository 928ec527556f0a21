//! Options of a request and of its OACK (RFC 2347).

use std::io::Write as _;

use super::limits::{BLKSIZE_MAX, BLKSIZE_MIN, Limits, WINDOWSIZE_MAX};
use crate::cursor::Cursor;

/// The options that we know, as a request asks for them or an OACK grants them.
///
/// Values that their RFC forbids count as not given, so that they are neither used nor echoed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferOptions {
    /// Bytes per block, 8 to 65464 (RFC 2348); larger wishes are kept as 65464.
    pub blksize: Option<u16>,
    /// Size of the file, 0 in a request (RFC 2349).
    pub tsize: Option<u64>,
    /// Seconds before the server sends again, 1 to 255 (RFC 2349).
    pub timeout: Option<u8>,
    /// Blocks per ACK, from 1 (RFC 7440).
    pub windowsize: Option<u16>,
}

impl TransferOptions {
    /// True without any option that we know.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the pairs behind the mode of a request or the opcode of an OACK. Names compare without case,
    /// unknown ones are skipped, and the first of a repeated one counts (RFC 2347 allows no repetition).
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        for (name, value) in pairs(bytes) {
            let Some(value) = decimal(value) else { continue };
            let named = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if named("blksize") {
                let blksize = value.min(u64::from(BLKSIZE_MAX)) as u16;
                options.blksize = options.blksize.or((blksize >= BLKSIZE_MIN).then_some(blksize));
            } else if named("tsize") {
                options.tsize = options.tsize.or(Some(value));
            } else if named("timeout") {
                options.timeout = options.timeout.or(u8::try_from(value).ok().filter(|&secs| secs > 0));
            } else if named("windowsize") {
                let blocks = value.min(u64::from(u16::MAX)) as u16;
                options.windowsize = options.windowsize.or((blocks > 0).then_some(blocks));
            }
        }
        options
    }

    /// Appends the pairs, names in lower case: pxelinux and U-Boot compare bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let pairs = [
            ("blksize", self.blksize.map(u64::from)),
            ("tsize", self.tsize),
            ("timeout", self.timeout.map(u64::from)),
            ("windowsize", self.windowsize.map(u64::from)),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "{name}\0{value}\0");
            }
        }
    }

    /// What of these wishes is granted for a file of `len` bytes: nothing unasked, nothing raised.
    pub(super) fn grant(&self, len: u64, limits: &Limits) -> Self {
        let blksize_max = limits.blksize_max.clamp(BLKSIZE_MIN, BLKSIZE_MAX);
        let windowsize_max = limits.windowsize_max.clamp(1, WINDOWSIZE_MAX);
        Self {
            blksize: self.blksize.map(|asked| asked.min(blksize_max)),
            tsize: self.tsize.map(|_| len),
            timeout: self.timeout,
            windowsize: self.windowsize.map(|asked| asked.min(windowsize_max)),
        }
    }
}

/// All option pairs of an RRQ, WRQ or OACK as they came, unknown ones too: for logs and for clients that
/// check what a server grants. Other packets have none.
pub fn raw_options(datagram: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut cursor = Cursor::new(datagram);
    let found = match cursor.u16() {
        Some(1 | 2) => cursor.until_nul().and_then(|_name| cursor.until_nul()).is_some(),
        Some(6) => true,
        _ => false,
    };
    pairs(if found { cursor.rest() } else { &[] })
}

/// Name and value, both NUL-terminated; stops at the first incomplete pair.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut cursor = Cursor::new(bytes);
    std::iter::from_fn(move || Some((cursor.until_nul()?, cursor.until_nul()?)))
}

/// An unsigned decimal number of any length, held at the largest `u64`.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_forbidden_values_count_as_absent() {
        let asked = TransferOptions::decode(b"BlkSize\x001468\0TSIZE\x000\0Timeout\x005\0windowSIZE\x004\0");
        let expected =
            TransferOptions { blksize: Some(1468), tsize: Some(0), timeout: Some(5), windowsize: Some(4) };
        assert_eq!(asked, expected);
        for none in [
            &b"blksize\x007\0"[..],
            b"blksize\x000\0",
            b"blksize\0\0",
            b"blksize\0-8\0",
            b"blksize\0 512\0",
            b"blksize\x00512",
            b"timeout\x000\0",
            b"timeout\x00256\0",
            b"windowsize\x000\0",
            b"multicast\0\0",
            b"\0\0\0",
        ] {
            assert!(TransferOptions::decode(none).is_empty(), "{}", none.escape_ascii());
        }
    }

    #[test]
    fn huge_values_are_held_and_the_first_of_two_counts() {
        let asked = TransferOptions::decode(
            b"blksize\x0099999999999999999999999\0windowsize\x0070000\0tsize\x001\0tsize\x002\0blksize\x00512\0",
        );
        assert_eq!(asked.blksize, Some(BLKSIZE_MAX));
        assert_eq!(asked.windowsize, Some(u16::MAX));
        assert_eq!(asked.tsize, Some(1));
    }

    #[test]
    fn grants_only_what_was_asked_and_never_more() {
        let limits = Limits { blksize_max: 1468, windowsize_max: 200 };
        let asked = TransferOptions { blksize: Some(9000), windowsize: Some(u16::MAX), ..Default::default() };
        let granted = asked.grant(7, &limits);
        assert_eq!(granted.blksize, Some(1468));
        assert_eq!(granted.windowsize, Some(WINDOWSIZE_MAX));
        assert_eq!((granted.tsize, granted.timeout), (None, None));
        let small = TransferOptions { blksize: Some(8), tsize: Some(0), ..Default::default() };
        let granted = small.grant(7, &limits);
        assert_eq!((granted.blksize, granted.tsize, granted.windowsize), (Some(8), Some(7), None));
    }

    #[test]
    fn raw_options_show_unknown_ones_too() {
        let rrq = b"\0\x01file\0octet\0tsize\x000\0multicast\0\0half\0";
        let pairs: Vec<_> = raw_options(rrq).collect();
        assert_eq!(pairs, [(&b"tsize"[..], &b"0"[..]), (b"multicast", b"")]);
        assert_eq!(raw_options(b"\0\x06blksize\x00512\0").count(), 1);
        assert_eq!(raw_options(b"\0\x03\0\x01a\0b\0").count(), 0);
    }
}
