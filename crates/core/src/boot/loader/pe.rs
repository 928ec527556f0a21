//! Whether a program for UEFI carries a signature (Microsoft's PE/COFF specification). Who signed it, and whether that
//! still counts, only the firmware can tell.

/// As much of the beginning of a file as [`carries_signature`] may have to see: the headers lie in it.
pub const PE_HEADER_BYTES_MAX: usize = 4096;

/// Offset of the PE header's own offset in the DOS header.
const PE_OFFSET_AT: usize = 0x3c;
/// The signature `PE\0\0` and the COFF header.
const COFF_BYTES: usize = 24;
/// Where the optional header has its count of data directories, by its magic.
const PE32: (u16, usize) = (0x10b, 92);
const PE32_PLUS: (u16, usize) = (0x20b, 108);
/// The directory of certificates, and the size of each entry.
const CERTIFICATES: usize = 4;
const DIRECTORY_BYTES: usize = 8;

/// Whether the program that begins with these bytes has a certificate table. `false` for what is no PE file.
pub fn carries_signature(beginning: &[u8]) -> bool {
    certificates_len(beginning).is_some_and(|len| len > 0)
}

fn certificates_len(bytes: &[u8]) -> Option<u32> {
    if !bytes.starts_with(b"MZ") {
        return None;
    }
    let pe = u32_at(bytes, PE_OFFSET_AT)? as usize;
    if bytes.get(pe..)?.get(..4)? != b"PE\0\0" {
        return None;
    }
    let optional = pe.checked_add(COFF_BYTES)?;
    let magic = u16::from_le_bytes(bytes.get(optional..)?.get(..2)?.try_into().ok()?);
    let (_, count_at) = [PE32, PE32_PLUS].into_iter().find(|(known, _)| *known == magic)?;
    let count_at = optional.checked_add(count_at)?;
    if u32_at(bytes, count_at)? as usize <= CERTIFICATES {
        return None;
    }
    u32_at(bytes, count_at + 4 + CERTIFICATES * DIRECTORY_BYTES + 4)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of a 64-bit program with so many data directories and a certificate table of this length.
    fn program(directories: u32, certificates: u32) -> Vec<u8> {
        let mut bytes = vec![0; 0x40 + COFF_BYTES + 108 + 4 + 16 * DIRECTORY_BYTES];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[PE_OFFSET_AT] = 0x40;
        bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
        let optional = 0x40 + COFF_BYTES;
        bytes[optional..optional + 2].copy_from_slice(&0x20b_u16.to_le_bytes());
        bytes[optional + 108..optional + 112].copy_from_slice(&directories.to_le_bytes());
        let len_at = optional + 112 + CERTIFICATES * DIRECTORY_BYTES + 4;
        bytes[len_at..len_at + 4].copy_from_slice(&certificates.to_le_bytes());
        bytes
    }

    #[test]
    fn a_certificate_table_is_a_signature() {
        assert!(carries_signature(&program(16, 1536)));
        assert!(!carries_signature(&program(16, 0)));
        assert!(!carries_signature(&program(4, 1536)), "no such directory");
        let mut pe32 = program(16, 0);
        let optional = 0x40 + COFF_BYTES;
        pe32[optional..optional + 2].copy_from_slice(&0x10b_u16.to_le_bytes());
        pe32[optional + 92] = 16;
        pe32[optional + 96 + CERTIFICATES * DIRECTORY_BYTES + 4] = 8;
        assert!(carries_signature(&pe32));
    }

    #[test]
    fn anything_else_is_none_and_no_cut_is_a_panic() {
        let whole = program(16, 1536);
        for len in 0..whole.len() {
            let _ = carries_signature(&whole[..len]);
        }
        let mut far = whole.clone();
        far[PE_OFFSET_AT..PE_OFFSET_AT + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        for bytes in [&b""[..], b"MZ", b"#!ipxe\n", &far] {
            assert!(!carries_signature(bytes));
        }
    }
}
