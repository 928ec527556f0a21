//! While leases cannot be stored: what is said about it, and which answers leave all the same.

use bootlace_core::event::{DhcpAnswer, DhcpEvent, DhcpMessage};
use bootlace_core::model::Timestamp;
use bootlace_store::StoreError;

use super::alarm::Alarm;

/// Tells when leases cannot be stored any more, why, and when they can again: once each, however many packets come.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Keeps a disk that fills and empties from filling the log, too.
    alarm: Alarm,
    /// The code of the finding that was told.
    told: Option<&'static str>,
}

impl Outage {
    /// A commit has failed.
    pub(super) fn failed(&mut self, error: &StoreError, now: Timestamp) {
        let finding = error.finding();
        if self.told == Some(finding.code) || self.alarm.ring(now).is_none() {
            return;
        }
        self.told = Some(finding.code);
        let code = finding.code;
        tracing::error!(code, "leases cannot be stored: nobody gets one, all else is served on. {finding}");
    }

    /// Nothing waits to be stored.
    pub(super) fn over(&mut self) {
        if self.told.take().is_some() {
            tracing::info!("leases are stored again");
        }
    }
}

/// Whether an answer leads its client to rely on leases: an offer would keep it from a server that can store them, and
/// an ACK of what the table holds already may be of what was never stored. A refusal, an INFORM's answer and BOOTP's,
/// whose addresses are the config's, need no lease.
pub(super) fn relies_on_leases(event: &DhcpEvent) -> bool {
    !matches!(
        (event.message, &event.answer),
        (_, DhcpAnswer::Nak(_)) | (DhcpMessage::Inform | DhcpMessage::Bootp, _)
    )
}

/// What an event says of an answer that was held back.
pub(super) fn withheld(answer: &DhcpAnswer, error: &StoreError) -> DhcpAnswer {
    let what = match answer {
        DhcpAnswer::Offer(_) => "nothing is offered while leases cannot be stored",
        _ => "the lease could not be stored",
    };
    DhcpAnswer::Silence(format!("{what}: {error}"))
}
