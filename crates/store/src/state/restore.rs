//! A backup takes the place of the state, and the state that was there is kept beside it.
//!
//! A power loss at any moment leaves the old state or the new one. The copies lie complete and durable beside the old
//! files before a mark is set; without the mark nothing has happened. With it, whoever opens the state next takes the
//! steps that are missing. A log of the old database must never meet the new one: SQLite would replay it. Hence everything
//! old is out of the way, durably, before anything new takes its place.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bootlace_core::model::Timestamp;

use super::backup::FOLDER_MODE;
use super::{ADOPTED, COMPANIONS, FILES, Manifest, disk, is_closed, verify, verify_backup, with_suffix};
use crate::lock::StateLock;
use crate::{StoreError, journal, store};

/// The mark's file in the state directory. It holds the suffix of what is kept.
const PENDING: &str = "restore-pending";
/// Behind the name of a database whose time comes.
const STAGED: &str = ".restoring";
/// Longest suffix that a mark may hold: a time and its label.
const SUFFIX_BYTES_MAX: usize = 64;

/// A backup that has been looked through.
#[derive(Debug)]
pub struct Backup {
    manifest: Manifest,
    /// Its databases, in the order of [`FILES`], and its file of adopted machines, by their names in the state.
    files: Vec<(&'static str, File)>,
}

/// What a restore has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What is there now.
    pub manifest: Manifest,
    /// The files that were there before, under their new names. None where there were none.
    pub kept: Vec<PathBuf>,
}

impl Backup {
    /// Verifies the backup in `dir` and keeps it open: whoever may no longer read `dir` later can still restore it.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let manifest = verify_backup(dir)?;
        let open = |name: &str| {
            let file = dir.join(name);
            File::open(&file).map_err(|error| StoreError::io(&file, "read", &error))
        };
        let adopted = manifest.adopted.map(|_| ADOPTED);
        let names = FILES.into_iter().chain(adopted);
        let files = names.map(|name| Ok((name, open(name)?))).collect::<Result<_, StoreError>>()?;
        Ok(Self { manifest, files })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Puts it into the place of the state in `dir`, which is made if need be and in which no server may run. A backup of
    /// an older release is brought up to date when a server opens it.
    pub fn restore(self, dir: &Path, at: Timestamp) -> Result<Restored, StoreError> {
        let _lock = StateLock::take(dir)?;
        finish(dir)?;
        // A colon is a letter that some tools for copying files take for a host's end.
        let suffix = format!(".before-{}", at.to_string().replace(':', ""));
        let kept: Vec<PathBuf> = self
            .files
            .iter()
            .filter(|(name, _)| dir.join(name).exists())
            .map(|(name, _)| with_suffix(&dir.join(name), &suffix))
            .collect();
        if let Some(other) = kept.iter().find(|path| path.exists()) {
            return Err(StoreError::unavailable(
                other,
                "keep the state as",
                "it is there already; try again",
            ));
        }
        self.stage(dir).inspect_err(|_| unstage(dir))?;
        mark(dir, &suffix)?;
        finish(dir)?;
        Ok(Restored { manifest: self.manifest, kept })
    }

    /// Copies the files beside the old ones, and reads the copies: a disk that garbles them must not win.
    fn stage(&self, dir: &Path) -> Result<(), StoreError> {
        if self.manifest.adopted.is_some() {
            make_folder(&dir.join(ADOPTED))?;
        }
        for (name, mut file) in self.files.iter().map(|(name, file)| (name, file)) {
            disk::write(&staged(dir, name), &mut file)?;
        }
        let leases = staged(dir, store::FILE);
        super::hold(&leases, verify::leases_in(leases.clone())?, self.manifest.leases)?;
        let journal = staged(dir, journal::FILE);
        super::hold(&journal, verify::journal_in(journal.clone())?, self.manifest.journal)?;
        is_closed(&leases)?;
        is_closed(&journal)?;
        if let Some(said) = self.manifest.adopted {
            let adopted = staged(dir, ADOPTED);
            super::hold(&adopted, super::adopted_in(&adopted)?, said)?;
        }
        sync(dir)
    }
}

