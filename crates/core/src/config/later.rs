//! What the design has and this version has not: refused with what to write instead.

use crate::finding::Finding;

fn later(what: &str, instead: &str) -> Finding {
    Finding::error("config-later", format!("{what} comes with a later version")).fix(instead)
}

/// The finding for a boot kind of a later version, if it is one.
pub(super) fn kind(name: &str) -> Option<Finding> {
    match name {
        "disk" => Some(later(
            "kind = \"disk\"",
            "boot from an external iSCSI target with kind = \"san\" until then",
        )),
        _ => None,
    }
}
