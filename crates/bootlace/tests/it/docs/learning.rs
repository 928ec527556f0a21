//! docs/learning.md has the table that the code follows.

use bootlace_core::learn::{Ending, Setting, rows};
use bootlace_core::model::Firmware;

use super::page;

fn row(name: &str, firmware: Firmware) -> String {
    let cell = |ending| {
        let names = rows(firmware, ending).iter().map(|setting| format!("`{setting}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    format!("| {name} | {} |", Ending::ALL.map(cell).join(" | "))
}

#[test]
fn the_page_has_the_table() {
    let page = page("docs/learning.md");
    let has = |line: &str| page.lines().any(|own| own == line);
    assert!(has(&row("BIOS", Firmware::Bios)));
    for firmware in Firmware::all().filter(|firmware| firmware.is_uefi()) {
        assert!(has(&row("UEFI", firmware)), "{firmware}");
    }
    let begins = |name: &str| page.lines().any(|line| line.starts_with(&format!("| `{name}` | ")));
    assert!(Setting::ALL.into_iter().all(|setting| begins(setting.name())));
    assert!(Ending::ALL.into_iter().all(|ending| begins(ending.name())));
}
