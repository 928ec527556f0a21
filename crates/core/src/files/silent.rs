//! What the loaders share that report nothing of the machine and take a config instead of a script.
//!
//! What DHCP told of the machine, and what the name tells, is all that there will be, so what a rule wants to know beyond
//! that counts as no.

use super::generated::Claim;
use super::searched::{Searched, Which};
use super::{FileRequest, Identity, Resolution, Resource, secret};
use crate::boot::choose::{Choice, Outcome, choose};
use crate::boot::plan::{self, Plan};
use crate::boot::template::Server;
use crate::config::{BootName, Config};
use crate::event::{DecidedBy, ScriptEvent, ScriptStep};
use crate::finding::Trail;
use crate::model::{Facts, Firmware, Reporting, Var};
use crate::oneshot::Offered;

pub(super) const MIME: &str = "text/plain; charset=utf-8";

/// What is known of whom a config is for, and what speaks for it.
pub(super) struct Asker {
    pub(super) facts: Facts,
    pub(super) identity: Identity,
}

impl Asker {
    /// Of a config by this name.
    pub(super) fn new(config: &Config, request: &FileRequest<'_>, which: &Which) -> Self {
        let mut asker = match which {
            Which::Of(claim) => Self::of_claim(config, request, claim),
            _ => Self { facts: request.facts.clone(), identity: request.identity },
        };
        asker.facts.reporting = Reporting::Done;
        asker
    }

    /// As with names for iPXE: what is known of whoever asks tells nothing of another machine, and who only says its name
    /// gets no secret.
    fn of_claim(config: &Config, request: &FileRequest<'_>, claim: &Claim) -> Self {
        let machine = claim.machine(config);
        if claim.fits(machine, request.facts) {
            return Self { facts: request.facts.clone(), identity: request.identity };
        }
        let mut known = request.facts.clone();
        // The first name that is asked for is by UUID, which nothing told where another server speaks DHCP.
        if let (Claim::Uuid(uuid), None, None, Some(_)) = (claim, machine, known.uuid(), known.mac()) {
            known.set(Var::Uuid, uuid.to_string().as_str());
            return Self { facts: known, identity: request.identity };
        }
        let identity = match request.identity {
            Identity::Confirmed => Identity::Claimed,
            other => other,
        };
        Self { facts: claim.facts(machine), identity }
    }

    pub(super) fn firmware(&self) -> Option<Firmware> {
        self.facts.firmware()
    }
}

/// What is for a machine that is known to be the one that asks, and for nobody who only says its name.
pub(super) fn of_confirmed<T: Default>(identity: Identity, what: T) -> T {
    match identity {
        Identity::Confirmed => what,
        Identity::Claimed | Identity::Contradicted => T::default(),
    }
}

/// What one of them boots.
pub(super) struct Decision {
    pub(super) boot: BootName,
    pub(super) by: DecidedBy,
    /// The plan, or why there is none.
    pub(super) plan: Result<Plan, String>,
    pub(super) trail: Trail,
}

/// Which boot counts as picked. A piece's text is for what led here.
fn pick<'a>(request: &FileRequest<'a>, which: &'a Which) -> Option<&'a str> {
    match which {
        Which::Entry(boot) => Some(boot.as_str()),
        Which::Piece(_) => request.booting.map(BootName::as_str),
        _ => None,
    }
}

/// Decides for an asker by what is known. `loader` is what the trail calls it.
pub(super) fn decide(
    config: &Config,
    request: &FileRequest<'_>,
    asker: &Asker,
    which: &Which,
    loader: &'static str,
) -> Decision {
    let Asker { facts, identity } = asker;
    let (next, pick) = (of_confirmed(*identity, request.next), pick(request, which));
    let mut choice = choose(config, next, facts, pick);
    if matches!(which, Which::Piece(_)) && has_yet_to_take(&choice, request) {
        choice = choose(config, Offered::default(), facts, pick);
    }
    let mut trail = std::mem::take(&mut choice.trail);
    trail.add(loader, "it can report nothing: what is not known by now counts as no");
    let (boot, by) = match choice.outcome.clone() {
        Outcome::Decided { boot, by } => (boot, by),
        // Nothing is left to be asked of who has reported all that it can.
        Outcome::Ask { .. } => (config.default.clone(), DecidedBy::Default),
    };
    let server = Server::by_address(config, request.server);
    let plan =
        plan::build(config, &choice, &boot, facts, &server, of_confirmed(*identity, request.entrusted))
            .and_then(|plan| {
                secret::check(config, &boot, &choice, *identity, request.facts.mac()).map(|()| plan)
            })
            .map_err(|error| error.to_string());
    Decision { boot, by, plan, trail }
}

/// Whether a choice is a one-shot that this session's script or config was not: a piece takes none.
fn has_yet_to_take(choice: &Choice<'_>, request: &FileRequest<'_>) -> bool {
    choice.is_one_shot() && choice.boot() != request.booting
}

/// What a loader cannot do, and what to do about it.
pub(super) fn cannot(boot: &BootName, why: &str) -> String {
    format!("boot {boot}: {why}; a machine with another `loader` can boot it")
}

/// A config, made.
pub(super) struct Made {
    pub(super) body: String,
    pub(super) step: ScriptStep,
    pub(super) trail: Trail,
}

impl Made {
    /// Nobody decided, or what was decided cannot be said.
    fn is_a_last_resort(&self) -> bool {
        match &self.step {
            ScriptStep::Boot { by, .. } => *by == DecidedBy::Default,
            ScriptStep::Problem { .. } => true,
            ScriptStep::Identify | ScriptStep::Chain { .. } => false,
        }
    }
}

/// A piece that a config of the user's includes: it decides nothing, and a file of this name comes before it.
pub(super) fn piece(file: String, body: String) -> Resolution {
    Resolution {
        resource: Resource::FileOrText { file, or_next: Vec::new(), body, mime: MIME },
        script: None,
    }
}

/// A config that stands in for a file, unless there is that or one that the loader comes to later. Everybody's file
/// comes before a last resort.
pub(super) fn in_place_of(
    (asked, file): (&str, String),
    request: &FileRequest<'_>,
    searched: &Searched,
    made: Made,
) -> Resolution {
    let mut or_next = searched.still_to_come(&file, request.facts, request.peer);
    if made.is_a_last_resort() {
        or_next.extend(searched.of_everybody(&file));
    }
    let Made { body, step, trail } = made;
    let bytes = body.len() as u64;
    let event = ScriptEvent { name: asked.to_owned(), step, facts: Facts::new(), bytes, trail };
    Resolution { resource: Resource::FileOrText { file, or_next, body, mime: MIME }, script: Some(event) }
}