/// The folder that a file of the state is in.
fn make_folder(file: &Path) -> Result<(), StoreError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(StoreError::io(folder, "make the folder", &error))
        }
        _ => Ok(()),
    }
}

/// Makes all names durable that a restore changes.
fn sync(dir: &Path) -> Result<(), StoreError> {
    let adopted = dir.join(ADOPTED);
    if let Some(folder) = adopted.parent().filter(|folder| folder.exists()) {
        disk::sync_folder(folder)?;
    }
    disk::sync_folder(dir)
}

/// All that a restore may replace.
fn replaced() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().chain([ADOPTED])
}

fn staged(dir: &Path, name: &str) -> PathBuf {
    with_suffix(&dir.join(name), STAGED)
}

/// Room on a full disk; what cannot be removed is overwritten by the next attempt.
fn unstage(dir: &Path) {
    for name in replaced() {
        let _ = fs::remove_file(staged(dir, name));
    }
}

/// Whether a restore has begun and not ended.
pub(super) fn is_pending(dir: &Path) -> bool {
    dir.join(PENDING).exists()
}

/// From here on the new state counts.
fn mark(dir: &Path, suffix: &str) -> Result<(), StoreError> {
    let (mark, new) = (dir.join(PENDING), dir.join("restore-pending.new"));
    disk::write(&new, &mut suffix.as_bytes())?;
    disk::rename(&new, &mark)?;
    disk::sync_folder(dir)
}

/// Takes the steps of a restore that are missing, if one has begun. For whoever holds the lock.
pub(crate) fn finish(dir: &Path) -> Result<(), StoreError> {
    if !is_pending(dir) {
        return Ok(());
    }
    steps(dir)?.iter().try_for_each(|step| step.take(dir))
}

/// One step; a power loss between two of them leaves what [`steps`] goes on from.
#[derive(Debug)]
enum Step {
    Rename(PathBuf, PathBuf),
    /// What was renamed so far stays so.
    Sync,
    Unmark,
}

impl Step {
    fn take(&self, dir: &Path) -> Result<(), StoreError> {
        match self {
            Self::Rename(from, to) => disk::rename(from, to),
            Self::Sync => sync(dir),
            Self::Unmark => {
                let mark = dir.join(PENDING);
                fs::remove_file(&mark).map_err(|error| StoreError::io(&mark, "remove", &error))?;
                disk::sync_folder(dir)
            }
        }
    }
}

/// The steps that are missing in a marked directory.
fn steps(dir: &Path) -> Result<Vec<Step>, StoreError> {
    let suffix = marked_suffix(dir)?;
    // A database whose copy has gone from beside it is the copy.
    let waiting: Vec<&str> = replaced().filter(|name| staged(dir, name).exists()).collect();
    let mut steps = Vec::new();
    for name in &waiting {
        let old = dir.join(name);
        // The companions follow their database's new name, so that SQLite finds them there.
        for companion in [""].iter().chain(&COMPANIONS) {
            let from = with_suffix(&old, companion);
            if from.exists() {
                steps.push(Step::Rename(from, with_suffix(&with_suffix(&old, &suffix), companion)));
            }
        }
    }
    steps.push(Step::Sync);
    steps.extend(waiting.iter().map(|name| Step::Rename(staged(dir, name), dir.join(name))));
    steps.extend([Step::Sync, Step::Unmark]);
    Ok(steps)
}

fn marked_suffix(dir: &Path) -> Result<String, StoreError> {
    let mark = dir.join(PENDING);
    let suffix = fs::read_to_string(&mark).map_err(|error| StoreError::io(&mark, "read", &error))?;
    let sound = suffix.starts_with(".before-")
        && suffix.len() <= SUFFIX_BYTES_MAX
        && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if sound { Ok(suffix) } else { Err(StoreError::corrupt(&mark, "it is no mark of a restore")) }
}

