//! `/api/v1/machines/next-boot`: what machines boot once.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use bootlace_core::config::{BootKind, BootName, Config};
use bootlace_core::model::{Text, Timestamp};
use bootlace_core::nearest;
use bootlace_core::oneshot::{OneShot, Owner, Stage, Taker};
use bootlace_core::session::Session;
use bootlace_wire::Mac;
use serde::Deserialize;

use super::{Admin, Failure};
use crate::api::NextBootView;
use crate::hub::{self, Hub};
use crate::one_shots::Refused;
use crate::tokens::TOKEN_LIFE;

/// The latest time at which one may expire: ten years, so that no clock and no schema has to bear more.
const EXPIRES_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A boot for once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arm {
    /// The name of a machine of the config, or a MAC.
    machine: String,
    boot: String,
    /// The serial number that the machine has to report.
    confirm: Option<String>,
    /// Seconds until nobody takes it any more.
    expires: Option<u64>,
}

/// Arms it; answered when that is on stable storage.
pub(super) async fn arm(State(admin): State<Admin>, Json(arm): Json<Arm>) -> Result<String, Failure> {
    let now = hub::now();
    let (mut owners, boot) = {
        let serving = admin.serving.load();
        (owners(&serving.config, &arm.machine)?.into_iter(), boot(&serving.config, &arm.boot)?)
    };
    let owner = owners.next().ok_or_else(|| Failure::bad("this is no machine"))?;
    let confirm = arm.confirm.as_deref().map(Text::from);
    if confirm.as_ref().is_some_and(|serial| serial.as_str().is_empty()) {
        return Err(Failure::bad("the serial to confirm is empty"));
    }
    let expires = match arm.expires.map(Duration::from_secs) {
        Some(Duration::ZERO) => return Err(Failure::bad("it would expire at once")),
        Some(span) if span > EXPIRES_MAX => {
            return Err(Failure::bad("it would expire in more than ten years"));
        }
        span => span.map(|span| now.after(span)),
    };
    let told = format!("{owner} boots {boot} once\n");
    let shot = OneShot { boot, confirm, armed: now, expires, stage: Stage::Armed };
    admin.hub.one_shots().arm(owner, shot).await?;
    cancel_all(&admin.hub, owners).await?;
    Ok(told)
}

/// Whose is to be taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    machine: String,
}

/// Takes it away; answered when that is on stable storage.
pub(super) async fn cancel(
    State(admin): State<Admin>,
    Json(cancel): Json<Cancel>,
) -> Result<String, Failure> {
    let owners = match owners(&admin.serving.load().config, &cancel.machine) {
        Ok(owners) => owners,
        // Of a machine that has left the config meanwhile.
        Err(unknown) => {
            let owner = Owner::named(&cancel.machine);
            if !admin.hub.one_shots().all().0.contains_key(&owner) {
                return Err(unknown);
            }
            vec![owner]
        }
    };
    let told = owners.first().map(|owner| format!("{owner} boots as usual\n"));
    match (cancel_all(&admin.hub, owners).await?, told) {
        (true, Some(told)) => Ok(told),
        _ => Err(Failure::absent("nothing is armed for this machine")),
    }
}

/// Takes away what is there of these; whether there was something.
async fn cancel_all(hub: &Hub, owners: impl IntoIterator<Item = Owner>) -> Result<bool, Refused> {
    let mut there = false;
    for owner in owners {
        if hub.one_shots().all().0.contains_key(&owner) {
            there |= hub.one_shots().cancel(owner).await?;
        }
    }
    Ok(there)
}

/// Whose the one-shot of this machine may be, the one to arm it for first.
fn owners(config: &Config, name: &str) -> Result<Vec<Owner>, Failure> {
    if let Ok(mac) = name.parse::<Mac>() {
        return Ok(Owner::all_of(config.machines.by_mac(mac), Some(mac)).collect());
    }
    if let Some(machine) = config.machines.iter().find(|machine| machine.name == name) {
        return Ok(Owner::all_of(Some(machine), None).collect());
    }
    let near = nearest(name, config.machines.iter().map(|machine| machine.name.as_str()));
    Err(unknown("machine", name, near))
}

pub(super) fn boot(config: &Config, name: &str) -> Result<BootName, Failure> {
    let found = config.boots.keys().find(|boot| boot.as_str() == name);
    let near = || nearest(name, config.boots.keys().map(BootName::as_str));
    found.cloned().ok_or_else(|| unknown("boot", name, near()))
}

fn unknown(what: &str, name: &str, near: Option<&str>) -> Failure {
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Failure::bad(&format!("there is no {what} {:?}{near}", Text::from(name).as_str()))
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Store(error) => error.into(),
            other => Self::conflict(&other.to_string()),
        }
    }
}

