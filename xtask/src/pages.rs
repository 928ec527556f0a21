//! The pages of the documentation name commands of this program that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Parser;

use crate::Cli;

const PAGES: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"];

/// `cargo xtask ...` at the beginning of a line of a block, or between backticks.
fn commands(page: &str) -> impl Iterator<Item = &str> {
    let pieces = page.split(['`', '\n']).filter_map(|piece| piece.strip_prefix("cargo xtask "));
    pieces.map(|command| command.split(" #").next().unwrap_or_default().trim())
}

#[test]
fn commands_in_pages_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for command in commands(&text) {
            let words = ["cargo xtask"].into_iter().chain(command.split_whitespace());
            assert!(Cli::try_parse_from(words).is_ok(), "{page}: there is no `cargo xtask {command}`");
            found.insert(command.to_owned());
        }
    }
    assert!(found.contains("demo") && found.contains("test") && found.len() > 4, "{found:?}");
}
