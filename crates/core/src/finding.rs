//! What is wrong or worth knowing: one type for check, explain, doctor and the timeline.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something will surprise.
    Warning,
    /// Worth knowing.
    Note,
}

/// A place in a text file: what a caret points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index into the loaded sources' names: the config file or a template's path.
    pub file: String,
    /// Byte range in that file.
    pub span: Range<usize>,
}

/// One finding. `code` is stable: docs, filters and tests use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A kebab-case name such as `config-unknown-key`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is the case, in one line.
    pub message: String,
    /// Where, if it is in a file.
    pub place: Option<Place>,
    /// What shows it: a value, a packet, a name.
    pub evidence: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// An error without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: None,
            evidence: None,
            fix: None,
        }
    }

    /// A warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same, pointing at a place.
    #[must_use]
    pub fn at(mut self, file: &str, span: Range<usize>) -> Self {
        self.place = Some(Place { file: file.to_owned(), span });
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The same, with what shows it.
    #[must_use]
    pub fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = Some(evidence.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(evidence) = &self.evidence {
            write!(f, " ({evidence})")?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "; {fix}")?;
        }
        Ok(())
    }
}

/// One line of a trail: what was considered, what came of it, and why. Trails are shown by `explain` and kept
/// with sessions; they never hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// What was looked at: `machine web1`, `rule 2`, `address 10.188.0.61`.
    pub what: Cow<'static, str>,
    /// What came of it, and why: `matched manufacturer "QEMU"`.
    pub result: Cow<'static, str>,
}

/// What was considered on the way to a decision, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail(pub Vec<Considered>);

impl Trail {
    /// Nothing was considered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a line.
    pub fn add(&mut self, what: impl Into<Cow<'static, str>>, result: impl Into<Cow<'static, str>>) {
        self.0.push(Considered { what: what.into(), result: result.into() });
    }
}
