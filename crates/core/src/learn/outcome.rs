//! What an event says about the boot that goes on.

use super::{Ending, Fact, Failure, SEEN_STEP, Setting};
use crate::event::{
    ClientClass, DhcpAnswer, DhcpEvent, DhcpMessage, EventKind, FileEvent, FileOutcome, Protocol,
};
use crate::model::{Firmware, Timestamp};

/// A boot that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    firmware: Firmware,
    pub(super) setting: Setting,
    /// The file that was named; a proxy may name it later.
    loader: Option<String>,
}

/// A machine's facts and its boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) facts: Vec<Fact>,
    pub(super) trial: Option<Trial>,
}

/// Whether facts have to be stored again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Facts,
}

impl Known {
    /// Takes in what happened.
    pub(super) fn apply(&mut self, kind: &EventKind, at: Timestamp) -> Change {
        match kind {
            EventKind::Dhcp(dhcp) => match dhcp.client {
                ClientClass::Firmware => self.firmware(dhcp, at),
                ClientClass::HttpBoot => self.firmware_went_on(),
                ClientClass::Ipxe => self.came_back(at, |_| true),
                _ => Change::None,
            },
            EventKind::Script(_) => self.came_back(at, |_| true),
            EventKind::File(file) => self.file(file, at),
            EventKind::Disk(_) | EventKind::Contradiction { .. } | EventKind::Conflict { .. } => Change::None,
        }
    }

    fn firmware(&mut self, dhcp: &DhcpEvent, at: Timestamp) -> Change {
        let mut change = Change::None;
        if dhcp.message == DhcpMessage::Discover {
            for fact in self.facts.iter_mut().filter(|fact| fact.open.is_some()) {
                fact.settle();
                change = Change::Facts;
            }
            self.trial = None;
        }
        if let DhcpAnswer::Elsewhere { .. } = dhcp.answer {
            // It took an address of another server. What it fetches now says more.
            return if dhcp.message == DhcpMessage::Request {
                self.open(Ending::Unfetched, at)
            } else {
                change
            };
        }
        let Some(given) = dhcp.answer.given() else { return change };
        let Some(setting) = given.setting else { return change };
        let firmware = dhcp.firmware.unwrap_or(Firmware::Bios).over_tftp();
        if let Some(fact) = self.facts.iter_mut().find(|fact| fact.is_of(firmware, setting))
            && at.since(fact.seen) > SEEN_STEP
        {
            fact.seen = at;
            change = Change::Facts;
        }
        let before = self.trial.take().and_then(|trial| trial.loader);
        self.trial = Some(Trial { firmware, setting, loader: given.boot_file.clone().or(before) });
        change
    }

    /// The same firmware tries its other way to boot: its loader came to nothing.
    fn firmware_went_on(&mut self) -> Change {
        let opens = self.facts.iter_mut().filter_map(|fact| fact.open.as_mut());
        let mut change = Change::None;
        for open in opens.filter(|open| open.ending == Ending::Silent) {
            open.ending = Ending::Returned;
            change = Change::Facts;
        }
        change
    }

    fn file(&mut self, file: &FileEvent, at: Timestamp) -> Change {
        let Some(trial) = &self.trial else { return Change::None };
        if trial.loader.as_deref() != Some(file.name.as_str()) {
            // Firmware knows no other name: whatever asks for one came out of the loader.
            return self.came_back(at, |open| open.ending == Ending::Silent);
        }
        match (file.protocol, &file.outcome) {
            (Protocol::Tftp, FileOutcome::Sent { .. }) => self.open(Ending::Silent, at),
            (Protocol::Tftp, FileOutcome::Aborted { .. }) => self.open(Ending::Stalled, at),
            _ => Change::None,
        }
    }

    /// If nothing more is heard, the boot will have ended so. Of a setting that ever worked nothing is to be learned.
    fn open(&mut self, ending: Ending, at: Timestamp) -> Change {
        let Some(Trial { firmware, setting, .. }) = self.trial else { return Change::None };
        let fact = self.fact(firmware, setting, at);
        let further = |before: Ending| before != Ending::Silent && before != Ending::Returned;
        if fact.worked.is_some() || !fact.open.is_none_or(|open| further(open.ending)) {
            return Change::None;
        }
        fact.open = Some(Failure { ending, at });
        fact.seen = at;
        Change::Facts
    }

    /// A sign of life of what was loaded.
    fn came_back(&mut self, at: Timestamp, counts: impl Fn(&Failure) -> bool) -> Change {
        let Some(fact) = self.facts.iter_mut().find(|fact| fact.open.as_ref().is_some_and(&counts)) else {
            return Change::None;
        };
        *fact = Fact { failures: 0, failed: None, open: None, worked: Some(at), seen: at, ..fact.clone() };
        Change::Facts
    }

    /// The fact about a setting, new if need be.
    pub(super) fn fact(&mut self, firmware: Firmware, setting: Setting, now: Timestamp) -> &mut Fact {
        let place = match self.facts.iter().position(|fact| fact.is_of(firmware, setting)) {
            Some(place) => place,
            None => {
                if self.facts.len() >= super::FACTS_PER_MACHINE_MAX {
                    let oldest = |(_, fact): &(usize, &Fact)| (fact.pinned.is_some(), fact.seen);
                    let place = self.facts.iter().enumerate().min_by_key(oldest).map_or(0, |(at, _)| at);
                    self.facts.remove(place);
                }
                self.facts.push(Fact::new(firmware, setting, now));
                self.facts.len() - 1
            }
        };
        &mut self.facts[place]
    }
}

impl Fact {
    pub(super) fn is_of(&self, firmware: Firmware, setting: Setting) -> bool {
        self.firmware == firmware && self.setting == setting
    }
}
