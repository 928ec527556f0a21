//! One-shots: each is taken once, whatever happens.

use std::path::Path;

use bootlace_core::config::BootName;
use bootlace_core::model::Timestamp;
use bootlace_core::oneshot::{OneShot, OneShots, Owner, Stage, Taker};
use bootlace_core::session::SessionId;
use bootlace_store::state::{Backup, backup};
use bootlace_store::{Journal, LeaseReader, OneShotStore, Store};

use crate::disk::{DISK, Disk, Random, Sync, vfs};
use crate::make::{START, secs};

fn shot(boot: &str) -> OneShot {
    OneShot {
        boot: BootName::new(boot).unwrap(),
        confirm: Some("X1".into()),
        armed: START,
        expires: Some(secs(7200)),
        stage: Stage::Armed,
    }
}

fn taker(session: u64) -> Taker {
    Taker { session: SessionId(session), started: secs(session) }
}

fn owner() -> Owner {
    Owner::named("web1")
}

fn of(store: &OneShotStore) -> Option<OneShot> {
    store.all().unwrap().0.get(&owner()).cloned()
}

#[test]
fn a_one_shot_is_armed_taken_and_done() {
    let dir = tempfile::tempdir().unwrap();
    let _store = Store::open(dir.path()).unwrap();
    let mut shots = OneShotStore::open(dir.path()).unwrap();
    assert_eq!(shots.all().unwrap(), OneShots::default());
    shots.arm(&owner(), &shot("rescue")).unwrap();
    shots
        .arm(&Owner::named("52:54:00:00:00:01"), &OneShot { confirm: None, expires: None, ..shot("x") })
        .unwrap();
    assert_eq!(of(&shots), Some(shot("rescue")));
    assert_eq!(shots.all().unwrap().0.len(), 2);
    let take = |shots: &mut OneShotStore, armed: &OneShot, session, at| {
        shots.take(&owner(), armed, &Stage::Taken(taker(session)), at).unwrap()
    };
    assert!(!take(&mut shots, &shot("other"), 1, secs(1)), "another one was armed meanwhile");
    assert!(!take(&mut shots, &OneShot { armed: secs(1), ..shot("rescue") }, 1, secs(1)), "the same, anew");
    assert!(!take(&mut shots, &shot("rescue"), 1, secs(7200)), "it has expired");
    assert!(take(&mut shots, &shot("rescue"), 1, secs(7199)));
    assert!(!take(&mut shots, &shot("rescue"), 2, secs(1)), "the second session comes too late");
    assert!(!take(&mut shots, &shot("rescue"), 1, secs(1)), "the first has it already");
    assert_eq!(of(&shots).unwrap().stage, Stage::Taken(taker(1)));
    assert!(!shots.finish(&owner(), &Stage::Done(taker(2))).unwrap(), "it is not his");
    assert!(shots.finish(&owner(), &Stage::Done(taker(1))).unwrap());
    assert!(!shots.finish(&owner(), &Stage::Failed(taker(1), "x".into())).unwrap(), "that is over");
    assert_eq!(
        LeaseReader::open(dir.path()).unwrap().one_shots().unwrap().0[&owner()].stage,
        Stage::Done(taker(1))
    );
    shots.arm(&owner(), &shot("again")).unwrap();
    let failed = Stage::Failed(taker(3), "no such file".into());
    assert!(shots.take(&owner(), &shot("again"), &failed, secs(1)).unwrap(), "it failed at once");
    assert_eq!(of(&shots).unwrap().stage, failed);
    assert!(shots.cancel(&owner()).unwrap() && !shots.cancel(&owner()).unwrap());
    assert_eq!(of(&shots), None);
}

#[test]
fn an_installation_goes_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let _store = Store::open(dir.path()).unwrap();
    let mut shots = OneShotStore::open(dir.path()).unwrap();
    let one = shot("install");
    shots.arm(&owner(), &one).unwrap();
    assert!(shots.take(&owner(), &one, &Stage::Taken(taker(1)), secs(1)).unwrap());
    for stage in [Stage::Payload(taker(1)), Stage::Answer(taker(1)), Stage::Looped(taker(1))] {
        assert!(shots.finish(&owner(), &stage).unwrap(), "{stage:?}");
        let stored = OneShotStore::open(dir.path()).unwrap().all().unwrap().0[&owner()].clone();
        assert_eq!(stored, OneShot { stage, ..one.clone() });
        assert!(!shots.take(&owner(), &one, &Stage::Taken(taker(2)), secs(1)).unwrap());
    }
    assert!(!shots.finish(&owner(), &Stage::Done(taker(1))).unwrap(), "that is over");
    shots.forget(1).unwrap();
    assert_eq!(of(&shots), None);
}

#[test]
fn those_that_are_over_are_forgotten_first() {
    let dir = tempfile::tempdir().unwrap();
    let _store = Store::open(dir.path()).unwrap();
    let mut shots = OneShotStore::open(dir.path()).unwrap();
    for (number, done) in [(1, true), (2, false), (3, true), (4, true)] {
        let (owner, one) =
            (Owner::named(&format!("m{number}")), OneShot { armed: secs(number), ..shot("x") });
        shots.arm(&owner, &one).unwrap();
        assert!(!done || shots.take(&owner, &one, &Stage::Done(taker(9)), secs(5)).unwrap());
    }
    shots.forget(2).unwrap();
    let left: Vec<_> = shots.all().unwrap().0.into_keys().collect();
    assert_eq!(left, [Owner::named("m2"), Owner::named("m4")]);
}

