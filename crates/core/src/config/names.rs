//! The names of all boots: what `boot`, `default` and menu entries may say.

use std::collections::BTreeSet;

use super::report::{At, Report};
use super::types::BootName;
use crate::finding::Finding;
use crate::nearest::nearest;

/// Every boot that the file names, also those with mistakes in them: one mistake gives one finding.
pub(super) struct BootNames(pub(super) BTreeSet<BootName>);

impl BootNames {
    /// The boot of this name; reports one that does not exist.
    pub(super) fn find(&self, text: &At<&str>, report: &mut Report<'_>) -> Option<BootName> {
        let found = BootName::new(text.value).filter(|name| self.0.contains(name));
        if found.is_none() {
            let fix = match nearest(text.value, self.0.iter().map(BootName::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("define [boot.{}]", text.value.escape_debug()),
            };
            let message = format!("there is no boot `{}`", text.value.escape_debug());
            report.add(Finding::error("config-reference", message).fix(fix), &text.span);
        }
        found
    }
}
