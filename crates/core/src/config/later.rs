//! What the design has and this version has not: refused with what to write instead.

use super::keys::{Section, TOP};
use crate::finding::Finding;

fn later(what: &str, instead: &str) -> Finding {
    Finding::error("config-later", format!("{what} comes with a later version")).fix(instead)
}

/// The finding for a key of a later version, if it is one.
pub(super) fn key(section: &Section, key: &str) -> Option<Finding> {
    let top = section.title == TOP.title;
    (top && key == "iscsi")
        .then(|| later("[iscsi]", "boot from an external target with a boot of kind `san`"))
}

/// The finding for a boot kind of a later version, if it is one.
pub(super) fn kind(name: &str) -> Option<Finding> {
    match name {
        "disk" => Some(later(
            "kind = \"disk\"",
            "boot from an external iSCSI target with kind = \"san\" until then",
        )),
        "install" => {
            Some(later("kind = \"install\"", "start the installer with kind = \"linux\" until then"))
        }
        _ => None,
    }
}
