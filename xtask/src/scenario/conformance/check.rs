//! A check, and what came of it.

use anyhow::{Result, ensure};

use super::{Context, Subject};

/// One property of a server, shown by a few packets.
pub(super) struct Check<W> {
    pub(super) name: &'static str,
    /// What must be, in one line.
    pub(super) shows: &'static str,
    /// Who says so: a standard, or what clients need.
    pub(super) basis: &'static str,
    pub(super) run: fn(&mut W) -> Result<Answer>,
}

/// What a check saw, when nothing was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Right,
    /// The server may do without it, and does, for this reason.
    NotOffered(String),
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Pass,
    NotOffered(String),
    Fail(String),
}

/// What one server made of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) check: &'static str,
    pub(super) subject: Subject,
    pub(super) outcome: Outcome,
}

impl Verdict {
    /// What is wrong, for whoever has to pass.
    pub(super) fn complaint(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Pass => None,
            Outcome::NotOffered(why) | Outcome::Fail(why) => Some(format!("{}: {why}", self.check)),
        }
    }
}

/// Which checks to run: those with this text in their name, for whoever writes one.
#[derive(Debug, Default)]
pub(super) struct Choice(Option<String>);

impl Choice {
    /// As BOOTLACE_CHECK says.
    pub(super) fn from_environment() -> Self {
        Self(std::env::var("BOOTLACE_CHECK").ok().filter(|part| !part.is_empty()))
    }

    fn takes(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|part| name.contains(part.as_str()))
    }
}

/// Runs the checks one after another in the same world.
pub(super) fn run_all<'a, W: 'a>(
    context: &Context,
    subject: Subject,
    choice: &Choice,
    world: &mut W,
    checks: impl Iterator<Item = &'a Check<W>>,
) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for check in checks.filter(|check| choice.takes(check.name)) {
        let outcome = match (check.run)(world) {
            Ok(Answer::Right) => Outcome::Pass,
            Ok(Answer::NotOffered(why)) => Outcome::NotOffered(why),
            Err(error) => Outcome::Fail(format!("{error:#}")),
        };
        context.note(&format!("{:<32} {outcome:?}", check.name));
        verdicts.push(Verdict { check: check.name, subject, outcome });
    }
    ensure!(!verdicts.is_empty(), "BOOTLACE_CHECK names no check of this suite");
    Ok(verdicts)
}
