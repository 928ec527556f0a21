//! `key=value` texts (RFC 7143, section 6.1).

use super::limits::{KEY_BYTES_MAX, KEYS_MAX, VALUE_BYTES_MAX};

/// The keys of one request in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<(String, String)>);

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadText {
    /// Not `key=value` with NULs between, or more or longer than limits allow.
    Syntax,
    /// A key twice.
    Twice,
}

impl Keys {
    /// Reads a whole text. Empty pieces are padding.
    pub fn parse(text: &[u8]) -> Result<Self, BadText> {
        let mut keys: Vec<(String, String)> = Vec::new();
        for piece in text.split(|byte| *byte == 0).filter(|piece| !piece.is_empty()) {
            let piece = std::str::from_utf8(piece).map_err(|_| BadText::Syntax)?;
            let (key, value) = piece.split_once('=').ok_or(BadText::Syntax)?;
            let well_named = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(is_key_byte);
            let printable = !value.chars().any(char::is_control);
            if !well_named || !printable || value.len() > VALUE_BYTES_MAX || keys.len() == KEYS_MAX {
                return Err(BadText::Syntax);
            }
            if keys.iter().any(|(known, _)| known == key) {
                return Err(BadText::Twice);
            }
            keys.push((key.into(), value.into()));
        }
        Ok(Self(keys))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Letters, digits and what standard names and extensions have (section 6.1).
fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'@' | b'_' | b'/' | b'#')
}

/// Appends `key=value` and its NUL.
pub(super) fn put(text: &mut Vec<u8>, key: &str, value: &str) {
    text.extend(key.as_bytes());
    text.push(b'=');
    text.extend(value.as_bytes());
    text.push(0);
}

/// A number: decimal or 0x (section 6.1).
pub(super) fn number(value: &str) -> Option<u32> {
    let (digits, radix) = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (value, 10),
    };
    // The parser would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// A binary value: 0x and hexadecimal digits, or 0b and base64 (section 6.1); at most `max` bytes.
pub(super) fn binary(value: &str, max: usize) -> Option<Vec<u8>> {
    let (prefix, rest) = value.split_at_checked(2)?;
    let bytes = match prefix {
        "0x" | "0X" => hexadecimal(rest)?,
        "0b" | "0B" => base64(rest)?,
        _ => return None,
    };
    (!bytes.is_empty() && bytes.len() <= max).then_some(bytes)
}

/// Bytes as 0x and digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    "0x".chars().chain(digits).collect()
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        digits.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    let mut digits = digits?;
    // An odd number of digits has its zero in front.
    if !digits.len().is_multiple_of(2) {
        digits.insert(0, 0);
    }
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 || body.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(body.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in body.bytes() {
        bits = bits << 6 | sextet(byte)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_at_nuls() {
        let keys = Keys::parse(b"InitiatorName=iqn.x:a=b\0X-other=\0\0").expect("keys");
        let all: Vec<_> = keys.iter().collect();
        assert_eq!(all, [("InitiatorName", "iqn.x:a=b"), ("X-other", "")]);
        assert_eq!(Keys::parse(b"A=1\0A=1\0"), Err(BadText::Twice));
        for bad in [&b"A"[..], b"=1", b"A B=1", b"A=\xff", b"A=\x07"] {
            assert_eq!(Keys::parse(bad), Err(BadText::Syntax), "{bad:?}");
        }
    }

    #[test]
    fn binary_values_have_two_forms() {
        assert_eq!(binary("0x00fF", 2), Some(vec![0, 0xff]));
        assert_eq!(binary("0xfff", 2), Some(vec![0x0f, 0xff]));
        assert_eq!(binary("0bAP8=", 2), Some(vec![0, 0xff]));
        assert_eq!(binary("0bAP8", 2), Some(vec![0, 0xff]));
        assert_eq!(binary("0BQUJD", 3), Some(b"ABC".to_vec()));
        for bad in ["", "0", "0x", "00ff", "0xfg", "0bA", "0b=", "0bAP8===", "0xffffff", "ä"] {
            assert_eq!(binary(bad, 2), None, "{bad}");
        }
        assert_eq!(hex(&[0, 0xa5]), "0x00a5");
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(number("8192"), Some(8192));
        assert_eq!(number("0x2000"), Some(8192));
        for bad in ["", "+1", "-1", "0x", "4294967296", "1a"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
