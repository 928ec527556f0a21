//! Matching facts: yes, no or not known yet.
//!
//! The keys of a match table are ANDed, the values of one key ORed. `!x` negates: with some positive and some
//! negative values, one of the positive and none of the negative must match; with negative ones only, none may.
//! Values compare as what they are: MACs, UUIDs in either byte order, addresses and networks, firmware names;
//! everything else as text with `*` and `?`, without regard to case and outer blanks.
//!
//! A variable that is not known matches no value. While the machine can still be asked for it, the answer is
//! *unknown* instead; see [`Verdict`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::{Facts, Reporting, Var};
use crate::nearest;

mod pattern;

use pattern::Pattern;

/// The most values one key may have: a longer list belongs into `[[machine]]` entries.
const PATTERNS_MAX: usize = 256;

/// The `match` table of a rule. An empty one matches every machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    keys: BTreeMap<Var, Vec<Value>>,
}

/// One value of a key, as written and as compared.
#[derive(Clone, Debug, PartialEq)]
struct Value {
    /// As the config has it, for trails.
    text: String,
    sign: Sign,
    pattern: Pattern,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Positive,
    Negative,
}

/// Why a key or a value cannot be in a match table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// Which value; `None`: the key.
    pub index: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub fix: Option<String>,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

/// What came of testing a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All keys match.
    Yes,
    /// A key does not match.
    No,
    /// It depends on variables that the machine has not reported yet and still can.
    Unknown(BTreeSet<Var>),
}

/// A verdict and its reason, as a trail shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// Yes, no or unknown.
    pub verdict: Verdict,
    /// Why, in one line.
    pub why: String,
}

impl Match {
    /// Adds a key with its values.
    pub fn add(&mut self, key: &str, patterns: &[&str]) -> Result<(), PatternError> {
        let var: Var = key.parse().map_err(|()| unknown_key(key))?;
        let whole = |message: String| PatternError { index: None, message, fix: None };
        if patterns.is_empty() {
            return Err(whole(format!("`{key}` has no value: it could never match")));
        }
        if patterns.len() > PATTERNS_MAX {
            return Err(whole(format!("`{key}` has more than {PATTERNS_MAX} values")));
        }
        let mut values = Vec::with_capacity(patterns.len());
        for (index, &text) in patterns.iter().enumerate() {
            let trimmed = text.trim();
            let (sign, pattern) = match trimmed.strip_prefix('!') {
                Some(rest) => (Sign::Negative, rest.trim_start()),
                None => (Sign::Positive, trimmed),
            };
            let pattern = Pattern::parse(var, pattern).map_err(|(message, fix)| PatternError {
                index: Some(index),
                message,
                fix,
            })?;
            values.push(Value { text: trimmed.to_owned(), sign, pattern });
        }
        self.keys.insert(var, values);
        Ok(())
    }

    /// The variables that it looks at.
    pub fn uses(&self) -> impl Iterator<Item = Var> {
        self.keys.keys().copied()
    }

    /// Tests it: a no of one key decides, whatever else is unknown.
    pub fn test(&self, facts: &Facts) -> Tested {
        let mut unknown = BTreeSet::new();
        let mut reasons = Vec::new();
        for (&var, values) in &self.keys {
            let (outcome, why) = test_key(var, values, facts);
            match outcome {
                Key::No => return Tested { verdict: Verdict::No, why },
                Key::Unknown => {
                    unknown.insert(var);
                }
                Key::Yes => reasons.push(why),
            }
        }
        if !unknown.is_empty() {
            let why = format!("{} not reported yet", list(&unknown));
            return Tested { verdict: Verdict::Unknown(unknown), why };
        }
        let why = if self.keys.is_empty() { "matches every machine".into() } else { reasons.join(", ") };
        Tested { verdict: Verdict::Yes, why }
    }
}

/// Variable names with commas, for trails.
pub(crate) fn list(vars: &BTreeSet<Var>) -> String {
    vars.iter().map(|var| var.name()).collect::<Vec<_>>().join(", ")
}

fn unknown_key(key: &str) -> PatternError {
    let near = nearest(key, Var::all().map(Var::name));
    PatternError {
        index: None,
        message: format!("`{key}` is nothing that a machine reports"),
        fix: near.map(|name| format!("did you mean `{name}`?")),
    }
}

/// Whether a machine can still report a variable: iPXE has no setting for what only DHCP tells, but what it
/// says of its build gives its firmware.
pub(crate) fn can_be_asked(var: Var, facts: &Facts) -> bool {
    facts.reporting == Reporting::CanBeAsked && (var.ipxe_setting().is_some() || var == Var::Firmware)
}

enum Key {
    Yes,
    No,
    Unknown,
}

fn test_key(var: Var, values: &[Value], facts: &Facts) -> (Key, String) {
    let Some(known) = facts.get(var) else {
        if can_be_asked(var, facts) {
            return (Key::Unknown, String::new());
        }
        // Absent for good: it equals no value, so only a key without positive ones holds.
        return if values.iter().any(|value| value.sign == Sign::Positive) {
            (Key::No, format!("{var} is not known, which counts as no"))
        } else {
            (Key::Yes, format!("{var} is not known, so it is not {}", texts(values)))
        };
    };
    if let Some(hit) = values.iter().find(|v| v.sign == Sign::Negative && v.pattern.matches(known)) {
        return (Key::No, format!("{var} \"{known}\" is excluded by \"{}\"", hit.text));
    }
    let mut positive = values.iter().filter(|value| value.sign == Sign::Positive).peekable();
    if positive.peek().is_none() {
        return (Key::Yes, format!("{var} \"{known}\" is not excluded"));
    }
    match positive.find(|value| value.pattern.matches(known)) {
        Some(hit) => (Key::Yes, format!("{var} \"{known}\" matches \"{}\"", hit.text)),
        None => (Key::No, format!("{var} \"{known}\" does not match {}", texts(values))),
    }
}

fn texts(values: &[Value]) -> String {
    /// A trail line names this many values of a long list.
    const SHOWN: usize = 4;
    let mut shown: Vec<_> = values.iter().take(SHOWN).map(|value| format!("\"{}\"", value.text)).collect();
    if values.len() > SHOWN {
        shown.push(format!("{} more", values.len() - SHOWN));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests;
