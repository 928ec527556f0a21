//! SendTargets (RFC 7143, appendix C): which targets there are for this initiator.

use super::connection::Portal;
use super::keys::{self, Keys};
use super::login::SessionKind;

/// The answer to a text request, for an initiator that may see `targets`.
pub(super) fn answer(asked: &Keys, session: &SessionKind, targets: &[String], portal: &Portal) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in asked.iter() {
        if key != "SendTargets" {
            keys::put(&mut text, key, "NotUnderstood");
            continue;
        }
        match (value, session) {
            ("All", SessionKind::Discovery) => list(&mut text, targets.iter(), portal),
            ("All", SessionKind::Normal { .. }) => keys::put(&mut text, key, "Reject"),
            ("", SessionKind::Normal { target }) => list(&mut text, [target].into_iter(), portal),
            (name, _) => list(&mut text, targets.iter().filter(|target| *target == name), portal),
        }
    }
    text
}

fn list<'a>(text: &mut Vec<u8>, targets: impl Iterator<Item = &'a String>, portal: &Portal) {
    for target in targets {
        keys::put(text, "TargetName", target);
        keys::put(text, "TargetAddress", &format!("{},{}", portal.address, Portal::GROUP));
    }
}
