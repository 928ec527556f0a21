//! The scripts: `boot.ipxe`, which every iPXE gets, `script`, which answers its report, and those that stand in for a
//! file of a well-known name.

use std::collections::BTreeSet;

use super::generated::Claim;
use super::query::{self, Report};
use super::secret;
use super::silent::of_confirmed;
use super::{FileRequest, Identity, Resolution, Resource};
use crate::boot::choose::{Choice, Outcome, choose};
use crate::boot::dialect::ipxe::{self, Platform, ScriptContext};
use crate::boot::features;
use crate::boot::plan::{self, Entrusted, Plan, PlanError};
use crate::boot::rules::{can_be_asked, list};
use crate::boot::template::Server;
use crate::config::{BootKind, BootName, Config};
use crate::event::{DecidedBy, ScriptEvent, ScriptStep};
use crate::finding::Trail;
use crate::model::{Facts, Firmware, Var};
use crate::oneshot::Offered;

/// The type of scripts: what iPXE's own examples are served as.
const MIME: &str = "text/plain; charset=utf-8";

/// `boot.ipxe`: the final script where what is known decides, else one that asks for more.
pub(super) fn boot(config: &Config, request: &FileRequest<'_>) -> Resolution {
    let mut facts = request.facts.clone();
    query::complete(&mut facts);
    Answer::new(config, request, "boot.ipxe", facts, Facts::new()).decide(None)
}

/// `script`: what a machine that has reported boots.
pub(super) fn script(config: &Config, request: &FileRequest<'_>) -> Resolution {
    let Report { facts: reported, pick } = query::read(request.query);
    let facts = query::merged(request.facts, &reported);
    let pick = pick.as_ref().map(|pick| pick.as_str());
    Answer::new(config, request, "script", facts, reported).decide(pick)
}

/// `autoexec.ipxe`: the script of whoever asks.
pub(super) fn autoexec(
    config: &Config,
    request: &FileRequest<'_>,
    (asked, file): (&str, String),
) -> Resolution {
    let mut facts = request.facts.clone();
    query::complete(&mut facts);
    in_place_of(file, Answer::new(config, request, asked, facts, Facts::new()).decide_after_a_report())
}

/// A script in place of a file, if that is not there.
fn in_place_of(file: String, resolution: Resolution) -> Resolution {
    let resource = match resolution.resource {
        Resource::Text { body, mime } => Resource::FileOrText { file, or_next: Vec::new(), body, mime },
        other => other,
    };
    Resolution { resource, ..resolution }
}

/// The script of the machine that a name names: as for `boot.ipxe` when it is the one that asks. What is known of
/// another one tells nothing of it, and who only says its name gets no secret.
pub(super) fn named(
    config: &Config,
    request: &FileRequest<'_>,
    (asked, file): (&str, String),
    claim: &Claim,
) -> Resolution {
    let machine = claim.machine(config);
    let is_the_peer = claim.fits(machine, request.facts);
    let mut facts = if is_the_peer { request.facts.clone() } else { claim.facts(machine) };
    query::complete(&mut facts);
    // Not a report: else asking twice would prove what asking once does not.
    let mut answer = Answer::new(config, request, asked, facts, Facts::new());
    if !is_the_peer && answer.identity == Identity::Confirmed {
        answer.identity = Identity::Claimed;
    }
    in_place_of(file, answer.decide(None))
}

/// One answer in the making.
struct Answer<'a> {
    config: &'a Config,
    request: &'a FileRequest<'a>,
    name: &'a str,
    server: Server,
    facts: Facts,
    reported: Facts,
    identity: Identity,
}

impl<'a> Answer<'a> {
    fn new(
        config: &'a Config,
        request: &'a FileRequest<'a>,
        name: &'a str,
        facts: Facts,
        reported: Facts,
    ) -> Self {
        let server = Server::new(config, request.server);
        Self { config, request, name, server, facts, reported, identity: request.identity }
    }

