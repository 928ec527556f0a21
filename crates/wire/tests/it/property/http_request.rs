//! HTTP: the first line is a path, the rest a range. A name is one that TFTP would serve, too; a part lies in the file.

use bootlace_wire::http::{ByteRange, byte_range, name_of};
use bootlace_wire::tftp::clean_name;

/// No file, small ones, and the largest there could be.
const LENGTHS: [u64; 4] = [0, 1, 100, u64::MAX];

pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (path, range) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(name) = name_of(path) {
        assert!(!name.contains('\0'));
        assert_eq!(clean_name(name.as_bytes()).as_deref(), Ok(&*name), "cleaning is stable");
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(name_of(&encoded), Ok(name), "decoded once");
    }
    for len in LENGTHS {
        match byte_range(range, len) {
            ByteRange::Part(first, end) => assert!(first < end && end <= len, "{first}..{end} of {len}"),
            ByteRange::NotThere => assert!(range.starts_with("bytes=")),
            ByteRange::Whole => {}
        }
    }
}
