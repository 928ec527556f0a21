//! SMBIOS UUIDs, in both byte orders.

use std::fmt;
use std::str::FromStr;

/// A machine's SMBIOS UUID in its canonical text order.
///
/// Option 97 carries the raw SMBIOS bytes, whose first three fields are little-endian since SMBIOS 2.6; iPXE
/// and dmidecode print the canonical order, pxelinux and GRUB the raw one. Comparison goes through
/// [`Uuid::same_machine`], which takes either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// From the sixteen bytes of option 97 as EDK2 and iPXE send them.
    pub fn from_wire(raw: [u8; 16]) -> Self {
        Self(raw).swapped()
    }

    /// The twin with the first three fields in the other byte order.
    #[must_use]
    pub fn swapped(self) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.0;
        let [i, j, k, l, m, n, o, p] = rest;
        Self([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
    }

    /// Equal, or equal after swapping the byte order of one.
    pub fn same_machine(self, other: Self) -> bool {
        self == other || self.swapped() == other
    }

    /// False for the placeholders that boards without a UUID report: all zeros, all ones, and the counting
    /// pattern 03000200-0400-0500-0006-000700080009 of cheap boards.
    pub fn is_unique(self) -> bool {
        const COUNTING: Uuid = Uuid([0x03, 0, 0x02, 0, 0x04, 0, 0x05, 0, 0, 0x06, 0, 0x07, 0, 0x08, 0, 0x09]);
        self.0 != [0; 16] && self.0 != [0xff; 16] && !self.same_machine(COUNTING)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUuidError;

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID; write it as 44454c4c-3900-104e-804e-b9c04f4d344a")
    }
}

impl std::error::Error for ParseUuidError {}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    /// Thirty-two hexadecimal digits, with or without the four dashes, in either case.
    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let dashed = text.len() == 36
            && text.bytes().enumerate().all(|(at, b)| matches!(at, 8 | 13 | 18 | 23) == (b == b'-'));
        if !dashed && (text.len() != 32 || text.contains('-')) {
            return Err(ParseUuidError);
        }
        let mut bytes = [0; 16];
        let mut digits = text.chars().filter(|&c| c != '-');
        for byte in &mut bytes {
            let mut nibble = || digits.next().and_then(|c| c.to_digit(16)).ok_or(ParseUuidError);
            *byte = (nibble()? << 4 | nibble()?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_one_machine() {
        let canonical: Uuid = "4c4c4544-0039-4e10-804e-b9c04f4d344a".parse().unwrap();
        let raw: Uuid = "44454C4C-3900-104E-804E-B9C04F4D344A".parse().unwrap();
        assert!(canonical.same_machine(raw));
        assert_eq!(Uuid::from_wire(raw.0), canonical);
        assert_eq!(canonical.to_string(), "4c4c4544-0039-4e10-804e-b9c04f4d344a");
        assert!(canonical.is_unique());
    }

    #[test]
    fn placeholders_and_nonsense() {
        assert!(!"03000200-0400-0500-0006-000700080009".parse::<Uuid>().unwrap().is_unique());
        assert!(!Uuid([0; 16]).is_unique());
        for text in
            ["", "4c4c4544", "4c4c4544-0039-4e10-804e_b9c04f4d344a", "4c4c454400394e10804eb9c04f4d34zz"]
        {
            assert_eq!(text.parse::<Uuid>(), Err(ParseUuidError), "{text}");
        }
    }
}
