//! Configs for GRUB: those that it looks for, and one for each entry of a menu.
//!
//! GRUB reports nothing. What DHCP told of the machine, and what the name tells, is all that there will be, so what a rule
//! wants to know beyond that counts as no.

use super::generated::{Claim, GRUB, GrubConfig};
use super::{FileRequest, Identity, Resolution, Resource, secret};
use crate::boot::choose::{Outcome, choose};
use crate::boot::dialect::grub::{self, ConfigContext, Reach};
use crate::boot::plan;
use crate::boot::template::Server;
use crate::config::{BootName, Config};
use crate::event::{DecidedBy, Protocol, ScriptEvent, ScriptStep};
use crate::finding::Trail;
use crate::model::{Facts, Firmware, Reporting};

const MIME: &str = "text/plain; charset=utf-8";

/// What nothing tells otherwise: nearly all machines that start a signed GRUB.
const FIRMWARE: Firmware = Firmware::UefiX64;

/// The config for a name, unless a file stands there, or where GRUB will look next.
pub(super) fn generated(
    config: &Config,
    request: &FileRequest<'_>,
    (asked, file): (&str, String),
    which: &GrubConfig,
) -> Resolution {
    let (mut asker, pick) = match which {
        GrubConfig::Of(claim) => (of_claim(config, request, claim), None),
        GrubConfig::ByAddress | GrubConfig::Any => (Asker::of(request), None),
        GrubConfig::Entry(boot) => (Asker::of(request), Some(boot.as_str())),
    };
    asker.facts.reporting = Reporting::Done;
    let Made { body, step, trail } = make(config, request, &asker, pick);
    let bytes = body.len() as u64;
    let event = ScriptEvent { name: asked.to_owned(), step, facts: Facts::new(), bytes, trail };
    let or_next = which.is_one_of_several().then(|| beside(&file));
    Resolution { resource: Resource::FileOrText { file, or_next, body, mime: MIME }, script: Some(event) }
}

/// What is known of whom a config is for, and what speaks for it.
struct Asker {
    facts: Facts,
    identity: Identity,
}

impl Asker {
    fn of(request: &FileRequest<'_>) -> Self {
        Self { facts: request.facts.clone(), identity: request.identity }
    }
}

/// As with names for iPXE: what is known of whoever asks tells nothing of another machine, and who only says its name gets
/// no secret.
fn of_claim(config: &Config, request: &FileRequest<'_>, claim: &Claim) -> Asker {
    let machine = claim.machine(config);
    if claim.fits(machine, request.facts) {
        return Asker::of(request);
    }
    let identity = match request.identity {
        Identity::Confirmed => Identity::Claimed,
        other => other,
    };
    Asker { facts: claim.facts(machine), identity }
}

/// The most general config of the same folder.
fn beside(file: &str) -> String {
    let folder = file.rfind('/').map_or("", |slash| &file[..=slash]);
    format!("{folder}{GRUB}")
}

struct Made {
    body: String,
    step: ScriptStep,
    trail: Trail,
}

fn make(config: &Config, request: &FileRequest<'_>, asker: &Asker, pick: Option<&str>) -> Made {
    let Asker { facts, identity } = asker;
    let mut choice = choose(config, facts, pick);
    let mut trail = std::mem::take(&mut choice.trail);
    trail.add("grub", "it can report nothing: what is not known by now counts as no");
    let firmware = facts.firmware().unwrap_or(FIRMWARE);
    let (boot, by) = match choice.outcome.clone() {
        Outcome::Decided { boot, by } => (boot, by),
        // Nothing is left to be asked of who has reported all that it can.
        Outcome::Ask { .. } => (config.default.clone(), DecidedBy::Default),
    };
    let server = Server::by_address(config, request.server);
    let reach = match request.protocol {
        Protocol::Http => Reach::Http(config.http.port),
        Protocol::Tftp => Reach::Tftp,
    };
    let context = ConfigContext { server: request.server, reach, firmware };
    let mac = request.facts.mac();
    let plan = plan::build(config, &choice, &boot, facts, &server)
        .and_then(|plan| secret::check(config, &boot, &choice, *identity, mac).map(|()| plan));
    let rendered = match plan {
        Ok(plan) => grub::render(&plan, &context).map_err(|why| cannot(&boot, &why)),
        Err(error) => Err(error.to_string()),
    };
    match rendered {
        Ok(body) => Made { body, step: ScriptStep::Boot { boot, by }, trail },
        Err(why) => {
            trail.add("grub", why.clone());
            Made { body: grub::problem(&why, firmware), step: ScriptStep::Problem { boot, by, why }, trail }
        }
    }
}

fn cannot(boot: &BootName, why: &str) -> String {
    format!("boot {boot}: {why}; a machine with another `loader` can boot it")
}
