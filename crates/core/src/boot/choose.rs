//! Which boot a machine gets: its own entry, else the first rule that matches, else the default.
//!
//! The walk goes machine, rule 1, rule 2, ... and ends at the first that matches and has a `boot`. One that
//! matches without a `boot` adds its settings (loader, options, vars, ignore) and the walk goes on; what came
//! earlier wins. One-shots will stand before the machine.
//!
//! Whatever cannot be decided yet is kept *open*: the walk goes on as if it did not match, and if in the end an
//! open entry could still change the outcome, the machine is asked, for exactly the variables that it takes
//! to close what is open and to render whatever boot may come out.

use std::collections::BTreeSet;

use bootlace_wire::dhcp::Code;

use super::plan;
use super::rules::{Verdict, can_be_asked, list};
use crate::config::{Boot, BootKind, BootName, Config, Machine, Overrides};
use crate::event::DecidedBy;
use crate::finding::Trail;
use crate::model::{Facts, Var};
use crate::oneshot::{Offered, OneShot, Owner, Stage};

mod machine;

use machine::Recognised;
pub use machine::conflict;

/// What came of the walk.
#[derive(Clone, Debug)]
pub struct Choice<'c> {
    /// The machine's entry, when it is known which.
    pub machine: Option<&'c Machine>,
    /// Settings of everything that matched, the earlier winning. `boot` in it is the walk's own result.
    pub settings: Overrides,
    /// The boot, or what to ask.
    pub outcome: Outcome,
    /// What was considered.
    pub trail: Trail,
}

/// A boot, or the way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This boot.
    Decided {
        /// Its name.
        boot: BootName,
        /// What picked it.
        by: DecidedBy,
    },
    /// It depends on what the machine has not reported yet.
    Ask {
        /// What decides, and what the boots that may come out of it need.
        vars: BTreeSet<Var>,
    },
}

impl Choice<'_> {
    /// The boot, when it is decided.
    pub fn boot(&self) -> Option<&BootName> {
        match &self.outcome {
            Outcome::Decided { boot, .. } => Some(boot),
            Outcome::Ask { .. } => None,
        }
    }

    /// Whether it is a one-shot.
    pub fn is_one_shot(&self) -> bool {
        matches!(&self.outcome, Outcome::Decided { by: DecidedBy::OneShot(_), .. })
    }

    /// Whether somebody wants it this time: by a one-shot, or at the machine's screen.
    pub fn is_for_once(&self) -> bool {
        matches!(&self.outcome, Outcome::Decided { by: DecidedBy::OneShot(_) | DecidedBy::Menu(_), .. })
    }

    fn boot_and_by(&self) -> Option<(&BootName, &DecidedBy)> {
        match &self.outcome {
            Outcome::Decided { boot, by } => Some((boot, by)),
            Outcome::Ask { .. } => None,
        }
    }
}

/// Decides for a machine of which `facts` are known: a one-shot that it may have, else its entry, else a rule, else the
/// default. `pick` is what somebody chose on its screen: it counts when the boot that the machine would get is a menu
/// with that entry, directly or in a menu below.
pub fn choose<'c>(config: &'c Config, next: Offered<'_>, facts: &Facts, pick: Option<&str>) -> Choice<'c> {
    let mut walk =
        Walk { config, facts, settings: Overrides::default(), open: Vec::new(), trail: Trail::default() };
    let machine = walk.machine();
    let decided =
        match machine.and_then(|machine| machine.overrides.boot.as_ref().map(|boot| (machine, boot))) {
            Some((machine, boot)) => (boot, DecidedBy::Machine(machine.name.clone())),
            None => walk.rules(),
        };
    let mut choice = walk.conclude(machine, decided);
    if let Some((owner, shot)) = next.of(machine, facts) {
        apply_one_shot(config, &mut choice, (owner, shot), next, facts);
    }
    if let Some(pick) = pick {
        apply_pick(config, &mut choice, pick);
    }
    choice
}

/// An entry that would count if the machine reported the right values.
struct Open<'c> {
    vars: BTreeSet<Var>,
    overrides: &'c Overrides,
}

