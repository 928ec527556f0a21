//! Files with a secret alone in them.

use super::file::Table;
use super::report::{At, Report};
use super::services;
use super::types::Secret;
use crate::finding::Finding;

/// The secret of the file that a key names; the place is the key's.
pub(super) fn read(table: &Table<'_>, key: &str, report: &mut Report<'_>) -> Option<At<Secret>> {
    let text = table.get(key)?.text(report)?;
    let path = services::path(table, key, report)?;
    let contents = match report.file(&path) {
        Some(Ok(contents)) => contents,
        missing => {
            let why = missing.and_then(|result| result.as_ref().err());
            let message = match why {
                Some(why) => format!("{} cannot be read: {why}", path.display()),
                None => format!("there is no file {}", path.display()),
            };
            let fix = "write the secret alone into that file, readable by the server only";
            report.add(Finding::error("config-file", message).fix(fix), &text.span);
            return None;
        }
    };
    let secret = contents.strip_suffix('\n').unwrap_or(contents);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() || secret.contains(char::is_control) {
        let message = format!("{} holds no secret", path.display());
        let fix = "write one line without control characters";
        report.add(Finding::error("config-file", message).fix(fix), &text.span);
        return None;
    }
    Some(At { value: Secret::new(secret.to_owned()), span: text.span })
}
