//! The two base-64 codes of crypt(3), neither of which is RFC 4648's.

/// Six bits as a character, in the order of crypt(3) since its beginning.
const CRYPT: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The same of bcrypt, which has its own order.
const BCRYPT: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The character of the lowest six bits.
pub(super) fn char(bits: u8) -> char {
    char::from(CRYPT[usize::from(bits & 0x3f)])
}

/// Every three bytes as four characters, the lowest bits first; one byte at the end is two characters, two are three.
pub(super) fn encode(bytes: impl IntoIterator<Item = u8>) -> String {
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in bytes {
        bits |= u32::from(byte) << held;
        held += 8;
        while held >= 6 {
            text.push(char((bits & 0x3f) as u8));
            bits >>= 6;
            held -= 6;
        }
    }
    if held > 0 {
        text.push(char((bits & 0x3f) as u8));
    }
    text
}

/// What [`encode`] made this text of; `None` when nothing gives this text.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for c in text.bytes() {
        let six = CRYPT.iter().position(|&known| known == c)?;
        bits |= u32::try_from(six).ok()? << held;
        held += 6;
        if held >= 8 {
            bytes.push((bits & 0xff) as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    (held < 6 && bits == 0).then_some(bytes)
}

/// Every three bytes as four characters of bcrypt's, the highest bits first; without padding.
pub(super) fn encode_bcrypt(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0);
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 6 {
            held -= 6;
            text.push(char::from(BCRYPT[(bits >> held & 0x3f) as usize]));
        }
    }
    if held > 0 {
        text.push(char::from(BCRYPT[(bits << (6 - held) & 0x3f) as usize]));
    }
    text
}

/// The bytes of a text of bcrypt's; bits beyond the last whole byte are nothing to it.
pub(super) fn decode_bcrypt(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for c in text.bytes() {
        let six = BCRYPT.iter().position(|&known| known == c)?;
        bits = bits << 6 | u32::try_from(six).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}
