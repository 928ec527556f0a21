//! Request paths, decoded exactly once (RFC 3986 section 2.1).

use std::borrow::Cow;
use std::fmt;

use crate::tftp::{NameError, clean_name};

/// Why a path is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// A `%` without two hexadecimal digits.
    Percent,
    /// A NUL: the file name that the kernel sees would end there.
    Nul,
    /// What was decoded is no good name.
    Name(NameError),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent => f.write_str("a % in the path is not followed by two hexadecimal digits"),
            Self::Nul => f.write_str("the path has a NUL"),
            Self::Name(error) => error.fmt(f),
        }
    }
}

/// The cleaned name of a request path. What decodes to a `%2f` again is no separator: it is decoded once.
pub fn name_of(path: &str) -> Result<String, TargetError> {
    let decoded = percent_decode(path).ok_or(TargetError::Percent)?;
    if decoded.contains(&0) {
        return Err(TargetError::Nul);
    }
    clean_name(&decoded).map_err(TargetError::Name)
}

fn percent_decode(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => nibble(bytes.next()?)? << 4 | nibble(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(Cow::Owned(decoded))
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_cleaned() {
        let cases = [
            ("/debian/linux", Ok("debian/linux")),
            ("//debian//linux", Ok("debian/linux")),
            ("/a%20b%2Fc", Ok("a b/c")),
            ("/a%252e%252e%252fb", Ok("a%2e%2e%2fb")),
            ("/Boot%5cBCD", Ok("Boot/BCD")),
            ("/a+b", Ok("a+b")),
            ("/", Err(TargetError::Name(NameError::Empty))),
            ("/..%2fetc/passwd", Err(TargetError::Name(NameError::Parent))),
            ("/%2e%2e/etc/passwd", Err(TargetError::Name(NameError::Parent))),
            ("/..\\etc", Err(TargetError::Name(NameError::Parent))),
            ("/linux%00.txt", Err(TargetError::Nul)),
            ("/linux%00", Err(TargetError::Nul)),
            ("/a%0ab", Err(TargetError::Name(NameError::Control))),
            ("/%ff%41", Err(TargetError::Name(NameError::Encoding))),
            ("/%", Err(TargetError::Percent)),
            ("/%4", Err(TargetError::Percent)),
            ("/%zz", Err(TargetError::Percent)),
        ];
        for (path, expect) in cases {
            assert_eq!(name_of(path), expect.map(str::to_owned), "{path}");
        }
    }
}
