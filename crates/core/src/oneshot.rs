//! One-shots: a boot that a machine gets once, the next time that it asks, and then no more.
//!
//! A one-shot is armed, taken by one session, and done when that session has what it boots. It is taken in one durable
//! change before the script that follows from it leaves, so that no second session can get it, whenever the power fails;
//! and the session that took it goes on getting it, so that asking again changes nothing (design invariants 2 and 11).
//! One that was taken and never done has failed, or looped where it is an installation: the machine boots as usual, and
//! whoever armed it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bootlace_wire::Mac;

use crate::config::{Boot, BootKind, BootName, DiskBoot, Location, Machine, San, SanKernel};
use crate::model::{Facts, Text, Timestamp};
use crate::session::SessionId;

/// One-shots kept at most, of which one belongs to each machine.
pub const ONE_SHOTS_MAX: usize = 100_000;

/// Whose it is: the name of a machine of the config, else a MAC with colons, which no name has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(String);

impl Owner {
    /// Whose a machine's may be, the one to arm it for first: it may have been armed by a MAC before the machine had a name.
    pub fn all_of(machine: Option<&Machine>, mac: Option<Mac>) -> impl Iterator<Item = Self> {
        let name = machine.map(|machine| machine.name.clone());
        let macs = machine.into_iter().flat_map(|machine| &machine.macs).copied().chain(mac);
        name.into_iter().chain(macs.map(|mac| mac.to_string())).map(Self)
    }

    /// By the text that [`Self::as_str`] gave.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name or MAC.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session that takes a one-shot. Its number alone could be given again after a power loss, which takes the last of
/// the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taker {
    /// Its number.
    pub session: SessionId,
    /// When it began.
    pub started: Timestamp,
}

/// How far a one-shot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has it.
    Armed,
    /// A session has its script.
    Taken(Taker),
    /// That session has the installer, which is to ask for its answers.
    Payload(Taker),
    /// The installer has answers, and is to say when it is done.
    Answer(Taker),
    /// That session has all that it boots, or the installer says so.
    Done(Taker),
    /// It came to nothing, and why.
    Failed(Taker, Text),
    /// The machine came back before its installer said that it was done.
    Looped(Taker),
}

impl Stage {
    /// Who took it.
    pub fn taker(&self) -> Option<Taker> {
        match self {
            Self::Armed => None,
            Self::Taken(taker)
            | Self::Payload(taker)
            | Self::Answer(taker)
            | Self::Done(taker)
            | Self::Failed(taker, _)
            | Self::Looped(taker) => Some(*taker),
        }
    }

    /// Whether somebody has it and has yet to come to an end with it.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Taken(_) | Self::Payload(_) | Self::Answer(_))
    }
}

/// A boot for once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneShot {
    /// The boot.
    pub boot: BootName,
    /// The serial number that the machine has to report.
    pub confirm: Option<Text>,
    /// When it was armed.
    pub armed: Timestamp,
    /// From when on nobody takes it any more.
    pub expires: Option<Timestamp>,
    /// How far it is.
    pub stage: Stage,
}

impl OneShot {
    /// Whether it waited too long.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.stage == Stage::Armed && self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether an installation by it has come so far that nobody gets it any more: whoever asks for a script then has started
    /// again. Its answers go by its token.
    pub fn is_past_its_script(&self) -> bool {
        matches!(self.stage, Stage::Answer(_) | Stage::Done(_) | Stage::Looped(_))
    }

    /// Whether it is for whoever asks now.
    pub fn is_open_to(&self, asker: Option<Taker>, now: Timestamp) -> bool {
        match self.stage.taker() {
            None => !self.is_expired(now),
            Some(taker) => asker == Some(taker),
        }
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneShots(pub BTreeMap<Owner, OneShot>);

impl OneShots {
    /// That of a machine of the config, or of whoever has this MAC.
    pub fn of(&self, machine: Option<&Machine>, mac: Option<Mac>) -> Option<(&Owner, &OneShot)> {
        if self.0.is_empty() {
            return None;
        }
        Owner::all_of(machine, mac).find_map(|owner| self.0.get_key_value(&owner))
    }
}

/// Those that whoever asks now may get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered<'a> {
    /// All; none for who is not known to be who it says.
    pub all: Option<&'a OneShots>,
    /// The session that asks, if it is open already.
    pub asker: Option<Taker>,
    /// The time.
    pub now: Timestamp,
}

impl<'a> Offered<'a> {
    /// That of a machine, whether it may have it or not. Not that of one whose cards are others: anybody can say a serial.
    pub fn of(&self, machine: Option<&Machine>, facts: &Facts) -> Option<(&'a Owner, &'a OneShot)> {
        let all = self.all.filter(|all| !all.0.is_empty())?;
        let is_own = |machine: &Machine| {
            machine.macs.is_empty() || facts.mac().is_some_and(|mac| machine.macs.contains(&mac))
        };
        if !machine.is_none_or(is_own) {
            return None;
        }
        all.of(machine, facts.mac())
    }
}

/// The files that a machine has to have got for a boot to count as made: those that this server sends. With none, the
/// script is all that can be seen of it, or the login to a disk of this server's; an installation says itself when it is done.
pub fn payload(boot: &Boot) -> BTreeSet<&str> {
    fn of(location: &Location) -> Option<&str> {
        match location {
            Location::File(name) => Some(name),
            Location::Url(_) => None,
        }
    }
    match &boot.kind {
        BootKind::Linux { kernel, initrd, .. }
        | BootKind::Install(crate::config::Install { kernel, initrd, .. }) => {
            std::iter::once(kernel).chain(initrd).filter_map(of).collect()
        }
        BootKind::Efi { file } => of(file).into_iter().collect(),
        BootKind::San(San { kernel, .. }) | BootKind::Disk(DiskBoot { kernel, .. }) => {
            kernel.iter().flat_map(SanKernel::files).filter_map(of).collect()
        }
        BootKind::Local(_)
        | BootKind::Menu(_)
        | BootKind::Pxelinux(_)
        | BootKind::Chain { .. }
        | BootKind::Ipxe { .. }
        | BootKind::Wait => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_everybody_until_one_session_has_it() {
        let (now, later) = (Timestamp::from_secs(100), Timestamp::from_secs(200));
        let taker = |session| Taker { session: SessionId(session), started: now };
        let (first, second) = (Some(taker(1)), Some(taker(2)));
        let mut shot = OneShot {
            boot: BootName::new("rescue").unwrap(),
            confirm: None,
            armed: now,
            expires: Some(later),
            stage: Stage::Armed,
        };
        assert!(shot.is_open_to(None, now) && shot.is_open_to(first, now));
        assert!(!shot.is_open_to(first, later) && shot.is_expired(later), "it waited too long");
        for stage in [Stage::Taken(taker(1)), Stage::Done(taker(1)), Stage::Failed(taker(1), "x".into())] {
            shot.stage = stage;
            assert!(shot.is_open_to(first, later), "who has it keeps it, whatever the time");
            assert!(!shot.is_open_to(second, now) && !shot.is_open_to(None, now));
            assert!(!shot.is_expired(later));
        }
        let again = Some(Taker { started: later, ..taker(1) });
        assert!(!shot.is_open_to(again, now), "the same number, given again");
    }
}
