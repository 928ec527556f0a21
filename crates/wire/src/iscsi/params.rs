//! Operational parameters: what both sides agree on (RFC 7143, section 13).

use super::digest::{Digest, Digests};
use super::keys;
use super::limits::{BURST_BYTES_MAX, FIRST_BURST_BYTES_MAX, LOGIN_SEGMENT_BYTES_MAX};

/// Whether data may come in some way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// They may.
    Yes,
    /// They may not.
    No,
}

/// What is in force after login. The default is what holds where nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Checksums.
    pub digests: Digests,
    /// Most bytes of a data segment that the initiator takes.
    pub segment_max: u32,
    /// Most bytes of one sequence of data.
    pub burst_max: u32,
    /// Most bytes that come unasked with a command.
    pub first_burst_max: u32,
    /// Whether data come in the PDU of the command.
    pub immediate: Allowed,
    /// Whether they come behind it without being asked for: InitialR2T=No.
    pub unsolicited: Allowed,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            digests: Digests::default(),
            segment_max: LOGIN_SEGMENT_BYTES_MAX,
            burst_max: FIRST_BURST_BYTES_MAX,
            first_burst_max: 65_536,
            immediate: Allowed::Yes,
            unsolicited: Allowed::No,
        }
    }
}

/// What a key gets as its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A value.
    Value(String),
    /// Nothing: the key only declares something.
    None,
}

/// Lengths of segments and bursts (sections 13.12 to 13.14).
const LENGTHS: std::ops::RangeInclusive<u32> = 512..=0x00ff_ffff;

impl Parameters {
    /// Takes what the initiator offers for one key. Keys of the login itself are not for here.
    pub(super) fn negotiate(&mut self, key: &str, offer: &str) -> Reply {
        match key {
            "HeaderDigest" => chosen(digest(offer, &mut self.digests.header)),
            "DataDigest" => chosen(digest(offer, &mut self.digests.data)),
            "MaxRecvDataSegmentLength" => match length(offer) {
                Some(value) => {
                    self.segment_max = value;
                    Reply::None
                }
                None => reject(),
            },
            "MaxBurstLength" => least(offer, BURST_BYTES_MAX, &mut self.burst_max),
            "FirstBurstLength" => least(offer, FIRST_BURST_BYTES_MAX, &mut self.first_burst_max),
            // The initiator's word: we would take both.
            "InitialR2T" => either(offer, &mut self.unsolicited, Allowed::No),
            "ImmediateData" => either(offer, &mut self.immediate, Allowed::Yes),
            "MaxConnections" => bounded(offer, 1..=65_535, |_| 1),
            "MaxOutstandingR2T" => bounded(offer, 1..=65_535, |_| 1),
            "ErrorRecoveryLevel" => bounded(offer, 0..=2, |_| 0),
            // The greater of both, and ours is zero: reconnecting at once does no harm.
            "DefaultTime2Wait" => bounded(offer, 0..=3600, |value| value),
            "DefaultTime2Retain" => bounded(offer, 0..=3600, |_| 0),
            "DataPDUInOrder" | "DataSequenceInOrder" => match offer {
                "Yes" | "No" => Reply::Value("Yes".into()),
                _ => reject(),
            },
            "TaskReporting" => chosen(listed(offer, &["RFC3720"]).map(str::to_owned)),
            "iSCSIProtocolLevel" => bounded(offer, 0..=31, |value| value.min(1)),
            // Markers are gone since RFC 7143; an answer of NotUnderstood would say that we do not know RFC 3720.
            "IFMarker" | "OFMarker" => Reply::Value("No".into()),
            "IFMarkInt" | "OFMarkInt" => reject(),
            "InitiatorAlias" => Reply::None,
            _ => Reply::Value("NotUnderstood".into()),
        }
    }

    /// What holds when all is said: the first burst is part of a burst.
    pub(super) fn settled(mut self) -> Self {
        self.first_burst_max = self.first_burst_max.min(self.burst_max);
        self
    }
}

fn reject() -> Reply {
    Reply::Value("Reject".into())
}

