//! Link-layer addresses: [`Mac`] as users write it, [`HwAddr`] as BOOTP carries it.

use std::fmt;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The all-ones address.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// `aa-bb-cc-dd-ee-ff`, as pxelinux and GRUB write it in file names.
    pub fn dashed(self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        // By hand: each lease and each event has one, and the formatter's way takes ten times as long.
        let mut text = *b"00:00:00:00:00:00";
        for (byte, digits) in self.0.iter().zip(text.chunks_mut(3)) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseMacError;

impl fmt::Display for ParseMacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a MAC address; write it as 00:12:34:56:78:90")
    }
}

impl std::error::Error for ParseMacError {}

impl FromStr for Mac {
    type Err = ParseMacError;

    /// Takes `00:12:34:56:78:90`, `00-12-…`, `0012.3456.7890` and twelve bare digits, in either case.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let group = match text.find([':', '-', '.']) {
            None if text.len() == 12 => 12,
            Some(at @ (2 | 4)) => at,
            _ => return Err(ParseMacError),
        };
        let separators = text.bytes().filter(|b| !b.is_ascii_alphanumeric()).count();
        if separators != 12 / group - 1 || text.len() != 12 + separators {
            return Err(ParseMacError);
        }
        let mut digits = [0; 12];
        let mut places = digits.iter_mut();
        for part in text.split([':', '-', '.']) {
            if part.len() != group || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(ParseMacError);
            }
            // In this order: a part that is through takes no further place.
            for (digit, place) in part.bytes().zip(places.by_ref()) {
                *place = (digit as char).to_digit(16).unwrap_or(0) as u8;
            }
        }
        let mut mac = [0; 6];
        for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(mac))
    }
}

/// Hardware type and address of a BOOTP client (`htype`, `hlen`, `chaddr`), the key of a lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HwAddr {
    htype: u8,
    len: u8,
    bytes: [u8; 16],
}

impl HwAddr {
    /// Hardware type of Ethernet (IANA ARP parameters).
    pub const ETHERNET: u8 = 1;

    /// `None` when `bytes` is longer than the 16 bytes of `chaddr`.
    pub fn new(htype: u8, bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; 16];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { htype, len: bytes.len() as u8, bytes: padded })
    }

    /// IANA hardware type; 1 is Ethernet, 32 InfiniBand.
    pub fn htype(&self) -> u8 {
        self.htype
    }

    /// The address proper, 0 to 16 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The address as a MAC, when it is six bytes long.
    pub fn mac(&self) -> Option<Mac> {
        self.as_bytes().try_into().ok().map(Mac)
    }
}

impl From<Mac> for HwAddr {
    fn from(mac: Mac) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&mac.0);
        Self { htype: Self::ETHERNET, len: 6, bytes }
    }
}

impl fmt::Display for HwAddr {
    /// A MAC for Ethernet, else `htype/hex`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Self::ETHERNET, Some(mac)) = (self.htype, self.mac()) {
            return mac.fmt(f);
        }
        write!(f, "{}/", self.htype)?;
        self.as_bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl FromStr for HwAddr {
    type Err = ParseMacError;

    /// What [`HwAddr`] prints: a MAC, or `htype/hex`.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let Some((htype, hex)) = text.split_once('/') else {
            return text.parse::<Mac>().map(Self::from);
        };
        let htype = htype.parse().map_err(|_| ParseMacError)?;
        let digits = hex.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>().ok_or(ParseMacError)?;
        if digits.len() % 2 != 0 {
            return Err(ParseMacError);
        }
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
        Self::new(htype, &bytes).ok_or(ParseMacError)
    }
}

impl fmt::Debug for HwAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_takes_the_usual_notations_and_no_other() {
        let mac = Mac([0x00, 0x12, 0x34, 0x56, 0x78, 0x9a]);
        for text in ["00:12:34:56:78:9a", "00-12-34-56-78-9A", "0012.3456.789a", "00123456789A"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        let wrong =
            ["", "00:12", "00:12:34:56:78:9g", "0:0:12:34:56:78:9", "001234:56789a", "00:12:34:56:78:9a:"];
        for text in wrong {
            assert_eq!(text.parse::<Mac>(), Err(ParseMacError), "{text}");
        }
        assert_eq!(mac.to_string(), "00:12:34:56:78:9a");
        assert_eq!(mac.dashed(), "00-12-34-56-78-9a");
    }

    #[test]
    fn hwaddr_reads_what_it_prints() {
        let addresses =
            [(1, &[2, 0, 0, 0, 0, 9][..]), (1, &[7; 8]), (32, &[0xab; 16]), (0, &[]), (6, &[1; 6])];
        for (htype, bytes) in addresses {
            let hw = HwAddr::new(htype, bytes).unwrap();
            assert_eq!(hw.to_string().parse(), Ok(hw));
        }
        for text in ["", "1/abc", "256/00", "1/zz", "x/00", &format!("1/{}", "00".repeat(17))] {
            assert_eq!(text.parse::<HwAddr>(), Err(ParseMacError), "{text}");
        }
    }

    #[test]
    fn hwaddr_is_bounded_by_chaddr() {
        assert!(HwAddr::new(1, &[0; 17]).is_none());
        assert_eq!(HwAddr::new(32, &[]).unwrap().to_string(), "32/");
        assert_eq!(HwAddr::from(Mac([1, 2, 3, 4, 5, 6])).mac(), Some(Mac([1, 2, 3, 4, 5, 6])));
    }
}
