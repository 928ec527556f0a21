//! What all services read: the config in force and what belongs to it, swapped whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bootlace_core::boot::disk::DiskNames;
use bootlace_core::boot::install::TokenMaker;
use bootlace_core::boot::loader::signed_ipxe::Pair;
use bootlace_core::boot::loader::{Loader, LoaderInventory, known_files};
use bootlace_core::boot::plan::Entrusted;
use bootlace_core::config::{BootKind, BootName, Config};
use bootlace_core::event::{DecidedBy, Event, EventKind, Peer, ScriptEvent, ScriptStep};
use bootlace_core::files::{FileRequest, Identity, Resolution, Resource, reported_mac, resolve, token_in};
use bootlace_core::model::{Facts, Text, Timestamp, Var};
use bootlace_core::oneshot::{self, Offered, Owner, Stage};
use bootlace_core::session::Session;
use bootlace_wire::HwAddr;

use crate::files::FilePlane;
use crate::hub::{self, Hub, Who};
use crate::resolver::{Ask, Change, Decided, Purpose, Resolver, Taking, Whose};
use crate::services::iscsi::{MachineDisks, NotServed};

/// A config and what was there when it came into force.
pub struct Serving {
    /// The config.
    pub config: Config,
    /// Loaders in `boot_dir` or the distribution's folders.
    pub loaders: LoaderInventory,
    /// `boot_dir` and `follow`, opened.
    pub plane: Arc<FilePlane>,
    /// Which one it is.
    pub edition: Edition,
}

/// Tells the configs of one run of the server apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// 1 for that of the start; each that is swapped in has the next number.
    pub number: u64,
    /// When it came into force.
    pub since: Timestamp,
    /// Keys that the file has another value for, which takes a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Edition {
    /// That of the start.
    pub fn first() -> Self {
        Self { number: 1, since: hub::now(), needs_restart: Vec::new() }
    }

    /// The one after it.
    pub fn next(&self, needs_restart: Vec<&'static str>) -> Self {
        Self { number: self.number + 1, since: hub::now(), needs_restart }
    }
}

impl Serving {
    /// Looks which loaders there are: those of every firmware, signed ones, and those that machines and rules name.
    pub fn new(config: Config, plane: Arc<FilePlane>, edition: Edition) -> Self {
        let mut names: Vec<&str> = known_files().collect();
        names.extend(named_loaders(&config).filter_map(Loader::file));
        let shims: Vec<String> = Pair::all().map(Pair::shim).collect();
        names.extend(shims.iter().map(String::as_str));
        let loaders = plane.inventory(names);
        Self { config, loaders, plane, edition }
    }
}

/// The loaders that machines and rules name.
pub fn named_loaders(config: &Config) -> impl Iterator<Item = &Loader> {
    let overrides = config.machines.iter().map(|machine| &machine.overrides);
    let overrides = overrides.chain(config.rules.iter().map(|rule| &rule.overrides));
    overrides.filter_map(|overrides| overrides.loader.as_ref())
}

/// The resolver of a running server: names are decided by the config in force and by what the hub knows of the
/// peer; events go to the hub.
pub fn resolver(serving: Arc<ArcSwap<Serving>>, hub: Arc<Hub>, disks: Option<Arc<MachineDisks>>) -> Resolver {
    let (recorder, book, taker) = (Arc::clone(&hub), Arc::clone(&hub), Arc::clone(&hub));
    let (taken_from, begun_by) = (Arc::clone(&serving), Arc::clone(&serving));
    Resolver::deciding(
        move |ask| {
            let serving = serving.load();
            let (resolution, whose) = find(&serving, &hub, disks.as_ref(), ask);
            Decided { resolution, whose, plane: Arc::clone(&serving.plane) }
        },
        move |peer, kind| {
            let now = hub::now();
            let hw = recorder.who(*peer.ip(), now);
            let begins = match &kind {
                EventKind::Script(ScriptEvent { step: ScriptStep::Boot { boot, .. }, .. }) => {
                    hw.filter(|_| is_install(&begun_by.load(), boot))
                }
                _ => None,
            };
            let boots = matches!(&kind, EventKind::Script(ScriptEvent { step: ScriptStep::Boot { .. }, .. }));
            recorder.record(Event { at: now, peer: Peer { hw, ip: Some(*peer.ip()) }, kind });
            if let (true, Some(hw)) = (boots, hw) {
                came_back(&begun_by.load(), &recorder, hw, now);
            }
            if let Some(hw) = begins {
                begin_install(&recorder, hw, now);
            }
        },
    )
    .with_blocks(move |peer| book.block_max(*peer.ip(), hub::now()))
    .taking(move |_, change| match change {
        Change::Script(script, whose) => take(&taken_from.load(), &taker, whose, script),
        Change::Done(name) => done(&taker, name),
    })
}