fn chosen(value: Option<String>) -> Reply {
    value.map_or_else(reject, Reply::Value)
}

/// The first of a list that we know.
pub(super) fn listed<'a>(offer: &'a str, known: &[&str]) -> Option<&'a str> {
    offer.split(',').find(|value| known.contains(value))
}

fn digest(offer: &str, chosen: &mut Digest) -> Option<String> {
    let value = listed(offer, &["CRC32C", "None"])?;
    *chosen = if value == "CRC32C" { Digest::Crc32c } else { Digest::None };
    Some(value.into())
}

fn length(offer: &str) -> Option<u32> {
    keys::number(offer).filter(|value| LENGTHS.contains(value))
}

fn least(offer: &str, ours: u32, agreed: &mut u32) -> Reply {
    let Some(value) = length(offer) else { return reject() };
    *agreed = value.min(ours);
    Reply::Value(agreed.to_string())
}

fn bounded(offer: &str, range: std::ops::RangeInclusive<u32>, choose: impl Fn(u32) -> u32) -> Reply {
    match keys::number(offer).filter(|value| range.contains(value)) {
        Some(value) => Reply::Value(choose(value).to_string()),
        None => reject(),
    }
}

/// A boolean whose offered value we take; `yes` is what Yes means.
fn either(offer: &str, agreed: &mut Allowed, yes: Allowed) -> Reply {
    let no = if yes == Allowed::Yes { Allowed::No } else { Allowed::Yes };
    *agreed = match offer {
        "Yes" => yes,
        "No" => no,
        _ => return reject(),
    };
    Reply::Value(offer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(key: &str, offer: &str) -> String {
        match Parameters::default().negotiate(key, offer) {
            Reply::Value(value) => value,
            Reply::None => "-".into(),
        }
    }

    #[test]
    fn each_key_has_its_rule() {
        for (key, offer, expected) in [
            ("HeaderDigest", "CRC32C,None", "CRC32C"),
            ("HeaderDigest", "None,CRC32C", "None"),
            ("DataDigest", "SHA,CRC32C", "CRC32C"),
            ("DataDigest", "SHA", "Reject"),
            ("MaxConnections", "8", "1"),
            ("InitialR2T", "No", "No"),
            ("InitialR2T", "Yes", "Yes"),
            ("InitialR2T", "yes", "Reject"),
            ("ImmediateData", "No", "No"),
            ("MaxRecvDataSegmentLength", "65536", "-"),
            ("MaxRecvDataSegmentLength", "511", "Reject"),
            ("MaxBurstLength", "16776192", "1048576"),
            ("MaxBurstLength", "0x10000", "65536"),
            ("MaxBurstLength", "16777216", "Reject"),
            ("FirstBurstLength", "1048576", "262144"),
            ("DefaultTime2Wait", "0", "0"),
            ("DefaultTime2Wait", "2", "2"),
            ("DefaultTime2Wait", "3601", "Reject"),
            ("DefaultTime2Retain", "20", "0"),
            ("MaxOutstandingR2T", "16", "1"),
            ("DataPDUInOrder", "No", "Yes"),
            ("DataSequenceInOrder", "Yes", "Yes"),
            ("ErrorRecoveryLevel", "2", "0"),
            ("ErrorRecoveryLevel", "3", "Reject"),
            ("TaskReporting", "FastAbort,RFC3720", "RFC3720"),
            ("iSCSIProtocolLevel", "2", "1"),
            ("IFMarker", "Yes", "No"),
            ("OFMarkInt", "2048~8192", "Reject"),
            ("InitiatorAlias", "me", "-"),
            ("X-com.example.key", "1", "NotUnderstood"),
        ] {
            assert_eq!(answer(key, offer), expected, "{key}={offer}");
        }
    }

    #[test]
    fn the_first_burst_is_no_longer_than_a_burst() {
        let mut parameters = Parameters::default();
        parameters.negotiate("MaxBurstLength", "512");
        assert_eq!(parameters.settled().first_burst_max, 512);
    }
}
