//! While leases cannot be stored: what is said about it, and which answers leave all the same.

use bootlace_core::event::{DhcpAnswer, DhcpEvent, DhcpMessage};
use bootlace_core::finding::Finding;
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
        if let Some(finding) = self.news(error, now) {
            let code = finding.code;
            tracing::error!(
                code,
                "leases cannot be stored: nobody gets one, all else is served on. {finding}"
            );
        }
    }

    /// What is to be told of a failure.
    fn news(&mut self, error: &StoreError, now: Timestamp) -> Option<Finding> {
        let finding = error.finding();
        if self.told == Some(finding.code) || self.alarm.ring(now).is_none() {
            return None;
        }
        self.told = Some(finding.code);
        Some(finding)
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
/// whose addresses are the config's, need no lease; nor does what a proxy says, which gives no address.
pub(super) fn relies_on_leases(event: &DhcpEvent) -> bool {
    let gives_none = event.answer.given().is_some_and(|given| given.address.is_unspecified());
    let needs_none = matches!(
        (event.message, &event.answer),
        (_, DhcpAnswer::Nak(_) | DhcpAnswer::Elsewhere { .. })
            | (DhcpMessage::Inform | DhcpMessage::Bootp, _)
    );
    !gives_none && !needs_none
}

/// What an event says of an answer that was held back.
pub(super) fn withheld(answer: &DhcpAnswer, error: &StoreError) -> DhcpAnswer {
    let what = match answer {
        DhcpAnswer::Offer(_) => "nothing is offered while leases cannot be stored",
        _ => "the lease could not be stored",
    };
    DhcpAnswer::Silence(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bootlace_core::event::{ClientClass, Given};
    use bootlace_core::finding::Trail;
    use bootlace_core::model::Facts;
    use bootlace_store::Cause;

    use super::*;

    fn error(cause: Cause) -> StoreError {
        StoreError::Unavailable {
            file: "bootlace.db".into(),
            doing: "save leases in",
            cause,
            detail: "no".into(),
        }
    }

    #[test]
    fn what_gives_no_address_goes_on() {
        let event = |message, answer| DhcpEvent {
            message,
            client: ClientClass::Firmware,
            firmware: None,
            interface: "eth0".into(),
            xid: 1,
            facts: Facts::new(),
            features: None,
            answer,
            trail: Trail::default(),
        };
        let giving = |address: [u8; 4]| Given {
            address: address.into(),
            boot_file: Some("snponly.efi".into()),
            next_server: None,
            boot: None,
            chained: false,
            setting: None,
        };
        let relies = |message, answer| relies_on_leases(&event(message, answer));
        let (discover, request) = (DhcpMessage::Discover, DhcpMessage::Request);
        assert!(relies(discover, DhcpAnswer::Offer(giving([10, 0, 0, 1]))));
        assert!(relies(request, DhcpAnswer::Ack(giving([10, 0, 0, 1]))));
        assert!(!relies(discover, DhcpAnswer::Offer(giving([0; 4]))), "a proxy's");
        assert!(!relies(request, DhcpAnswer::Ack(giving([0; 4]))), "a boot server's");
        assert!(!relies(request, DhcpAnswer::Nak("no".into())));
        assert!(!relies(DhcpMessage::Bootp, DhcpAnswer::Ack(giving([10, 0, 0, 1]))));
    }

    #[test]
    fn a_cause_is_told_once_and_another_one_too() {
        let mut outage = Outage::default();
        let at = |secs| Timestamp(1_000_000).after(Duration::from_secs(secs));
        let mut code = |cause, secs| outage.news(&error(cause), at(secs)).map(|finding| finding.code);
        assert_eq!(code(Cause::DiskFull, 0), Some("state-disk-full"));
        assert_eq!(code(Cause::DiskFull, 1), None);
        assert_eq!(code(Cause::DiskFull, 10_000), None, "it is still the same outage");
        assert_eq!(code(Cause::ReadOnly, 10_001), Some("state-read-only"));
        assert_eq!(code(Cause::DiskFull, 10_002), None, "two causes that alternate fill no log");
        assert_eq!(code(Cause::DiskFull, 10_020), Some("state-disk-full"));
    }

    #[test]
    fn an_outage_that_comes_back_is_told_again_but_not_at_once() {
        let mut outage = Outage::default();
        let at = |secs| Timestamp(1_000_000).after(Duration::from_secs(secs));
        let full = error(Cause::DiskFull);
        assert!(outage.news(&full, at(0)).is_some());
        outage.over();
        assert!(outage.news(&full, at(1)).is_none());
        assert!(outage.news(&full, at(11)).is_some());
    }
}