/// A boot was decided: an installation of the same machine that is not done has come to nothing.
fn came_back(serving: &Serving, hub: &Hub, hw: HwAddr, now: Timestamp) {
    if hub.one_shots().is_empty() {
        return;
    }
    let machine = hw.mac().and_then(|mac| serving.config.machines.by_mac(mac));
    if let Some(session) = hub.with_session(hw, now, |session| session.map(Session::taker)) {
        hub.one_shots().came_back(machine, hw, session);
    }
}

/// What the machine has reported by now, its templates see later.
fn begin_install(hub: &Hub, hw: HwAddr, now: Timestamp) {
    let told =
        hub.with_session(hw, now, |session| session.map(|session| (session.taker(), session.facts.clone())));
    if let Some((taker, facts)) = told {
        hub.installs().begin(hw, taker, facts);
    }
}

/// An installation says that it is done. What it asked for was decided before, so its token is good.
fn done(hub: &Arc<Hub>, name: &str) -> Option<Taking> {
    let bearer = hub.installs().bearer(token_in(name)?, hub::now()).ok()?;
    tracing::info!(machine = %bearer.hw, session = bearer.taker.session.0, "installed");
    let hub = Arc::clone(hub);
    Some(Box::pin(async move {
        let done = hub.one_shots().done(bearer.taker).await;
        done.map(|()| true).map_err(|refused| format!("that it is done cannot be stored: {refused}"))
    }))
}

/// Gives the one-shot of a script to the session that it was decided for. `None` where there is none in it.
fn take(serving: &Serving, hub: &Arc<Hub>, whose: Option<&Whose>, script: &ScriptEvent) -> Option<Taking> {
    let (boot, owner, failed) = match &script.step {
        ScriptStep::Boot { boot, by: DecidedBy::OneShot(owner) } => (boot, owner, None),
        ScriptStep::Problem { boot, by: DecidedBy::OneShot(owner), why } => (boot, owner, Some(why)),
        _ => return None,
    };
    let now = hub::now();
    let owner = Owner::named(owner);
    let Some((hw, taker, shot)) =
        whose.and_then(|whose| Some((whose.hw, whose.taker, whose.one_shots.0.get(&owner)?.clone())))
    else {
        return Some(Box::pin(async { Err("nothing shows whose one-shot this is".to_owned()) }));
    };
    // The config may be a newer one than that which decided.
    let Some(of_config) = serving.config.boots.get(boot) else {
        return Some(Box::pin(async { Ok(false) }));
    };
    let files: BTreeSet<String> = oneshot::payload(of_config).into_iter().map(str::to_owned).collect();
    let to = match failed {
        Some(why) => Stage::Failed(taker, Text::from(why.as_str())),
        None if files.is_empty() && ends_with_its_script(serving, boot) => Stage::Done(taker),
        None => Stage::Taken(taker),
    };
    let then = if is_install(serving, boot) { Stage::Payload(taker) } else { Stage::Done(taker) };
    let hub = Arc::clone(hub);
    Some(Box::pin(async move {
        let taken = hub.one_shots().take(hw, (owner, shot), to, (files, then), now).await;
        taken.map_err(|refused| format!("a one-shot cannot be taken: {refused}"))
    }))
}

