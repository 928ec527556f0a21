//! DHCP messages: packets of real clients, what the encoder promises, any bytes at all, a second opinion.

use std::path::{Path, PathBuf};

mod decode;
mod encode;
mod golden;
mod oracle;
mod random;

/// `fixtures/dhcp/*.hex` by name; there must be some.
pub(crate) fn packets() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dhcp");
    let mut paths: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "hex"));
    paths.sort();
    assert!(paths.len() >= 20, "fixtures are missing from {}", folder.display());
    paths.into_iter().map(|path| (path.clone(), unhex(&std::fs::read_to_string(path).unwrap()))).collect()
}

/// Bytes in hex, with blanks between and comments from `#` to the end of the line.
fn unhex(text: &str) -> Vec<u8> {
    let codes = text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    codes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
