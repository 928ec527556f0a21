//! CRC32C over headers and data (RFC 7143, section 13.1).

/// Whether a part of each PDU is followed by its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Digest {
    /// It is not.
    #[default]
    None,
    /// It is, by four bytes.
    Crc32c,
}

impl Digest {
    /// Bytes that it adds.
    pub fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc32c => 4,
        }
    }

    /// Whether `sum` is that of `bytes`, whose padding counts.
    pub(super) fn agrees(self, bytes: &[u8], sum: &[u8]) -> bool {
        match self {
            Self::None => true,
            Self::Crc32c => sum == crc32c::crc32c(bytes).to_le_bytes(),
        }
    }

    /// Appends the checksum of what `out` holds from `start` on.
    pub(super) fn append(self, out: &mut Vec<u8>, start: usize) {
        if self == Self::Crc32c {
            let sum = crc32c::crc32c(&out[start..]);
            out.extend(sum.to_le_bytes());
        }
    }
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Digests {
    /// Over the header with its additional segments.
    pub header: Digest,
    /// Over data, where there are any.
    pub data: Digest,
}
