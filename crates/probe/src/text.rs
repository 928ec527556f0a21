//! What servers send, made fit to be shown.

use crate::limits::SHOWN_CHARS_MAX;

/// Printable ASCII as it is, everything else as `?`, and not too much of it.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text: String = bytes
        .iter()
        .take(SHOWN_CHARS_MAX)
        .map(|&b| if b == b' ' || b.is_ascii_graphic() { char::from(b) } else { '?' })
        .collect();
    if bytes.len() > SHOWN_CHARS_MAX {
        text.push_str("...");
    }
    text
}

/// A count with its noun: `1 byte`, `1,234,567 bytes`.
pub(crate) fn bytes(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} byte{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_texts_are_harmless() {
        assert_eq!(
            [0, 1, 999, 1_000, 1_234_567].map(bytes).join(" "),
            "0 bytes 1 byte 999 bytes 1,000 bytes 1,234,567 bytes"
        );
        assert_eq!(shown(b"a\x1b[2J\n\xff"), "a?[2J??");
        assert_eq!(shown(&[b'x'; 1000]).len(), SHOWN_CHARS_MAX + 3);
    }
}
