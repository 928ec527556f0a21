//! Small named checks of DHCP and TFTP, each a few packets on raw sockets, that any server can be put to.
//!
//! The same checks run against Bootlace and against servers that everybody uses. What all of them fail is a bad
//! check, and the run says so. To add a check: write it beside its like, list it in that file's `CHECKS`, and run
//! `cargo xtask conformance`, which writes the table of docs/conformance.md.

mod check;
mod dhcp;
pub(crate) mod page;
mod subject;
mod tftp;

use anyhow::{Result, bail, ensure};

use super::{Context, Scenario, context, rawdhcp, served};
use check::{Check, Choice, Outcome, Verdict};
use subject::Subject;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "conformance-dhcp",
        shows: "Bootlace passes every check of DHCP in docs/conformance.md",
        run: |context| hold(context, dhcp::run),
    },
    Scenario {
        name: "conformance-tftp",
        shows: "Bootlace passes every check of TFTP in docs/conformance.md",
        run: |context| hold(context, tftp::run),
    },
    Scenario {
        name: "conformance-peers",
        shows: "the same checks against dnsmasq, Kea and atftpd: none is failed by all",
        run: peers,
    },
];

type Suite = fn(&Context, Subject, &Choice) -> Result<Vec<Verdict>>;

/// Bootlace, or the server that BOOTLACE_SUBJECT names, has to pass.
fn hold(context: &Context, suite: Suite) -> Result<()> {
    let subject = Subject::chosen()?.unwrap_or(Subject::Bootlace);
    let verdicts = suite(context, subject, &Choice::from_environment())?;
    let failed: Vec<String> = verdicts.iter().filter_map(Verdict::complaint).collect();
    ensure!(failed.is_empty(), "{} of {} checks:\n{}", failed.len(), verdicts.len(), failed.join("\n"));
    Ok(())
}

/// Everybody's turn. The result is left for the page, and a check that nobody passes fails the run.
fn peers(context: &Context) -> Result<()> {
    let (mut verdicts, choice) = (Vec::new(), Choice::from_environment());
    let suites: [(&[Subject], Suite); 2] = [(&Subject::OF_DHCP, dhcp::run), (&Subject::OF_TFTP, tftp::run)];
    for (subjects, suite) in suites {
        for subject in subjects {
            context.note(&format!("{subject}:"));
            verdicts.extend(suite(context, *subject, &choice)?);
        }
    }
    page::keep(context.dir(), &verdicts)?;
    let by_us: Vec<String> =
        verdicts.iter().filter(|v| v.subject == Subject::Bootlace).filter_map(Verdict::complaint).collect();
    let by_all = failed_by_all(&verdicts);
    match (by_all.as_slice(), by_us.as_slice()) {
        ([], []) => Ok(()),
        ([], _) => bail!("Bootlace:\n{}", by_us.join("\n")),
        _ => bail!("no server passes {}: are these good checks?", by_all.join(", ")),
    }
}

/// The checks that no server passed.
fn failed_by_all(verdicts: &[Verdict]) -> Vec<&'static str> {
    let passed = |check: &str| verdicts.iter().any(|v| v.check == check && v.outcome == Outcome::Pass);
    let mut names: Vec<&str> = verdicts.iter().map(|verdict| verdict.check).collect();
    names.dedup();
    names.retain(|name| !passed(name));
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_checks_share_a_name() {
        let names = || dhcp::checks().map(|check| check.name).chain(tftp::checks().map(|check| check.name));
        assert_eq!(names().collect::<BTreeSet<_>>().len(), names().count());
        assert!(dhcp::checks().count() >= 40 && tftp::checks().count() >= 25);
    }

    #[test]
    fn a_check_that_nobody_passes_is_found() {
        let verdict = |check, subject, outcome| Verdict { check, subject, outcome };
        let failed = || Outcome::Fail("no".to_owned());
        let verdicts = [
            verdict("good", Subject::Bootlace, Outcome::Pass),
            verdict("bad", Subject::Bootlace, failed()),
            verdict("good", Subject::Kea, failed()),
            verdict("bad", Subject::Kea, Outcome::NotOffered("why".to_owned())),
        ];
        assert_eq!(failed_by_all(&verdicts), ["bad"]);
    }
}
