//! The table in docs/conformance.md: what each server makes of each check.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Outcome, Subject, Verdict, dhcp, tftp};

pub(crate) const FILE: &str = "docs/conformance.md";
const BEGIN: &str = "<!-- conformance: written by `cargo xtask conformance` -->\n";
const END: &str = "<!-- end of conformance -->\n";
/// Where a run leaves its table, in the scenario's folder.
const KEPT: &str = "conformance-table.md";

/// Leaves the table of a whole run where [`write()`] finds it.
pub(super) fn keep(dir: &Path, verdicts: &[Verdict]) -> Result<()> {
    let date = Command::new("date").args(["-u", "+%F"]).output().context("run date")?;
    let mut text = format!("Run on {}", String::from_utf8(date.stdout)?.trim());
    for subject in [Subject::Bootlace, Subject::Dnsmasq, Subject::Kea, Subject::Atftpd] {
        text.push_str(&format!(", {}", subject.version()?));
    }
    text.push_str(".\n");
    text.push_str(&table("DHCP", &Subject::OF_DHCP, &lines(dhcp::checks()), verdicts));
    text.push_str(&table("TFTP", &Subject::OF_TFTP, &lines(tftp::checks()), verdicts));
    fs::write(dir.join(KEPT), text).context("keep the table")
}

/// Puts the table of the last run into the page.
pub(crate) fn write(root: &Path, dir: &Path) -> Result<()> {
    let table = fs::read_to_string(dir.join(KEPT)).context("the run left no table")?;
    let path = root.join(FILE);
    let page = fs::read_to_string(&path).with_context(|| format!("read {FILE}"))?;
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{FILE} lacks {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{FILE} lacks {END}"))?;
    fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).with_context(|| format!("write {FILE}"))
}

type Line = [&'static str; 3];

fn lines<W: 'static>(checks: impl Iterator<Item = &'static super::Check<W>>) -> Vec<Line> {
    checks.map(|check| [check.name, check.shows, check.basis]).collect()
}

fn table(title: &str, subjects: &[Subject], checks: &[Line], verdicts: &[Verdict]) -> String {
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name()).collect();
    let mut text = format!(
        "\n### {title}\n\n| check | what must be | by | {} |\n|---|---|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    let mut reasons = String::new();
    for [name, shows, basis] in checks {
        text.push_str(&format!("| `{name}` | {shows} | {basis} |"));
        for subject in subjects {
            let found = verdicts.iter().find(|v| v.check == *name && v.subject == *subject);
            let (word, why) = match found.map(|verdict| &verdict.outcome) {
                None => ("not run", None),
                Some(Outcome::Pass) => ("pass", None),
                Some(Outcome::NotOffered(why)) => ("not offered", Some(why)),
                Some(Outcome::Fail(why)) => ("fail", Some(why)),
            };
            text.push_str(&format!(" {word} |"));
            if let Some(why) = why {
                reasons.push_str(&format!("- {subject}, `{name}`: {}\n", why.replace('\n', " ")));
            }
        }
        text.push('\n');
    }
    if reasons.is_empty() {
        text
    } else {
        format!("{text}\nWhat was seen where it is not \"pass\":\n\n{reasons}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_the_checks_of_the_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let page = fs::read_to_string(root.join(FILE)).unwrap();
        let (_, rest) = page.split_once(BEGIN).unwrap();
        let (table, _) = rest.split_once(END).unwrap();
        let listed: Vec<[&str; 3]> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .filter_map(|(name, rest)| {
                let mut cells = rest.split(" | ");
                Some([name, cells.next()?, cells.next()?])
            })
            .collect();
        let code: Vec<Line> = lines(dhcp::checks()).into_iter().chain(lines(tftp::checks())).collect();
        assert_eq!(listed, code, "left: {FILE}; `cargo xtask conformance` writes it anew");
        assert!(!table.contains("not run"), "{FILE} is of a run of some checks only");
    }

    #[test]
    fn a_table_says_why() {
        let verdict =
            Verdict { check: "a", subject: Subject::Kea, outcome: Outcome::Fail("54 is\nNone".into()) };
        let text = table("DHCP", &[Subject::Kea], &[["a", "shows", "RFC"]], &[verdict]);
        assert!(text.contains("| `a` | shows | RFC | fail |\n"), "{text}");
        assert!(text.ends_with("- kea, `a`: 54 is None\n"), "{text}");
    }
}