impl Open<'_> {
    /// Whether it changes nothing when the walk ends at `boot` anyway.
    fn is_moot(&self, boot: &BootName) -> bool {
        self.overrides.is_boot_alone() && self.overrides.boot.as_ref().is_none_or(|own| own == boot)
    }
}

struct Walk<'c, 'f> {
    config: &'c Config,
    facts: &'f Facts,
    settings: Overrides,
    open: Vec<Open<'c>>,
    trail: Trail,
}

impl<'c> Walk<'c, '_> {
    /// The machine's entry; with none, those that it may still turn out to be are left open.
    fn machine(&mut self) -> Option<&'c Machine> {
        match machine::recognise(&self.config.machines, self.facts, &mut self.trail) {
            Recognised::Is(machine) => {
                merge(&mut self.settings, &machine.overrides);
                Some(machine)
            }
            Recognised::MayBe(candidates) => {
                self.open.extend(
                    candidates
                        .into_iter()
                        .map(|(machine, vars)| Open { vars, overrides: &machine.overrides }),
                );
                None
            }
        }
    }

    /// The first rule that matches and has a boot, else the default.
    fn rules(&mut self) -> (&'c BootName, DecidedBy) {
        for rule in &self.config.rules {
            let what = format!("rule {}", rule.number);
            let tested = rule.matches.test(self.facts);
            match (tested.verdict, &rule.overrides.boot) {
                (Verdict::No, _) => self.trail.add(what, format!("no: {}", tested.why)),
                (Verdict::Unknown(vars), _) => {
                    self.trail.add(what, format!("open: {}", tested.why));
                    self.open.push(Open { vars, overrides: &rule.overrides });
                }
                (Verdict::Yes, None) => {
                    self.trail.add(what, format!("matches, sets no boot: {}", tested.why));
                    merge(&mut self.settings, &rule.overrides);
                }
                (Verdict::Yes, Some(boot)) => {
                    self.trail.add(what, format!("matches, boot {boot}: {}", tested.why));
                    merge(&mut self.settings, &rule.overrides);
                    return (boot, DecidedBy::Rule(rule.number));
                }
            }
        }
        self.trail.add("default", format!("boot {}", self.config.default));
        (&self.config.default, DecidedBy::Default)
    }

    /// Decided, unless an open entry can still change it.
    fn conclude(mut self, machine: Option<&'c Machine>, (boot, by): (&'c BootName, DecidedBy)) -> Choice<'c> {
        // From the end: an entry is moot only when all that is behind it is.
        while self.open.last().is_some_and(|open| open.is_moot(boot)) {
            self.open.pop();
        }
        let outcome = if self.open.is_empty() {
            Outcome::Decided { boot: boot.clone(), by }
        } else {
            let vars = self.to_ask(boot);
            self.trail.add("ask", format!("the machine for {}", list(&vars)));
            Outcome::Ask { vars }
        };
        Choice { machine, settings: self.settings, outcome, trail: self.trail }
    }

    /// What closes the open entries, and what the boots of all possible outcomes read, as far as it is not
    /// known.
    fn to_ask(&self, boot: &BootName) -> BTreeSet<Var> {
        let mut vars: BTreeSet<Var> = self.open.iter().flat_map(|open| open.vars.iter().copied()).collect();
        let outcomes = self.open.iter().filter_map(|open| open.overrides.boot.as_ref()).chain([boot]);
        vars.extend(outcomes.flat_map(|boot| plan::reads(self.config.boot(boot))));
        vars.retain(|&var| self.facts.get(var).is_none() && can_be_asked(var, self.facts));
        vars
    }
}

