//! The packets of real clients in `fixtures/dhcp`.

use std::fs;
use std::path::{Path, PathBuf};

use bootlace_core::boot::loader::{LoaderInventory, Signature};

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// One, by name.
pub(crate) fn packet(name: &str) -> Vec<u8> {
    read(&fixtures().join("dhcp").join(name).with_extension("hex"))
}

/// All of them, by name.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let folder = fs::read_dir(fixtures().join("dhcp")).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hex"));
    paths.sort();
    assert!(paths.len() > 20, "found only {}", paths.len());
    paths.iter().map(|path| read(path)).collect()
}

/// Loaders by name; those that a package calls signed are.
pub(crate) fn inventory(names: &str) -> LoaderInventory {
    let mut inventory = LoaderInventory::default();
    for name in names.split_whitespace() {
        let signed = name.ends_with(".signed");
        inventory.insert(name, if signed { Signature::Present } else { Signature::Absent });
    }
    inventory
}

fn read(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits = text.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
    digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
