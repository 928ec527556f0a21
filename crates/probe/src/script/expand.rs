//! `${name:type}` in the words of a script.

use super::settings::{Settings, percent};
use crate::clients::View;
use crate::finding::{Finding, FindingCode};
use crate::limits::VALUE_BYTES_MAX;
use crate::text::shown;

/// Rounds of expansion; what values bring in is expanded again (core/settings.c).
const EXPANSIONS_MAX: u32 = 1_000;

/// Expands until nothing is left to expand, from the innermost.
pub(super) fn expand(text: &str, settings: &Settings, view: &View<'_>) -> Result<String, Finding> {
    let mut text = text.to_owned();
    for _ in 0..EXPANSIONS_MAX {
        // The last opening before the first closing behind it: iPXE's own order.
        let Some(open) = text.find("${") else { return Ok(text) };
        let Some(close) = text[open..].find('}').map(|at| open + at) else { return Ok(text) };
        let open = text[..close].rfind("${").unwrap_or(open);
        let value = settings.formatted(&text[open + 2..close], view);
        text.replace_range(open..=close, &value);
        if text.len() > VALUE_BYTES_MAX {
            break;
        }
    }
    Err(Finding::new(
        FindingCode::ScriptArguments,
        "a value grows without end as it is expanded",
        shown(text.as_bytes()),
    ))
}

/// Parameters as a form.
pub(super) fn form(params: &[(String, String)]) -> String {
    let pairs: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name.as_bytes()), percent(value.as_bytes())))
        .collect();
    pairs.join("&")
}
