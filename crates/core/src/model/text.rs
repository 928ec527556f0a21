//! Text that came from a machine.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest text kept of anything a machine sends (design invariant 6).
pub const TEXT_BYTES_MAX: usize = 128;

/// A value that a machine reported: outer blanks trimmed, at most [`TEXT_BYTES_MAX`] bytes, no control
/// characters (each became `?`). Cheap to copy: facts go from packets to sessions, events and answers. It may still hold quotes, `${`, `;` or `<`: whoever prints it escapes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// Makes bytes of the wire harmless. Bytes that are no UTF-8 become U+FFFD; a NUL ends the text, as
    /// option values of old clients carry one.
    pub fn clean(raw: &[u8]) -> Self {
        let end = raw.iter().position(|&b| b == 0).unwrap_or(raw.len());
        // Four times the limit is enough to fill it whatever the trimming removes, and bounds the work.
        let bounded = &raw[..end.min(TEXT_BYTES_MAX * 4)];
        // Nearly every value: nothing to replace, and a byte is a character.
        if bounded.len() <= TEXT_BYTES_MAX && bounded.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Self(String::from_utf8_lossy(bounded.trim_ascii()).as_ref().into());
        }
        let decoded = String::from_utf8_lossy(bounded);
        let mut text = String::new();
        for c in decoded.trim().chars() {
            let c = if is_unsafe(c) { '?' } else { c };
            if text.len() + c.len_utf8() > TEXT_BYTES_MAX {
                break;
            }
            text.push(c);
        }
        Self(text.trim_end().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing was left of it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Control characters, and the invisible ones that reorder or hide text in a terminal or a page.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::clean(text.as_bytes())
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_trimmed_bounded_and_free_of_controls() {
        assert_eq!(Text::clean(b"  Dell Inc. \0junk").as_str(), "Dell Inc.");
        assert_eq!(Text::clean(b"a\nb\x1b[31m\x7f").as_str(), "a?b?[31m?");
        assert_eq!(Text::clean("x\u{202e}y".as_bytes()).as_str(), "x?y");
        assert_eq!(Text::clean(&[b'x'; 1000]).as_str().len(), TEXT_BYTES_MAX);
        assert_eq!(Text::clean(&[0xff, b'a']).as_str(), "\u{fffd}a");
        let umlauts = "ä".repeat(100);
        assert!(Text::clean(umlauts.as_bytes()).as_str().len() <= TEXT_BYTES_MAX);
    }
}