/// Others say that they are done, or log in to a disk of this server's.
fn ends_with_its_script(serving: &Serving, boot: &BootName) -> bool {
    let kind = serving.config.boots.get(boot).map(|boot| &boot.kind);
    !matches!(kind, Some(BootKind::Install(_) | BootKind::Disk(_)))
}

fn is_install(serving: &Serving, boot: &BootName) -> bool {
    matches!(serving.config.boots.get(boot).map(|boot| &boot.kind), Some(BootKind::Install(_)))
}

fn find(
    serving: &Serving,
    hub: &Hub,
    disks: Option<&Arc<MachineDisks>>,
    ask: &Ask<'_>,
) -> (Resolution, Option<Whose>) {
    let now = hub::now();
    let ip = *ask.peer.ip();
    let claimed = reported_mac(ask.name, ask.query).map(HwAddr::from);
    let Who { hw, identity } = hub.identify(ip, claimed, now);
    if let (Some(claimed), Purpose::Fetch) = (claimed, ask.purpose) {
        match (identity, hw) {
            (Identity::Contradicted, Some(seen)) => {
                let claimed = Text::from(claimed.to_string().as_str());
                let kind = EventKind::Contradiction { seen, claimed };
                hub.record(Event { at: now, peer: Peer { hw, ip: Some(ip) }, kind });
            }
            _ => hub.reported(ip, claimed, now),
        }
    }
    // Not for whoever says that it is a machine: its session is none of theirs.
    if let (Some(hw), Identity::Confirmed, Purpose::Fetch) = (hw, identity, ask.purpose) {
        hub.asked(hw, ask.name, now);
    }
    // Nor does it see what that has told.
    let is_its_own = |hw: &HwAddr| identity != Identity::Claimed || !hub.is_elsewhere(*hw, ip, now);
    let told = hw.filter(is_its_own).and_then(|hw| {
        hub.with_session(hw, now, |session| {
            session.filter(|session| !session.ends_before_name(ask.name)).map(|session| {
                let boot = session.boot.as_ref().map(|(boot, _)| boot.clone());
                let asker = Some(session.taker());
                (session.facts.clone(), session.features.clone(), session.came_by_chain(), boot, asker)
            })
        })
    });
    let (mut facts, features, chained, boot, asker) = told.unwrap_or((Facts::new(), None, false, None, None));
    // A token says which boot it is of, long after that boot's session is forgotten.
    let bearer = token_in(ask.name).map(|token| {
        let bearer = hub.installs().bearer(token, now)?;
        match hw {
            Some(hw) if hw == bearer.hw && identity == Identity::Confirmed => Ok(bearer),
            _ => Err("this address is not that of the machine that the token is of"),
        }
    });
    let asker = match &bearer {
        Some(Ok(bearer)) => {
            facts = hub.installs().facts(bearer).unwrap_or(facts);
            Some(bearer.taker)
        }
        _ => asker,
    };
    let installs = || serving.config.boots.values().any(|boot| matches!(boot.kind, BootKind::Install(_)));
    let has_disks = serving.config.disk_boots().next().is_some();
    let one_shots = hub.one_shots().all();
    let asker = match asker {
        None if identity == Identity::Confirmed
            && ask.purpose == Purpose::Fetch
            && (installs() || has_disks || !one_shots.0.is_empty()) =>
        {
            hw.and_then(|hw| hub.taker(hw, now))
        }
        asker => asker,
    };
    let tokens =
        hw.zip(asker).filter(|_| installs()).and_then(|(hw, taker)| hub.installs().tokens_of(hw, taker));
    let names: Option<Box<dyn DiskNames>> = match (hw.zip(asker), disks) {
        (Some((hw, taker)), Some(disks)) if has_disks => Some(Box::new(disks.for_boot(hw, taker))),
        (Some(_), None) if has_disks => Some(Box::new(NotServed)),
        _ => None,
    };
    // Whoever only says that it is a machine takes nothing away from it.
    let all = (identity == Identity::Confirmed).then_some(&*one_shots);
    // After a restart there is no session yet that would know.
    if let Some(told) = hub.remembered(ip, now).and_then(|told| told.missing_in(&facts)) {
        told.tell(&mut facts);
    }
    // A machine that is known by its address need not be asked who it is, and what it once claimed to be does
    // not make it that.
    if let Some(mac) = hw.and_then(|hw| hw.mac()) {
        facts.set(Var::Mac, mac.to_string().as_str());
    }
    let request = FileRequest {
        protocol: ask.protocol,
        query: ask.query,
        facts: &facts,
        identity,
        server: *ask.local.ip(),
        features: features.as_ref(),
        chained,
        booting: boot.as_ref(),
        peer: ip,
        next: Offered { all, asker, now },
        entrusted: Entrusted {
            tokens: tokens.as_ref().map(|tokens| tokens as &dyn TokenMaker),
            disks: names.as_deref(),
        },
        bearer: bearer.as_ref().map(|bearer| bearer.as_ref().map(|bearer| &bearer.boot).map_err(|why| *why)),
        loaders: &serving.loaders,
    };
    let resolution = resolve(&serving.config, ask.name, &request);
    if let (Some(Ok(bearer)), Purpose::Fetch, Resource::Text { .. } | Resource::Archive(_)) =
        (&bearer, ask.purpose, &resolution.resource)
    {
        hub.one_shots().answered(bearer.taker);
    }
    let whose = hw.zip(asker).filter(|_| identity == Identity::Confirmed);
    (resolution, whose.map(|(hw, taker)| Whose { hw, taker, one_shots }))
}

