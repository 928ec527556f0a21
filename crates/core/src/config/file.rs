//! The TOML text as tables and values that know their place.
//!
//! serde's derive stops at the first mistake of a table; these readers report it, answer `None` and let the
//! caller go on with the default, so that every mistake of a file is shown at once. They also spare the crate
//! a proc macro.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Section, instead};
use super::report::{At, Report};
use crate::finding::Finding;

/// A value with its place.
#[derive(Clone)]
pub(super) struct Value<'a> {
    node: &'a DeValue<'a>,
    pub(super) span: Range<usize>,
}

/// A table with its place and the keys that it may have.
#[derive(Clone)]
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    pub(super) span: Range<usize>,
}

/// Parses the text; `None` when it is no TOML, which leaves nothing to go on with.
pub(super) fn parse<'a>(text: &'a str, report: &mut Report<'_>) -> Option<Spanned<DeTable<'a>>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        report.add(Finding::error("config-syntax", error.message().trim_end()), &span);
    }
    errors.is_empty().then_some(document)
}

impl<'a> Value<'a> {
    fn new(spanned: &'a Spanned<DeValue<'a>>) -> Self {
        Self { node: spanned.get_ref(), span: spanned.span() }
    }

    pub(super) fn text(&self, report: &mut Report<'_>) -> Option<At<&'a str>> {
        match self.node.as_str() {
            Some(value) => Some(At { value, span: self.span.clone() }),
            None => self.wrong("a text in quotes", report),
        }
    }

    pub(super) fn flag(&self, report: &mut Report<'_>) -> Option<bool> {
        match self.node.as_bool() {
            Some(value) => Some(value),
            None => self.wrong("true or false", report),
        }
    }

    pub(super) fn integer(&self, report: &mut Report<'_>) -> Option<At<i64>> {
        let parsed = self.node.as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
        match parsed {
            Some(value) => Some(At { value, span: self.span.clone() }),
            None => self.wrong("a whole number", report),
        }
    }

    /// A list, or one value that stands for a list of one.
    pub(super) fn items(&self) -> Vec<Self> {
        match self.node.as_array() {
            Some(array) => array.iter().map(Value::new).collect(),
            None => vec![self.clone()],
        }
    }

    /// A list of texts; one text stands for a list of one.
    pub(super) fn texts(&self, report: &mut Report<'_>) -> Vec<At<&'a str>> {
        self.items().iter().filter_map(|item| item.text(report)).collect()
    }

    /// A text, number or boolean as text: what template variables and DHCP options take.
    pub(super) fn scalar(&self, report: &mut Report<'_>) -> Option<At<String>> {
        let value = match self.node {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(_) => self.integer(report)?.value.to_string(),
            _ => return self.wrong("a text, a whole number or true or false", report),
        };
        Some(At { value, span: self.span.clone() })
    }

    pub(super) fn table(&self, report: &mut Report<'_>) -> Option<Table<'a>> {
        match self.node.as_table() {
            Some(entries) => Some(Table { entries, span: self.span.clone() }),
            None => self.wrong("a table", report),
        }
    }

    /// The tables of `[[name]]`; the single table of `[name]` is taken for a list of one.
    pub(super) fn tables(&self, report: &mut Report<'_>) -> Vec<Table<'a>> {
        self.items().iter().filter_map(|item| item.table(report)).collect()
    }

    fn wrong<T>(&self, expected: &str, report: &mut Report<'_>) -> Option<T> {
        let found = match self.node {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("expected {expected}, found {found}");
        report.add(Finding::error("config-type", message), &self.span);
        None
    }
}

impl<'a> Table<'a> {
    pub(super) fn document(document: &'a Spanned<DeTable<'a>>) -> Self {
        Self { entries: document.get_ref(), span: 0..0 }
    }

    /// Reports the keys that the section does not have.
    pub(super) fn known_only(self, section: &'static Section, report: &mut Report<'_>) -> Self {
        for (key, _) in self.entries() {
            if !section.keys.contains(&key.value) {
                let fix = instead(key.value, section.keys, section.title);
                let message = format!("unknown key `{}` in {}", key.value.escape_debug(), section.title);
                report.add(Finding::error("config-unknown-key", message).fix(fix), &key.span);
            }
        }
        self
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entries.iter().find(|(k, _)| k.get_ref() == key).map(|(_, value)| Value::new(value))
    }

    pub(super) fn text(&self, key: &str, report: &mut Report<'_>) -> Option<At<&'a str>> {
        self.get(key)?.text(report)
    }

    pub(super) fn texts(&self, key: &str, report: &mut Report<'_>) -> Vec<At<&'a str>> {
        self.get(key).map(|value| value.texts(report)).unwrap_or_default()
    }

    pub(super) fn flag(&self, key: &str, report: &mut Report<'_>) -> Option<bool> {
        self.get(key)?.flag(report)
    }

    /// The table of a key, held to the keys of a section.
    pub(super) fn section(
        &self,
        key: &str,
        section: &'static Section,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        Some(self.get(key)?.table(report)?.known_only(section, report))
    }

    /// The tables of a key, each held to the keys of a section.
    pub(super) fn sections(
        &self,
        key: &str,
        section: &'static Section,
        report: &mut Report<'_>,
    ) -> Vec<Self> {
        let tables = self.get(key).map(|value| value.tables(report)).unwrap_or_default();
        tables.into_iter().map(|table| table.known_only(section, report)).collect()
    }

    /// Every key and value, in the order of the keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = (At<&'a str>, Value<'a>)> {
        self.entries.iter().map(|(key, value)| {
            let name: &'a str = key.get_ref();
            (At { value: name, span: key.span() }, Value::new(value))
        })
    }
}
