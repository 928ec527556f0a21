//! docs/probe.md has every kind of machine and every finding, and no other.

use bootlace_probe::{FindingCode, Kind};

use super::page;

/// The first cells of the tables under a heading.
fn names(heading: &str) -> Vec<String> {
    let page = page("docs/probe.md");
    let (_, section) = page.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect()
}

#[test]
fn the_page_has_every_kind_of_machine() {
    assert_eq!(names("## What can be played"), Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>());
}

#[test]
fn the_page_has_every_finding() {
    assert_eq!(names("## Findings"), FindingCode::ALL.iter().map(|code| code.name()).collect::<Vec<_>>());
}