#[cfg(test)]
mod tests {
    use bootlace_core::dhcp::{Lease, LeaseChange, LeaseState};
    use bootlace_core::model::Text;
    use bootlace_wire::Mac;

    use super::super::{backup, verify_leases};
    use super::*;
    use crate::{Journal, Store};

    const AT: Timestamp = Timestamp(1_795_305_600_000);

    /// A state with so many leases, each committed by itself.
    fn state(dir: &Path, leases: u8) -> Store {
        let mut store = Store::open(dir).unwrap();
        (0..leases).for_each(|number| store.commit(&[lease(number)]).unwrap());
        drop(Journal::open(dir).unwrap());
        make_folder(&dir.join(ADOPTED)).unwrap();
        fs::write(dir.join(ADOPTED), format!("# {leases}")).unwrap();
        store
    }

    fn lease(number: u8) -> LeaseChange {
        LeaseChange::Put(Lease {
            address: [10, 0, 0, number].into(),
            hw: Mac([2, 0, 0, 0, 0, number]).into(),
            state: LeaseState::Bound,
            since: AT,
            noted: AT,
            until: Timestamp::NEVER,
            client_id: None,
            uuid: None,
            hostname: Text::from("web"),
        })
    }

    fn count(dir: &Path) -> usize {
        Store::open(dir).unwrap().leases().unwrap().len()
    }

    /// A state of five leases with its log beside it, as a killed server leaves it, in which a backup of two leases was
    /// being put until so many steps were taken. Says how many there would have been.
    fn interrupted(taken: usize) -> (tempfile::TempDir, PathBuf, usize) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        drop(state(&at("former"), 2));
        backup(&at("former"), &at("backup"), AT).unwrap();
        let running = state(&at("running"), 5);
        let now = at("now");
        fs::create_dir(&now).unwrap();
        make_folder(&now.join(ADOPTED)).unwrap();
        for name in ["bootlace.db", "bootlace.db-wal", "journal.db", ADOPTED] {
            fs::copy(at("running").join(name), now.join(name)).unwrap();
        }
        drop(running);
        Backup::open(&at("backup")).unwrap().stage(&now).unwrap();
        mark(&now, ".before-x").unwrap();
        let steps = steps(&now).unwrap();
        steps.iter().take(taken).for_each(|step| step.take(&now).unwrap());
        (dir, now, steps.len())
    }

    #[test]
    fn a_power_loss_at_any_step_ends_in_the_new_state_and_the_old_one_is_kept() {
        let (_, _, all) = interrupted(0);
        assert!(all >= 10, "four files move, three take their place, and all of that is synced: {all}");
        for done in 0..=all {
            let (dir, now, _) = interrupted(done);
            if done < all {
                let refused = verify_leases(&now).unwrap_err().to_string();
                assert!(refused.contains("cut short"), "{refused}");
            }
            assert_eq!(count(&now), 2, "after {done} steps");
            let old = dir.path().join("old");
            fs::create_dir(&old).unwrap();
            for companion in ["", "-wal"] {
                let kept = now.join(format!("bootlace.db.before-x{companion}"));
                fs::rename(kept, old.join(format!("bootlace.db{companion}"))).unwrap();
            }
            assert_eq!(count(&old), 5, "after {done} steps");
            let adopted = |name: &str| fs::read_to_string(now.join(name)).unwrap();
            assert_eq!(
                (adopted(ADOPTED).as_str(), adopted("adopted/machines.toml.before-x").as_str()),
                ("# 2", "# 5")
            );
        }
    }

    #[test]
    fn without_the_mark_nothing_has_happened() {
        let (_dir, now, _) = interrupted(0);
        fs::remove_file(now.join(PENDING)).unwrap();
        assert_eq!(count(&now), 5);
    }

    #[test]
    fn a_mark_that_leads_elsewhere_is_refused() {
        let (_dir, now, _) = interrupted(0);
        for text in ["", ".before-/../../x", "x"] {
            fs::write(now.join(PENDING), text).unwrap();
            assert!(matches!(Store::open(&now), Err(StoreError::Corrupt { .. })), "{text:?}");
        }
    }
}
