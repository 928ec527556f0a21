//! Texts of the full feature phase: SendTargets (RFC 7143, appendix C), which tells what targets there are for this
//! initiator, and what it declares anew.

use super::connection::Portal;
use super::keys::{self, Keys};
use super::login::SessionKind;
use super::params::{Parameters, Reply};

/// The answer to a text request, for an initiator that may see `targets`.
pub(super) fn answer(
    asked: &Keys,
    session: &SessionKind,
    targets: &[String],
    portal: &Portal,
    parameters: &mut Parameters,
) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in asked.iter() {
        let reply = match (key, value, session) {
            ("SendTargets", "All", SessionKind::Normal { .. }) => Reply::Value("Reject".into()),
            ("SendTargets", _, _) => {
                list(&mut text, asked_for(value, session, targets), portal);
                Reply::None
            }
            // All that may still be declared (section 13).
            ("MaxRecvDataSegmentLength" | "InitiatorAlias", _, _) => parameters.negotiate(key, value),
            _ => Reply::Value("NotUnderstood".into()),
        };
        if let Reply::Value(reply) = reply {
            keys::put(&mut text, key, &reply);
        }
    }
    text
}

fn asked_for<'a>(value: &str, session: &'a SessionKind, targets: &'a [String]) -> Vec<&'a String> {
    match (value, session) {
        ("All", SessionKind::Discovery) => targets.iter().collect(),
        ("", SessionKind::Normal { target }) => vec![target],
        (name, _) => targets.iter().filter(|target| *target == name).collect(),
    }
}

fn list(text: &mut Vec<u8>, targets: Vec<&String>, portal: &Portal) {
    for target in targets {
        keys::put(text, "TargetName", target);
        keys::put(text, "TargetAddress", &format!("{},{}", portal.address, Portal::GROUP));
    }
}