/// Adds settings below those that are there.
fn merge(settings: &mut Overrides, below: &Overrides) {
    fn fill<K: Ord + Clone, V: Clone>(
        upper: &mut std::collections::BTreeMap<K, V>,
        lower: &std::collections::BTreeMap<K, V>,
    ) {
        for (key, value) in lower {
            upper.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    settings.boot = settings.boot.take().or_else(|| below.boot.clone());
    settings.loader = settings.loader.take().or_else(|| below.loader.clone());
    settings.proxy = settings.proxy.or(below.proxy);
    settings.ignore |= below.ignore;
    fill::<Code, _>(&mut settings.options, &below.options);
    fill(&mut settings.vars, &below.vars);
}

/// Takes a one-shot, if it is for whoever asks. What the machine has to report for its usual boot it reports all the
/// same, since settings depend on that.
fn apply_one_shot(
    config: &Config,
    choice: &mut Choice<'_>,
    (owner, shot): (&Owner, &OneShot),
    next: Offered<'_>,
    facts: &Facts,
) {
    const WHAT: &str = "one-shot";
    let boot = &shot.boot;
    let installs = matches!(config.boots.get(boot).map(|boot| &boot.kind), Some(BootKind::Install(_)));
    if !shot.is_open_to(next.asker, next.now) || (installs && shot.is_past_its_script()) {
        match &shot.stage {
            Stage::Armed => choice.trail.add(WHAT, format!("not taken: boot {boot} has expired")),
            Stage::Taken(taker) | Stage::Payload(taker) | Stage::Answer(taker) => {
                let taker = taker.session.0;
                choice.trail.add(WHAT, format!("not taken: boot {taker} has had {boot}"));
            }
            Stage::Looped(taker) => {
                let taker = taker.session.0;
                let why = "installed, and the machine came back before that was done";
                choice
                    .trail
                    .add(WHAT, format!("not taken: boot {taker} {why}; {boot} has to be armed again"));
            }
            Stage::Done(_) | Stage::Failed(..) => {}
        }
        return;
    }
    if !config.boots.contains_key(boot) {
        return choice.trail.add(WHAT, format!("not taken: there is no boot {boot} any more"));
    }
    // Who has it has shown its serial, which after a restart of the server nobody knows any more.
    let confirm = shot.confirm.as_ref().filter(|_| shot.stage == Stage::Armed);
    match (confirm, facts.get(Var::Serial)) {
        (Some(confirm), None) if can_be_asked(Var::Serial, facts) => {
            choice.trail.add(WHAT, format!("boot {boot}, if the serial is {confirm}"));
            let mut vars = BTreeSet::from([Var::Serial]);
            if let Outcome::Ask { vars: others } = &choice.outcome {
                vars.extend(others);
            }
            choice.outcome = Outcome::Ask { vars };
            return;
        }
        (Some(confirm), serial) if serial != Some(confirm.as_str()) => {
            let serial = serial.unwrap_or("not known");
            return choice.trail.add(
                WHAT,
                format!("not taken: boot {boot} is for serial {confirm}, and this one is {serial}"),
            );
        }
        _ => {}
    }
    if let Outcome::Decided { .. } = choice.outcome {
        choice.trail.add(WHAT, format!("boot {boot}, for once"));
        choice.settings.boot = Some(boot.clone());
        choice.outcome = Outcome::Decided { boot: boot.clone(), by: DecidedBy::OneShot(owner.to_string()) };
    }
}

/// Takes what was chosen on the screen, if the decided boot is a menu that leads there.
fn apply_pick(config: &Config, choice: &mut Choice<'_>, pick: &str) {
    let Some((boot, _)) = choice.boot_and_by() else { return };
    let what = "picked on the screen";
    match menu_with(config, config.boot(boot), pick) {
        Some((menu, picked)) => {
            choice.trail.add(what, format!("boot {picked}, an entry of menu {menu}"));
            let (boot, by) = (picked.clone(), DecidedBy::Menu(menu.clone()));
            choice.settings.boot = Some(boot.clone());
            choice.outcome = Outcome::Decided { boot, by };
        }
        None => choice.trail.add(what, format!("not taken: {boot} is no menu that leads there")),
    }
}

/// The menu that has an entry `pick`, among `start` and all menus that it leads to.
fn menu_with<'c>(config: &'c Config, start: &'c Boot, pick: &str) -> Option<(&'c BootName, &'c BootName)> {
    let mut seen = BTreeSet::new();
    let mut next = vec![start];
    while let Some(boot) = next.pop() {
        let BootKind::Menu(menu) = &boot.kind else { continue };
        // Menus may lead back to each other.
        if !seen.insert(&boot.name) {
            continue;
        }
        if let Some(entry) = menu.entries.iter().find(|entry| entry.as_str() == pick) {
            return Some((&boot.name, entry));
        }
        next.extend(menu.entries.iter().map(|entry| config.boot(entry)));
    }
    None
}