#[cfg(test)]
mod tests {
    use bootlace_core::config::{Files, Source, load};
    use bootlace_core::finding::Trail;
    use bootlace_core::session::SessionId;
    use bootlace_store::journal::{Journal, Retention, Writer};

    use super::*;

    /// What follows from a decision may come after a reload, and must never come without a machine.
    #[tokio::test]
    async fn a_one_shot_is_taken_by_its_machine_and_of_a_boot_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let text =
            "boot_dir = \".\"\nfollow = []\n[boot.rescue]\nkind = \"linux\"\nkernel = \"linux\"\n".to_owned();
        let source = Source { name: "bootlace.toml".into(), folder: dir.path().to_owned(), text };
        let config = load(&source, &Files::new()).unwrap().config;
        let plane = Arc::new(FilePlane::of(&config).unwrap());
        let serving = Serving::new(config, plane, Edition::first());
        let writer = Writer::spawn(Journal::open(dir.path()).unwrap(), Retention::default()).unwrap();
        let hub = Arc::new(Hub::new(SessionId(1), [], writer));
        let hw = HwAddr::from(bootlace_wire::Mac([2, 0, 0, 0, 0, 1]));
        let taken = |boot: &str, whose: Option<&Whose>| {
            let boot = BootName::new(boot).unwrap();
            let step = ScriptStep::Boot { boot, by: DecidedBy::OneShot("web1".into()) };
            let (facts, trail) = (Facts::new(), Trail::default());
            let script = ScriptEvent { name: "script".into(), step, facts, bytes: 1, trail };
            take(&serving, &hub, whose, &script).unwrap()
        };
        assert!(taken("rescue", None).await.unwrap_err().contains("whose one-shot"));
        let taker = hub.taker(hw, hub::now()).unwrap();
        let boot = BootName::new("gone").unwrap();
        let (armed, stage) = (taker.started, Stage::Armed);
        let shot = oneshot::OneShot { boot, confirm: None, armed, expires: None, stage };
        let one_shots = Arc::new(oneshot::OneShots([(Owner::named("web1"), shot)].into()));
        let whose = Whose { hw, taker, one_shots };
        assert_eq!(taken("gone", Some(&whose)).await, Ok(false), "it is decided again");
    }
}
