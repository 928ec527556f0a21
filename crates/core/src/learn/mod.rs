//! What a machine's own boots teach about how to boot it: which loader comes up on it, in blocks of which size it
//! is fetched, and how a proxy has to name it.
//!
//! A [`Setting`] is one row of a fixed table (docs/learning.md). Firmware is given the first row until two boots in a row
//! have ended alike on it without any sign of life; then comes the next row that applies. A row on which the machine
//! once came back stays. What the config says is never touched: a machine whose loader it names learns nothing.
//!
//! A boot's outcome is known at the latest when the next one begins, so nothing here waits or looks at a clock:
//! [`Learned`] folds events, [`next`] picks a row from facts.

mod book;
mod outcome;
mod table;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::{Firmware, Timestamp};

pub use book::{LEARNED_MACHINES_MAX, Learned, MachineFacts};
pub use table::{Case, Next, next, rows};

/// Boots of one setting that have to end alike before another one is tried. One is no reason: somebody may have
/// pulled the plug.
pub const FAILURES: u32 = 2;
/// Two boots that ended further apart than this say nothing together.
pub const ALIKE_WITHIN: Duration = Duration::from_secs(30 * 60);
/// Facts of one machine at most; beyond it the one that was not used for the longest time goes. A machine has one for
/// each setting and firmware that it was tried with.
pub const FACTS_PER_MACHINE_MAX: usize = 16;
/// Facts of a machine that was not seen for so long are forgotten, unless `[learn] expire` says otherwise.
pub const EXPIRE_DEFAULT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Bytes of a TFTP block under [`Setting::SmallBlocks`]: what every TFTP client takes without negotiation (RFC 1350).
pub const SMALL_BLOCK: u16 = 512;
/// That a machine is still there is written down once in this time, not at each of its boots.
const SEEN_STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// A way to boot firmware: one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// The loader that drives the card by the firmware (snponly, undionly), or the best that is there.
    Usual,
    /// The distribution's signed shim and GRUB. From here no way leads back by itself.
    Secure,
    /// iPXE with drivers of its own.
    Native,
    /// As usual, in TFTP blocks of [`SMALL_BLOCK`] bytes.
    SmallBlocks,
    /// As usual, with the other of a proxy's two ways to name the boot file.
    OtherRecipe,
}

impl Setting {
    /// Every setting, in the order of the docs.
    pub const ALL: [Self; 5] =
        [Self::Usual, Self::Secure, Self::Native, Self::SmallBlocks, Self::OtherRecipe];

    /// Its name in the store, the API and the docs, which never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Secure => "secure",
            Self::Native => "native",
            Self::SmallBlocks => "small-blocks",
            Self::OtherRecipe => "other-recipe",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Setting {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|setting| setting.name() == name).ok_or(())
    }
}

/// How a boot ended of which nothing more was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The loader was wholly sent; then silence: it hangs, or the power went.
    Silent,
    /// The loader was wholly sent, and the firmware went on without it: it was refused (Secure Boot), or gave up.
    Returned,
    /// The machine stopped to take the loader half way.
    Stalled,
    /// The machine took an address from the other server, and no loader from this one.
    Unfetched,
}

impl Ending {
    /// Every ending, in the order of the docs.
    pub const ALL: [Self; 4] = [Self::Silent, Self::Returned, Self::Stalled, Self::Unfetched];

    /// Its name in the store, the API and the docs, which never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Returned => "returned",
            Self::Stalled => "stalled",
            Self::Unfetched => "unfetched",
        }
    }

    /// Whether both say the same. A machine that is switched off soon enough after a refusal is silent.
    fn is_like(self, other: Self) -> bool {
        let loader_sent = |ending| matches!(ending, Self::Silent | Self::Returned);
        self == other || (loader_sent(self) && loader_sent(other))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Ending {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|ending| ending.name() == name).ok_or(())
    }
}

/// What is known of one setting on one firmware of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The firmware family, as it says when it loads by TFTP: one machine may have two.
    pub firmware: Firmware,
    /// What was tried.
    pub setting: Setting,
    /// Boots in a row that ended alike; 0 once it worked.
    pub failures: u32,
    /// How and when the last of them ended.
    pub failed: Option<Failure>,
    /// How the boot that goes on will have ended if nothing more is heard of it.
    pub open: Option<Failure>,
    /// When the machine first came back on it.
    pub worked: Option<Timestamp>,
    /// When somebody said that this is the one.
    pub pinned: Option<Timestamp>,
    /// When the machine was last given it, to the day.
    pub seen: Timestamp,
}

/// An ending and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub ending: Ending,
    /// When the last sign of life was.
    pub at: Timestamp,
}

impl Fact {
    /// Nothing is known yet.
    pub fn new(firmware: Firmware, setting: Setting, now: Timestamp) -> Self {
        Self {
            firmware,
            setting,
            failures: 0,
            failed: None,
            open: None,
            worked: None,
            pinned: None,
            seen: now,
        }
    }

    /// Another boot begins: the last one came to nothing.
    pub fn settle(&mut self) {
        let Some(open) = self.open.take() else { return };
        let is_alike =
            |failed: Failure| open.ending.is_like(failed.ending) && open.at.since(failed.at) <= ALIKE_WITHIN;
        let before = self.failed.filter(|failed| is_alike(*failed));
        self.failures = match before {
            Some(_) => self.failures.saturating_add(1),
            None => 1,
        };
        // One refusal explains the silence of the other boot.
        let refused = before.is_some_and(|failed| failed.ending == Ending::Returned);
        let ending = if refused { Ending::Returned } else { open.ending };
        self.failed = Some(Failure { ending, at: open.at });
    }

    /// Enough boots ended alike, and none ever came back.
    pub fn has_failed(&self) -> bool {
        self.failures >= FAILURES && self.worked.is_none()
    }

    /// The machine was not given it for so long that it counts no more.
    pub fn is_expired(&self, now: Timestamp, expire: Duration) -> bool {
        self.pinned.is_none() && now.since(self.seen) > expire
    }
}