    fn entrusted(&self) -> Entrusted<'a> {
        of_confirmed(self.identity, self.request.entrusted)
    }

    fn next(&self) -> Offered<'a> {
        of_confirmed(self.identity, self.request.next)
    }

    fn platform(&self) -> Platform {
        self.firmware().into()
    }

    /// BIOS when nothing tells: its scripts do the least.
    fn firmware(&self) -> Firmware {
        self.facts.firmware().unwrap_or(Firmware::Bios)
    }

    fn decide(self, pick: Option<&str>) -> Resolution {
        let mut choice = choose(self.config, self.next(), &self.facts, pick);
        let mut trail = std::mem::take(&mut choice.trail);
        let (boot, by) = match choice.outcome.clone() {
            Outcome::Ask { vars } => return self.identify(vars, trail),
            Outcome::Decided { boot, by } => (boot, by),
        };
        let lacking = self.unreported(&boot);
        if !lacking.is_empty() {
            trail.add("ask", format!("boot {boot} needs {}", list(&lacking)));
            return self.identify(lacking, trail);
        }
        if let Some((loader, lacks)) = self.upgrade(&choice, &boot, &mut trail) {
            let body = ipxe::chain_loader(&loader, &lacks, &self.server, self.platform());
            return self.answer(body, ScriptStep::Chain { loader, lacks }, trail);
        }
        match self.plan(&choice, &boot) {
            Ok(plan) => self.boot(&plan, by, trail),
            Err(error) => self.problem(boot, by, error.to_string(), trail),
        }
    }

    /// iPXE asks for `autoexec.ipxe` before its own DHCP: what is known is its firmware's, or that of another iPXE
    /// which loaded it, and its interface may be closed. So it opens that and reports, whatever is known; the
    /// DHCP that this takes may not follow the decision, where it would begin another session.
    fn decide_after_a_report(self) -> Resolution {
        let choice = choose(self.config, self.next(), &self.facts, None);
        let mut trail = choice.trail;
        let vars = match choice.outcome {
            Outcome::Ask { vars } => vars,
            Outcome::Decided { boot, .. } => self.unreported(&boot),
        };
        trail.add("ask", "it may ask before its own DHCP: it reports first");
        // EFI when nothing tells: a status is what only EFI looks at.
        let platform = self.facts.firmware().map_or(Platform::Efi, Platform::from);
        let body = ipxe::autoexec(&vars, &self.server, platform);
        self.answer(body, ScriptStep::Identify, trail)
    }

    /// What the boot's templates read, and its script depends on, and the machine has yet to report.
    fn unreported(&self, boot: &BootName) -> BTreeSet<Var> {
        let boot = self.config.boot(boot);
        let mut needed = plan::reads(boot);
        if !matches!(boot.kind, BootKind::Ipxe { .. }) {
            // `exit` and initial file systems differ between BIOS and UEFI.
            needed.insert(Var::Firmware);
        }
        needed.retain(|&var| self.facts.get(var).is_none() && can_be_asked(var, &self.facts));
        needed
    }

    /// The loader of ours and what the machine's iPXE lacks, when it lacks something and was not sent before.
    fn upgrade(&self, choice: &Choice<'_>, boot: &BootName, trail: &mut Trail) -> Option<(String, String)> {
        let has = self.request.features?;
        let needed = features::needs(self.config.boot(boot), self.firmware());
        let missing = features::missing(&needed, has);
        if missing.is_empty() {
            return None;
        }
        let lacks = missing.to_string();
        if self.request.chained {
            trail.add("features", format!("lacks {lacks}, but was sent into another loader already"));
            return None;
        }
        match self.request.loaders.pick_ipxe(self.firmware(), choice.settings.loader.as_ref()) {
            Ok(loader) => {
                trail.add("features", format!("lacks {lacks}, sent into {loader}"));
                Some((loader, lacks))
            }
            Err(none) => {
                trail.add("features", format!("lacks {lacks}, but {none}"));
                None
            }
        }
    }

    fn plan(&self, choice: &Choice<'_>, boot: &BootName) -> Result<Plan, PlanError> {
        let plan = plan::build(self.config, choice, boot, &self.facts, &self.server, self.entrusted())?;
        let mac = self.request.facts.mac();
        secret::check(self.config, boot, choice, self.identity, mac).map(|()| plan)
    }

    fn identify(self, vars: BTreeSet<Var>, trail: Trail) -> Resolution {
        let body = ipxe::identify(&vars, &self.server, self.platform());
        self.answer(body, ScriptStep::Identify, trail)
    }

    fn boot(self, plan: &Plan, by: DecidedBy, trail: Trail) -> Resolution {
        let reports = self.reports_of_menu(&plan.boot);
        let context = ScriptContext { server: &self.server, platform: self.platform(), reports: &reports };
        let body = ipxe::render(plan, &context);
        self.answer(body, ScriptStep::Boot { boot: plan.boot.clone(), by }, trail)
    }

    /// What a menu has to send along: what led to it, and what its entries read.
    fn reports_of_menu(&self, boot: &BootName) -> Vec<Var> {
        let BootKind::Menu(menu) = &self.config.boot(boot).kind else { return Vec::new() };
        let led_here = self.reported.iter().map(|(var, _)| var);
        let entries = menu.entries.iter().flat_map(|entry| plan::reads(self.config.boot(entry)));
        let vars: BTreeSet<Var> = led_here.chain(entries).collect();
        vars.into_iter().collect()
    }

    fn problem(self, boot: BootName, by: DecidedBy, why: String, trail: Trail) -> Resolution {
        let body = ipxe::problem(&why, self.platform());
        self.answer(body, ScriptStep::Problem { boot, by, why }, trail)
    }

    fn answer(self, body: String, step: ScriptStep, trail: Trail) -> Resolution {
        let event = ScriptEvent {
            name: self.name.to_owned(),
            step,
            facts: self.reported,
            bytes: body.len() as u64,
            trail,
        };
        Resolution { resource: Resource::Text { body, mime: MIME }, script: Some(event) }
    }
}
