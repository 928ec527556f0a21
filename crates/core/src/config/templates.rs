//! Templates of the config: inline texts and script files.

use std::ops::Range;

use super::boots::required;
use super::file::Table;
use super::report::{At, Report};
use super::scalar;
use super::types::BootName;
use crate::boot::template::{Language, Template};
use crate::finding::Finding;

/// Compiles a text of the config file, the value of `key`.
pub(super) fn inline(
    key: &str,
    text: &At<&str>,
    language: Language,
    report: &mut Report<'_>,
) -> Option<Template> {
    match Template::parse(key, text.value, language) {
        Ok(template) => Some(template),
        Err(error) => {
            let span = inner_span(report.source_text(&text.span), text, error.span);
            report.add(finding(error.message, error.fix), &span);
            None
        }
    }
}

/// The script of an `ipxe` boot: inline when it has a newline, else a file of the templates folder.
pub(super) fn script(name: &At<BootName>, table: &Table<'_>, report: &mut Report<'_>) -> Option<Template> {
    let text = required(name, table, "script", report)?;
    if text.value.contains('\n') {
        return inline("script", &text, Language::Ipxe, report);
    }
    file("script", &text, |_| Language::Ipxe, report).map(|(_, template)| template)
}

/// A file of the templates folder, and its name; `language` tells what one of this name is written in.
pub(super) fn file(
    key: &str,
    text: &At<&str>,
    language: impl Fn(&str) -> Language,
    report: &mut Report<'_>,
) -> Option<(String, Template)> {
    let file = scalar::parsed(text, scalar::served_name, report)?;
    let path = report.templates().join(&file.value);
    let shown = path.display().to_string();
    match report.file(&path) {
        Some(Ok(source)) => match Template::parse(&file.value, source, language(&file.value)) {
            Ok(template) => Some((file.value, template)),
            Err(error) => {
                report.add_elsewhere(finding(error.message, error.fix), &shown, error.span);
                None
            }
        },
        missing => {
            let why = missing.and_then(|result| result.as_ref().err());
            let message = match why {
                Some(why) => format!("the {key} {shown} cannot be read: {why}"),
                None => format!("there is no {key} {shown}"),
            };
            let fix = match key {
                "script" => "write the file, or the script itself between three quotes",
                _ => "write the file",
            };
            report.add(Finding::error("config-file", message).fix(fix), &file.span);
            None
        }
    }
}

fn finding(message: String, fix: Option<String>) -> Finding {
    Finding { fix, ..Finding::error("config-template", message) }
}

/// The place of a part of a TOML text: exact when the text stands in the file as it is, without escapes.
fn inner_span(raw: &str, text: &At<&str>, part: Range<usize>) -> Range<usize> {
    match raw.find(text.value) {
        Some(offset) if !text.value.is_empty() && part.end <= text.value.len() => {
            let base = text.span.start + offset;
            base + part.start..base + part.end
        }
        _ => text.span.clone(),
    }
}
