//! What a DHCP client calls itself.

use std::fmt;
use std::str::FromStr;

/// Bytes of a client identifier that can tell a machine: what has its text in a
/// [`TEXT_BYTES_MAX`](super::TEXT_BYTES_MAX). A DUID with a UUID and all of its prefix has 23.
pub const CLIENT_ID_BYTES_MAX: usize = 42;

/// A client identifier (option 61, RFC 2132 section 9.14; RFC 4361): bytes that tell nothing but who it is.
///
/// As text it is hex with colons: `ff:00:00:00:07:...`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(Vec<u8>);

impl ClientId {
    /// `None` when it is too long, or too short for what RFC 2132 asks for.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (2..=CLIENT_ID_BYTES_MAX).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// As it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

/// The text is no client identifier: too long or too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseClientIdError;

impl FromStr for ClientId {
    type Err = ParseClientIdError;

    /// Hex with colons; any other text stands for its own bytes.
    fn from_str(text: &str) -> Result<Self, ParseClientIdError> {
        Self::new(&hex(text).unwrap_or_else(|| text.as_bytes().to_vec())).ok_or(ParseClientIdError)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
    text.split(':').map(|pair| u8::from_str_radix(pair, 16).ok().filter(|_| is_pair(pair))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::TEXT_BYTES_MAX;
    use super::*;

    #[test]
    fn hex_and_text() {
        let parse = |text: &str| text.parse::<ClientId>().map(|id| id.to_string());
        assert_eq!(parse("FF:00:0a"), Ok("ff:00:0a".into()));
        assert_eq!(parse("node-7"), Ok("6e:6f:64:65:2d:37".into()));
        assert_eq!(parse("ab:+1"), Ok("61:62:3a:2b:31".into()), "a text with a colon");
        assert_eq!(parse("abcd"), Ok("61:62:63:64".into()), "without colons it is no hex");
        for wrong in ["", "a", "0a", &"x".repeat(CLIENT_ID_BYTES_MAX + 1)] {
            assert_eq!(parse(wrong), Err(ParseClientIdError), "{wrong:?}");
        }
        let longest = ClientId::new(&[0xfe; CLIENT_ID_BYTES_MAX]).unwrap();
        assert!(longest.to_string().len() <= TEXT_BYTES_MAX);
        assert_eq!(longest.to_string().parse(), Ok(longest), "what is shown can be written into a config");
    }
}
