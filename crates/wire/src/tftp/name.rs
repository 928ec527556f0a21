//! File names as clients write them, cleaned for a lookup.

use std::fmt;

use super::limits::NAME_LEN_MAX;

/// Why a name cannot be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing is left after cleaning.
    Empty,
    /// Longer than [`NAME_LEN_MAX`] after cleaning.
    TooLong,
    /// It has a `..` component.
    Parent,
    /// It has a NUL or another control character.
    Control,
    /// It is not UTF-8.
    Encoding,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty file name",
            Self::TooLong => "file name too long",
            Self::Parent => "file name goes to a parent directory",
            Self::Control => "file name has control characters",
            Self::Encoding => "file name is not UTF-8",
        })
    }
}

impl std::error::Error for NameError {}

/// Turns a name from the wire into a relative path with `/` between plain components.
///
/// Windows asks with backslashes and GRUB doubles slashes; some firmware passes on the whole
/// `tftp://host/` URL that it was given, and some old ROMs send the 0xFF or NUL bytes that followed the name
/// in their copy of the DHCP packet. HTTP uses the same function after percent-decoding.
pub fn clean_name(raw: &[u8]) -> Result<String, NameError> {
    let junk = raw.iter().rev().take_while(|b| matches!(b, 0xff | 0)).count();
    let text = str::from_utf8(&raw[..raw.len() - junk]).map_err(|_| NameError::Encoding)?;
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    let slashed = text.replace('\\', "/");
    let mut name = String::with_capacity(slashed.len().min(NAME_LEN_MAX));
    for component in without_url_prefix(&slashed).split('/') {
        match component {
            "" | "." => continue,
            ".." => return Err(NameError::Parent),
            _ => {}
        }
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(component);
        if name.len() > NAME_LEN_MAX {
            return Err(NameError::TooLong);
        }
    }
    if name.is_empty() { Err(NameError::Empty) } else { Ok(name) }
}

/// The path behind `tftp://host`, or the whole text.
fn without_url_prefix(text: &str) -> &str {
    match text.split_at_checked("tftp://".len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tftp://") => {
            rest.split_once('/').map_or("", |(_host, path)| path)
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_is_cleaned() {
        let cases: [(&[u8], &str); 11] = [
            (b"pxelinux.0", "pxelinux.0"),
            (b"\\Boot\\BCD", "Boot/BCD"),
            (b"\\\\Boot\\BCD", "Boot/BCD"),
            (b"//grub//x86_64-efi/./normal.lst", "grub/x86_64-efi/normal.lst"),
            (b"/debian/linux/", "debian/linux"),
            (b"undionly.kpxe\xff\xff\xff", "undionly.kpxe"),
            (b"undionly.kpxe\xff\0\xff\0", "undionly.kpxe"),
            (b"TFTP://10.188.0.10/ipxe/snponly.efi", "ipxe/snponly.efi"),
            (b"tftp:\\\\10.188.0.10\\a", "a"),
            (b"a..b/...", "a..b/..."),
            ("žltý kôň".as_bytes(), "žltý kôň"),
        ];
        for (raw, clean) in cases {
            assert_eq!(clean_name(raw).as_deref(), Ok(clean), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn names_that_leave_the_tree_or_hide_something_are_refused() {
        let cases: [(&[u8], NameError); 13] = [
            (b"", NameError::Empty),
            (b"/", NameError::Empty),
            (b"./\\.", NameError::Empty),
            (b"\xff\xff", NameError::Empty),
            (b"tftp://10.188.0.10", NameError::Empty),
            (b"..\\..\\etc\\passwd", NameError::Parent),
            (b"a/../../etc/passwd", NameError::Parent),
            (b"tftp://10.188.0.10/../x", NameError::Parent),
            (b"..", NameError::Parent),
            (b"a\0b", NameError::Control),
            (b"a\nb", NameError::Control),
            (b"a\x1b[2Jb", NameError::Control),
            (b"a\xffb", NameError::Encoding),
        ];
        for (raw, error) in cases {
            assert_eq!(clean_name(raw), Err(error), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn the_length_counts_after_cleaning() {
        let longest = "x".repeat(NAME_LEN_MAX);
        assert_eq!(clean_name(format!("////{longest}/").as_bytes()), Ok(longest));
        assert_eq!(clean_name(&[b'x'; NAME_LEN_MAX + 1]), Err(NameError::TooLong));
        assert_eq!(clean_name(&b"x/".repeat(NAME_LEN_MAX)), Err(NameError::TooLong));
    }
}
