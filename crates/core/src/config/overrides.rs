//! What machines and rules share.

use super::file::Table;
use super::names::BootNames;
use super::options::{self, Reach};
use super::report::Report;
use super::scalar;
use super::types::{Overrides, ProxyRecipe, Vars};
use crate::boot::loader::Loader;
use crate::finding::Finding;

/// Reads `boot`, `loader`, `proxy`, `ignore`, `options` and `vars`.
pub(super) fn read(table: &Table<'_>, names: &BootNames, report: &mut Report<'_>) -> Overrides {
    Overrides {
        boot: table.text("boot", report).and_then(|text| names.find(&text, report)),
        loader: table.parsed("loader", loader, report).map(|loader| loader.value),
        proxy: proxy(table, report),
        ignore: table.flag("ignore", report).unwrap_or(false),
        options: options::options(table, Reach::Chosen, report),
        vars: vars(table, report),
    }
}

/// The word for the signed boot, else a served name.
fn loader(text: &str) -> Result<Loader, scalar::Wrong> {
    for own in [Loader::Secure, Loader::SignedIpxe] {
        if text == own.name() {
            return Ok(own);
        }
    }
    scalar::boot_file(text).map(Loader::File)
}

/// Reads `proxy`, which `[dhcp]` has too.
pub(super) fn proxy(table: &Table<'_>, report: &mut Report<'_>) -> Option<ProxyRecipe> {
    let text = table.text("proxy", report)?;
    match text.value {
        "offer" => Some(ProxyRecipe::Offer),
        "4011" => Some(ProxyRecipe::BootServer),
        other => {
            report.add(super::one_of("proxy", other, &["offer", "4011"]), &text.span);
            None
        }
    }
}

/// Reads a `vars` table: names that a template can write after `vars.`, and plain values.
pub(super) fn vars(table: &Table<'_>, report: &mut Report<'_>) -> Vars {
    let mut vars = Vars::new();
    let Some(entries) = table.get("vars").and_then(|value| value.table(report)) else { return vars };
    for (key, value) in entries.entries() {
        let starts = key.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !key.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let message = format!("`{}` cannot be written in a template", key.value.escape_debug());
            let fix = "use letters, digits and `_`, and no digit at the start";
            report.add(Finding::error("config-value", message).fix(fix), &key.span);
        }
        if let Some(text) = value.scalar(report) {
            vars.insert(key.value.to_owned(), text.value);
        }
    }
    vars
}
