//! The table, and the way through it.

use std::fmt;
use std::time::Duration;

use super::{Ending, FAILURES, Fact, Setting};
use crate::finding::Trail;
use crate::model::{Firmware, Timestamp};

/// What a line of the trail is about.
const WHAT: &str = "learned";

/// The rows behind [`Setting::Usual`], in the order in which they are tried after boots that ended so.
///
/// A refusal is Secure Boot's most often, so what is signed comes first; where it does not apply, another loader may do. A
/// loader that is silent hangs in a driver most often, and iPXE has other ones of its own; what is signed comes last,
/// as nothing unsigned is tried after it. Blocks that stall are too large for some link on the way; an offer that is not
/// taken was made in the wrong of two ways.
pub fn rows(firmware: Firmware, ending: Ending) -> &'static [Setting] {
    use Setting::{Native, OtherRecipe, Secure, SmallBlocks};
    match (firmware, ending) {
        (Firmware::Other(_), _) => &[],
        (Firmware::Bios, Ending::Silent | Ending::Returned) => &[Native, SmallBlocks, OtherRecipe],
        (_, Ending::Silent) => &[Native, SmallBlocks, OtherRecipe, Secure],
        (_, Ending::Returned) => &[Secure, Native, SmallBlocks, OtherRecipe],
        (_, Ending::Stalled) => &[SmallBlocks, Native],
        (_, Ending::Unfetched) => &[OtherRecipe],
    }
}

/// Who is to be given a setting.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The firmware family, as it says when it loads by TFTP.
    pub firmware: Firmware,
    /// What is known of the machine, with the boot before this one settled.
    pub facts: &'a [Fact],
    /// The time of the packet.
    pub now: Timestamp,
    /// After how long facts count no more.
    pub expire: Duration,
}

/// The setting of the boot that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Which.
    pub setting: Setting,
    /// Why; nothing where nothing was learned.
    pub trail: Trail,
}

/// Picks the setting: the pinned one, else the one that worked last, else what is signed where that was ever tried, else
/// the first row that has not failed. `applies` says why a row does not.
pub fn next(case: &Case<'_>, applies: impl Fn(Setting) -> Result<(), String>) -> Next {
    let own = |fact: &&Fact| fact.firmware == case.firmware && !fact.is_expired(case.now, case.expire);
    let facts: Vec<&Fact> = case.facts.iter().filter(own).collect();
    let mut trail = Trail::default();
    if let Some(pinned) = facts.iter().find(|fact| fact.pinned.is_some()) {
        match applies(pinned.setting) {
            Ok(()) => return because(pinned.setting, "pinned", trail),
            // What is signed is not given up because its files are not there.
            Err(why) if pinned.setting == Setting::Secure => {
                return because(Setting::Secure, &format!("pinned, but {why}"), trail);
            }
            Err(why) => trail.add(WHAT, format!("not {}, which is pinned: {why}", pinned.setting)),
        }
    }
    let worked = |fact: &&&Fact| fact.worked.is_some() && applies(fact.setting).is_ok();
    match facts.iter().filter(worked).max_by_key(|fact| fact.worked) {
        // What is usual and works needs no word.
        Some(fact) if fact.setting == Setting::Usual && !tried_signed(&facts) => {
            return Next { setting: Setting::Usual, trail };
        }
        Some(fact) if fact.setting == Setting::Secure || !tried_signed(&facts) => {
            return because(fact.setting, "the machine came back on it before", trail);
        }
        _ => {}
    }
    let mut failed: Vec<&Fact> = facts.iter().copied().filter(|fact| fact.has_failed()).collect();
    failed.sort_by_key(|fact| fact.failed.map(|failed| failed.at));
    failed.iter().for_each(|fact| trail.add(WHAT, Told(fact).to_string()));
    if tried_signed(&facts) {
        return because(Setting::Secure, "nothing unsigned is tried after what is signed", trail);
    }
    let has_failed = |setting| failed.iter().any(|fact| fact.setting == setting);
    if !has_failed(Setting::Usual) {
        return Next { setting: Setting::Usual, trail };
    }
    let ending = failed.last().and_then(|fact| fact.failed).map_or(Ending::Silent, |failed| failed.ending);
    for &setting in rows(case.firmware, ending) {
        if has_failed(setting) {
            continue;
        }
        match applies(setting) {
            Ok(()) => return because(setting, "the next of the table", trail),
            Err(why) => trail.add(WHAT, format!("not {setting}: {why}")),
        }
    }
    because(Setting::Usual, "no other row of the table is left", trail)
}

fn tried_signed(facts: &[&Fact]) -> bool {
    let is_try = |fact: &Fact| fact.failures > 0 || fact.open.is_some() || fact.worked.is_some();
    facts.iter().any(|fact| fact.setting == Setting::Secure && is_try(fact))
}

fn because(setting: Setting, why: &str, mut trail: Trail) -> Next {
    trail.add(WHAT, format!("{setting}: {why}"));
    Next { setting, trail }
}

/// A failure in words.
struct Told<'a>(&'a Fact);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(fact) = self;
        let times = match fact.failures {
            FAILURES => "twice".to_owned(),
            times => format!("{times} times"),
        };
        let what = match fact.failed.map(|failed| failed.ending) {
            Some(Ending::Returned) => "was sent, and the firmware went on without it",
            Some(Ending::Stalled) => "was not taken to its end",
            Some(Ending::Unfetched) => "was offered and not fetched",
            Some(Ending::Silent) | None => "was sent, and the machine never came back",
        };
        write!(f, "not {}: its loader {what}, {times}", fact.setting)
    }
}
