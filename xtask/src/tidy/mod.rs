//! The rules of the code base that no compiler holds. Also run as a test, so that `cargo test` holds them.

mod arrows;
mod purity;
mod text;

use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::project::Project;

/// A broken rule: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Complaint {
    path: String,
    line: usize,
    advice: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.advice)
    }
}

/// A text file of the project.
#[derive(Debug)]
struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    #[cfg(test)]
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Lines with their numbers, as editors count them.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn complain(&self, line: usize, advice: impl Into<String>) -> Complaint {
        Complaint { path: self.path.clone(), line, advice: advice.into() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

type Rule = fn(&[Source]) -> Vec<Complaint>;

const RULES: &[Rule] = &[
    arrows::crates_point_the_right_way,
    arrows::unsafe_stays_in_its_place,
    arrows::packages_stay_few,
    purity::pure_crates_touch_nothing,
    text::files_are_short,
    text::notes_to_self_have_an_issue,
    text::no_path_of_one_computer,
];

/// `cargo xtask tidy`.
pub(crate) fn run(project: &Project) -> Result<ExitCode> {
    check(project)?;
    println!("tidy");
    Ok(ExitCode::SUCCESS)
}

/// Fails with every broken rule, one to a line.
pub(crate) fn check(project: &Project) -> Result<()> {
    let complaints = complaints(project.root())?;
    let listed: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    ensure!(listed.is_empty(), "{}", listed.join("\n"));
    Ok(())
}

fn complaints(root: &Path) -> Result<Vec<Complaint>> {
    let sources = sources(root)?;
    Ok(RULES.iter().flat_map(|rule| rule(&sources)).collect())
}

/// Every file that is committed or about to be. Files that are not text are left out.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("run git")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    let listing = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    let paths = listing.split_terminator('\0');
    let sources = paths.filter_map(|path| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(Source { path: path.to_owned(), text })
    });
    Ok(sources.collect())
}

/// Where `word` stands in `line` as a whole word: not as a part of a longer name.
fn find_word(line: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |&(at, _): &(usize, &str)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let continued = word.ends_with(is_part) && after.is_some_and(is_part);
        !before.is_some_and(is_part) && !continued
    };
    line.match_indices(word).find(whole).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_code_base_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let complaints = complaints(root).unwrap();
        let listed: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        assert!(listed.is_empty(), "\n{}", listed.join("\n"));
    }

    #[test]
    fn there_is_something_to_check() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let sources = sources(root).unwrap();
        for path in ["Cargo.lock", "xtask/src/tidy/mod.rs", "crates/wire/src/lib.rs"] {
            assert!(sources.iter().any(|source| source.path == path), "{path} was not read");
        }
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(find_word("let x = log::info", "log::"), Some(8));
        assert_eq!(find_word("catalog::info", "log::"), None);
        assert_eq!(find_word("unsafe_code unsafe {", "unsafe"), Some(12));
    }
}
