//! docs/doctor.md has every finding, and no other.

use bootlace::doctor::Code;

use super::page;

#[test]
fn the_page_has_every_finding() {
    let page = page("docs/doctor.md");
    let (_, table) = page.split_once("## Findings").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let expected = Code::ALL.iter().map(|code| format!("| `{}` | {} |", code.name(), code.meaning()));
    assert_eq!(rows, expected.collect::<Vec<_>>());
}