/// How far one is. Who took it and is gone without all of its files will not come back for it.
pub(super) fn view(
    config: &Config,
    (owner, shot): (&Owner, &OneShot),
    hub: &Hub,
    now: Timestamp,
) -> NextBootView {
    let (state, taker, why) = match &shot.stage {
        Stage::Armed if shot.is_expired(now) => ("expired", None, None),
        Stage::Armed => ("armed", None, None),
        Stage::Taken(taker) if goes_on(config, (owner, shot), *taker, hub, now) => {
            ("taken", Some(taker), None)
        }
        Stage::Taken(taker) => ("failed", Some(taker), Some("it did not get all of its files")),
        Stage::Payload(taker) => ("payload", Some(taker), None),
        Stage::Answer(taker) => ("answer", Some(taker), None),
        Stage::Looped(taker) => (
            "looped",
            Some(taker),
            Some("the machine came back before its installation said that it was done"),
        ),
        Stage::Done(taker) => ("done", Some(taker), None),
        Stage::Failed(taker, why) => ("failed", Some(taker), Some(why.as_str())),
    };
    NextBootView {
        boot: shot.boot.to_string(),
        state: state.to_owned(),
        confirm: shot.confirm.as_ref().map(ToString::to_string),
        armed: shot.armed.to_string(),
        expires: shot.expires.map(|expires| expires.to_string()),
        session: taker.map(|taker| taker.session.0),
        why: why.map(str::to_owned),
    }
}

/// Whether who took it may still come for more: an installer until its token ends, long after its session, unless the
/// machine boots something else meanwhile.
fn goes_on(
    config: &Config,
    (owner, shot): (&Owner, &OneShot),
    taker: Taker,
    hub: &Hub,
    now: Timestamp,
) -> bool {
    if hub.is_open(taker, now) {
        return true;
    }
    let kind = config.boots.get(&shot.boot).map(|boot| &boot.kind);
    if !matches!(kind, Some(BootKind::Install(_))) || now.since(taker.started) > TOKEN_LIFE {
        return false;
    }
    let machine = config.machines.iter().find(|machine| machine.name == owner.as_str());
    let macs = machine.map(|machine| machine.macs.clone());
    let macs = macs.unwrap_or_else(|| owner.as_str().parse().into_iter().collect());
    let boots_another = |session: &Session| session.taker() != taker && session.boot.is_some();
    !macs.into_iter().any(|mac| hub.with_session(mac.into(), now, |open| open.is_some_and(boots_another)))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use bootlace_core::config::{Files, Source, load};
    use bootlace_core::event::{DecidedBy, Event, EventKind, Peer, ScriptEvent, ScriptStep};
    use bootlace_core::finding::Trail;
    use bootlace_core::model::Facts;
    use bootlace_core::session::{SILENCE, SessionId};
    use bootlace_store::journal::{Journal, Retention, Writer};

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn config() -> Config {
        let text = "[boot.debian]\nkind = \"install\"\nfamily = \"debian\"\nkernel = \"linux\"\nanswer = \"a.cfg\"\n\
                    [boot.rescue]\nkind = \"linux\"\nkernel = \"linux\"\n\
                    [[machine]]\nname = \"web1\"\nmac = \"52:54:00:00:00:01\"\n";
        let source = Source { name: "bootlace.toml".into(), folder: PathBuf::new(), text: text.into() };
        let files = Files::from([(PathBuf::from("templates/a.cfg"), Ok(String::new()))]);
        load(&source, &files).unwrap_or_else(|findings| panic!("{findings:?}")).config
    }

    fn hub(dir: &Path) -> Hub {
        let writer = Writer::spawn(Journal::open(dir).unwrap(), Retention::default()).unwrap();
        Hub::new(SessionId(1), [], writer)
    }

    fn boots(hub: &Hub, at: Timestamp) -> Taker {
        let mac: Mac = "52:54:00:00:00:01".parse().unwrap();
        let step = ScriptStep::Boot { boot: BootName::new("debian").unwrap(), by: DecidedBy::Default };
        let (facts, trail) = (Facts::new(), Trail::default());
        let script = ScriptEvent { name: "script".into(), step, facts, bytes: 1, trail };
        let peer = Peer { hw: Some(mac.into()), ip: None };
        hub.record(Event { at, peer, kind: EventKind::Script(script) });
        hub.taker(mac.into(), at).unwrap()
    }

    #[test]
    fn an_installation_is_under_way_as_long_as_its_token_is_good() {
        let (dir, config) = (tempfile::tempdir().unwrap(), config());
        let hub = hub(dir.path());
        let taker = boots(&hub, START);
        let state = |boot: &str, owner: &str, now| {
            let (boot, stage) = (BootName::new(boot).unwrap(), Stage::Taken(taker));
            let shot = OneShot { boot, confirm: None, armed: START, expires: None, stage };
            view(&config, (&Owner::named(owner), &shot), &hub, now).state
        };
        let (silent, late) = (START.after(SILENCE * 2), START.after(TOKEN_LIFE + SILENCE));
        assert_eq!(
            (state("rescue", "web1", START).as_str(), state("rescue", "web1", silent).as_str()),
            ("taken", "failed")
        );
        for owner in ["web1", "52:54:00:00:00:01"] {
            assert_eq!(state("debian", owner, silent), "taken");
            assert_eq!(state("debian", owner, late), "failed");
        }
        boots(&hub, silent);
        for owner in ["web1", "52:54:00:00:00:01"] {
            assert_eq!(state("debian", owner, silent), "failed", "the machine boots again");
        }
    }
}
