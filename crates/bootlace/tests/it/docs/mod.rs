//! The documentation is true: its configs load, its commands exist, its numbers are the code's.

mod commands;
mod doctor;
mod learning;
mod limits;
mod probe;
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};

/// What users read first. Every fenced block in them is looked at.
const PAGES: [&str; 17] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/adopt.md",
    "docs/config.md",
    "docs/disks.md",
    "docs/doctor.md",
    "docs/installs.md",
    "docs/learning.md",
    "docs/limits.md",
    "docs/loaders.md",
    "docs/next-boot.md",
    "docs/probe.md",
    "docs/pxelinux.md",
    "docs/scope.md",
    "docs/state.md",
    "docs/templates.md",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn page(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A fenced block: the language behind its opening fence, and its text.
struct Block {
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}
