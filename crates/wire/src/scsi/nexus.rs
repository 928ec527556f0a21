//! Who talks to a logical unit: initiator ports, and the nexus of each session.

use std::collections::VecDeque;

use super::limits::{ATTENTIONS_MAX, INITIATOR_NAME_BYTES_MAX};
use super::sense::Reason;

/// An initiator port (RFC 7143, section 4.4.2): reservations belong to it and outlive its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitiatorPort {
    /// The initiator's name, at most [`INITIATOR_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The initiator's part of the session identifier.
    pub isid: [u8; 6],
}

impl InitiatorPort {
    /// Its TransportID (SPC-4 section 7.6.4.6), format 01b: the name, `,i,0x` and the ISID.
    pub(super) fn transport_id(&self) -> Vec<u8> {
        const PROTOCOL: u8 = 0x45;
        const LENGTH_MIN: usize = 20;
        let isid: String = self.isid.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut name = self.name.clone();
        name.truncate(name.floor_char_boundary(INITIATOR_NAME_BYTES_MAX));
        let mut text = format!("{name},i,0x{isid}").into_bytes();
        // It ends with at least one NUL.
        let length = (text.len() + 1).next_multiple_of(4).max(LENGTH_MIN);
        text.resize(length, 0);
        let [high, low] = (length as u16).to_be_bytes();
        let mut bytes = vec![PROTOCOL, 0, high, low];
        bytes.extend(text);
        bytes
    }
}

/// A nexus of one [`super::Lun`]: its handle for as long as it is attached. Numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NexusId(pub(super) u64);

/// What a logical unit remembers of a nexus.
#[derive(Debug)]
pub(super) struct Nexus {
    pub(super) id: NexusId,
    pub(super) port: InitiatorPort,
    attentions: VecDeque<Reason>,
}

impl Nexus {
    pub(super) fn new(id: NexusId, port: InitiatorPort) -> Self {
        Self { id, port, attentions: VecDeque::from([Reason::PowerOn]) }
    }

    /// Lets the nexus know at its next command. What waits already does so once; beyond the limit the oldest is
    /// forgotten, since what comes later tells more.
    pub(super) fn attention(&mut self, reason: Reason) {
        if self.attentions.contains(&reason) {
            return;
        }
        if self.attentions.len() == ATTENTIONS_MAX {
            self.attentions.pop_front();
        }
        self.attentions.push_back(reason);
    }

    /// A reset makes everything else that waits pointless (SAM-5 section 5.14).
    pub(super) fn reset(&mut self, reason: Reason) {
        self.attentions.clear();
        self.attentions.push_back(reason);
    }

    /// The next unit attention, which is thereby reported.
    pub(super) fn take_attention(&mut self) -> Option<Reason> {
        self.attentions.pop_front()
    }
}