#[test]
fn what_is_put_back_arms_nothing() {
    let (dir, other, to) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path()).unwrap();
    drop(Journal::open(dir.path()).unwrap());
    OneShotStore::open(dir.path()).unwrap().arm(&owner(), &shot("install")).unwrap();
    let copy = to.path().join("copy");
    backup(dir.path(), &copy, START).unwrap();
    drop(store);
    Backup::open(&copy).unwrap().restore(other.path(), START).unwrap();
    let _store = Store::open(other.path()).unwrap();
    assert_eq!(OneShotStore::open(other.path()).unwrap().all().unwrap(), OneShots::default());
}

/// What was promised before the power went.
#[derive(Debug, Default)]
struct Promised {
    armed: Option<OneShot>,
    /// Who was told to have it, and how often anybody was.
    given: Vec<u64>,
    done: bool,
}

const STATE: &str = "/state";
/// More than the power lasts for, mostly.
const STEPS: u32 = 60;

/// One life of the server: steps until the power fails.
fn live(
    random: &mut Random,
    promised: &mut Promised,
    session: &mut u64,
) -> Result<(), bootlace_store::StoreError> {
    let mut shots = OneShotStore::open_on(vfs::NAME, Path::new(STATE))?;
    for _ in 0..STEPS {
        let stored = shots.all()?.0.get(&owner()).cloned();
        match random.below(4) {
            0 if promised.armed.is_none() => {
                // It may be armed or not from here on, so it counts as armed for those who take it.
                let one = OneShot { armed: Timestamp(START.0 + *session as i64), ..shot("install") };
                shots.arm(&owner(), &one)?;
                *promised = Promised { armed: Some(one), ..Promised::default() };
            }
            1 | 2 => {
                *session += 1;
                let Some(one) = stored else { continue };
                if shots.take(&owner(), &one, &Stage::Taken(taker(*session)), secs(1))? {
                    promised.given.push(*session);
                }
            }
            3 if random.below(3) == 0 => {
                if let Some(&last) = promised.given.last()
                    && shots.finish(&owner(), &Stage::Done(taker(last)))?
                {
                    promised.done = true;
                }
                if promised.done {
                    shots.cancel(&owner())?;
                    *promised = Promised::default();
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Many lives, each ended by a power loss at some change of the disk. Why they were wrong, if they were.
fn history(seed: u64, ignores: Option<Sync>) -> Result<(), String> {
    let mut random = Random::new(seed);
    DISK.with_borrow_mut(|disk| *disk = Disk::default());
    drop(OneShotStore::open_on(vfs::NAME, Path::new(STATE)).map_err(|error| error.to_string())?);
    DISK.with_borrow_mut(|disk| disk.ignores = ignores);
    let (mut promised, mut session) = (Promised::default(), 0);
    for _ in 0..12 {
        let before = promised.given.len();
        DISK.with_borrow_mut(|disk| disk.fail_after(1 + random.below(120)));
        let _ends = live(&mut random, &mut promised, &mut session);
        DISK.with_borrow_mut(|disk| disk.power_up(&mut random));
        if promised.given.len() > 1 {
            return Err(format!("given to sessions {:?}", promised.given));
        }
        let shots = OneShotStore::open_on(vfs::NAME, Path::new(STATE)).map_err(|error| error.to_string())?;
        let stored = shots.all().map_err(|error| error.to_string())?.0.get(&owner()).cloned();
        match (&promised.armed, stored.as_ref().map(|shot| &shot.stage)) {
            (Some(_), None) if before > 0 || !promised.given.is_empty() => {
                // Its cancellation was under way.
                if !promised.done {
                    return Err("it is gone".into());
                }
                promised = Promised::default();
            }
            (Some(_), None) => return Err("an armed one is gone".into()),
            (Some(_), Some(Stage::Armed)) if !promised.given.is_empty() => {
                return Err(format!("armed again after session {:?} had it", promised.given));
            }
            (Some(_), Some(Stage::Taken(_))) if promised.done => return Err("it was done".into()),
            // What was under way may have been stored.
            (None, Some(_)) => promised.armed.clone_from(&stored),
            _ => {}
        }
        if let (true, Some(Stage::Taken(taker) | Stage::Done(taker))) =
            (promised.given.is_empty(), stored.as_ref().map(|shot| &shot.stage))
        {
            // Stored, and nobody was told: nobody else gets it.
            promised.given.push(taker.session.0);
        }
    }
    Ok(())
}

const SEEDS: u64 = 150;

#[test]
fn power_losses_give_it_to_one_session_at_most() {
    vfs::register();
    for seed in 0..SEEDS {
        history(seed, None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn a_sync_that_is_left_out_is_noticed() {
    vfs::register();
    let found = (0..SEEDS).find_map(|seed| history(seed, Some(Sync::Log)).err());
    assert!(found.is_some(), "{SEEDS} histories without syncs of the log went well");
}
