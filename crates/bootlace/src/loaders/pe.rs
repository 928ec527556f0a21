//! As much of the format of EFI programs (PE/COFF) as tells whether one carries a signature.

/// Offset of the pointer to the PE header.
const LFANEW: usize = 0x3c;
/// From the PE header to the optional header: signature and file header.
const OPTIONAL: usize = 24;
/// The certificate table among the data directories.
const CERTIFICATES: usize = 4;

/// Whether an EFI program carries signatures; `None` when it is no EFI program. Whose they are and whether they hold
/// is for firmware and shim to tell.
pub fn is_signed(program: &[u8]) -> Option<bool> {
    if program.get(..2)? != b"MZ" {
        return None;
    }
    let pe = usize::try_from(u32_at(program, LFANEW)?).ok()?;
    if program.get(pe..pe.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let optional = pe.checked_add(OPTIONAL)?;
    // The directories stand behind fields of which some are wider in 64-bit programs.
    let directories = match u16_at(program, optional)? {
        0x10b => optional.checked_add(96)?,
        0x20b => optional.checked_add(112)?,
        _ => return None,
    };
    let count = u32_at(program, directories.checked_sub(4)?)?;
    if count <= CERTIFICATES as u32 {
        return Some(false);
    }
    // Unlike all others, this entry holds an offset in the file.
    let entry = directories.checked_add(8 * CERTIFICATES)?;
    let (offset, len) = (u32_at(program, entry)?, u32_at(program, entry.checked_add(4)?)?);
    let end = u64::from(offset) + u64::from(len);
    Some(offset > 0 && len > 0 && end <= program.len() as u64)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of a 64-bit program of 1 KiB whose certificates lie there.
    fn program(offset: u32, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[LFANEW..][..4].copy_from_slice(&0x80u32.to_le_bytes());
        bytes[0x80..][..4].copy_from_slice(b"PE\0\0");
        let optional = 0x80 + OPTIONAL;
        bytes[optional..][..2].copy_from_slice(&0x20bu16.to_le_bytes());
        bytes[optional + 108..][..4].copy_from_slice(&16u32.to_le_bytes());
        bytes[optional + 112 + 32..][..4].copy_from_slice(&offset.to_le_bytes());
        bytes[optional + 112 + 36..][..4].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    #[test]
    fn signed_unsigned_and_no_program() {
        assert_eq!(is_signed(&program(512, 512)), Some(true));
        assert_eq!(is_signed(&program(0, 0)), Some(false));
        assert_eq!(is_signed(&program(512, 513)), Some(false), "cut short");
        assert_eq!(is_signed(&program(u32::MAX, u32::MAX)), Some(false));
        assert_eq!(is_signed(b"#!ipxe\n"), None);
        assert_eq!(is_signed(b""), None);
    }

    #[test]
    fn every_beginning_of_a_program_is_survived() {
        let whole = program(512, 512);
        for len in 0..whole.len() {
            assert_ne!(is_signed(&whole[..len]), Some(true), "{len} bytes");
        }
        let mut far = whole;
        far[LFANEW..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(is_signed(&far), None);
    }
}
