//! One-shots, each change of which is durable before anything follows from it.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use bootlace_core::config::BootName;
use bootlace_core::model::{Text, Timestamp};
use bootlace_core::oneshot::{OneShot, OneShots, Owner, Stage, Taker};
use bootlace_core::session::SessionId;
use rusqlite::{Connection, Row, params};

use crate::StoreError;
use crate::db::{Db, Disk, Durability};
use crate::store::{FILE, MIGRATIONS};

const READ: &str = "SELECT owner, boot, confirm, armed, expires, stage, session, started, why FROM one_shots";
const ARM: &str = "INSERT INTO one_shots (owner, boot, confirm, armed, expires, stage) VALUES ($1, $2, $3, $4, $5, 'armed') \
     ON CONFLICT (owner) DO UPDATE SET boot = excluded.boot, confirm = excluded.confirm, armed = excluded.armed, \
     expires = excluded.expires, stage = 'armed', session = NULL, started = NULL, why = NULL";
const CANCEL: &str = "DELETE FROM one_shots WHERE owner = $1";
/// The condition is what keeps a second session from it.
const TAKE: &str = "UPDATE one_shots SET stage = $1, session = $2, started = $3, why = $4 \
     WHERE owner = $5 AND boot = $6 AND armed = $7 AND stage = 'armed' AND (expires IS NULL OR expires > $8)";
const FINISH: &str = "UPDATE one_shots SET stage = $1, why = $2 \
     WHERE owner = $3 AND session = $4 AND started = $5 AND stage IN ('taken', 'payload', 'answer')";
/// Those that are over, the oldest first.
const FORGET: &str = "DELETE FROM one_shots WHERE owner IN \
     (SELECT owner FROM one_shots WHERE stage IN ('done', 'failed', 'looped') ORDER BY armed LIMIT $1)";

/// A connection of its own to the store, beside the one that writes leases: a one-shot is taken by whoever sends the
/// script, and waits for no DHCP message.
#[derive(Debug)]
pub struct OneShotStore {
    db: Db,
}

impl OneShotStore {
    /// Opens it beside the [`crate::Store`] that has made and locked `dir`.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::on(Disk::System, dir.join(FILE))
    }

    /// The same on the disk of a VFS that SQLite knows by this name, where there is no store beside it.
    pub fn open_on(vfs: &'static CStr, dir: &Path) -> Result<Self, StoreError> {
        Self::on(Disk::Vfs(vfs), dir.join(FILE))
    }

    fn on(disk: Disk, file: PathBuf) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open(disk, file, Durability::EveryCommit, &MIGRATIONS)? })
    }

    /// All of them.
    pub fn all(&self) -> Result<OneShots, StoreError> {
        all(&self.db.conn).map_err(|error| self.db.error("read", &error))
    }

    /// Arms one, in the place of what there was of its owner. Only what is new of `shot` counts: its stage does not.
    pub fn arm(&mut self, owner: &Owner, shot: &OneShot) -> Result<(), StoreError> {
        let confirm = shot.confirm.as_ref().map(Text::as_str);
        let expires = shot.expires.map(|expires| expires.0);
        self.db.write("arm a one-shot in", |conn| {
            let row = params![owner.as_str(), shot.boot.as_str(), confirm, shot.armed.0, expires];
            conn.execute(ARM, row).map(drop)
        })
    }

    /// Removes that of an owner, at whatever stage; whether there was one.
    pub fn cancel(&mut self, owner: &Owner) -> Result<bool, StoreError> {
        self.db.write("cancel a one-shot in", |conn| Ok(conn.execute(CANCEL, [owner.as_str()])? > 0))
    }

    /// Takes `shot` to the stage `to` if it is armed still, and not expired. Whether it did: of all that try, one gets it.
    pub fn take(
        &mut self,
        owner: &Owner,
        shot: &OneShot,
        to: &Stage,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some((stage, taker, why)) = taken(to) else { return Ok(false) };
        self.db.write("take a one-shot in", |conn| {
            let row = params![
                stage,
                taker.session.0.cast_signed(),
                taker.started.0,
                why,
                owner.as_str(),
                shot.boot.as_str(),
                shot.armed.0,
                now.0
            ];
            Ok(conn.execute(TAKE, row)? > 0)
        })
    }

    /// Notes how far one has come, if its taker has it still; whether it has.
    pub fn finish(&mut self, owner: &Owner, to: &Stage) -> Result<bool, StoreError> {
        let Some((stage, taker, why)) = taken(to) else { return Ok(false) };
        self.db.write("finish a one-shot in", |conn| {
            let (session, started) = (taker.session.0.cast_signed(), taker.started.0);
            Ok(conn.execute(FINISH, params![stage, why, owner.as_str(), session, started])? > 0)
        })
    }

    /// Removes up to so many that are over.
    pub fn forget(&mut self, most: usize) -> Result<(), StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.db.write("forget one-shots in", |conn| conn.execute(FORGET, [most]).map(drop))
    }
}

/// A stage behind the first as it is stored.
fn taken(stage: &Stage) -> Option<(&'static str, Taker, Option<&str>)> {
    match stage {
        Stage::Armed => None,
        Stage::Taken(taker) => Some(("taken", *taker, None)),
        Stage::Payload(taker) => Some(("payload", *taker, None)),
        Stage::Answer(taker) => Some(("answer", *taker, None)),
        Stage::Looped(taker) => Some(("looped", *taker, None)),
        Stage::Done(taker) => Some(("done", *taker, None)),
        Stage::Failed(taker, why) => Some(("failed", *taker, Some(why.as_str()))),
    }
}

/// All of them. One that this release has no words for is left out: its machine boots as usual.
pub(crate) fn all(conn: &Connection) -> rusqlite::Result<OneShots> {
    let mut select = conn.prepare(READ)?;
    let rows = select.query_map([], one)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(OneShots(rows.into_iter().flatten().collect()))
}

fn one(row: &Row<'_>) -> rusqlite::Result<Option<(Owner, OneShot)>> {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let time = |at: usize| row.get::<_, Option<i64>>(at).map(|time| time.map(Timestamp));
    let session = row.get::<_, Option<i64>>(6)?.map(|number| SessionId(number.cast_unsigned()));
    let taker = session.zip(time(7)?).map(|(session, started)| Taker { session, started });
    let stage = match (row.get::<_, String>(5)?.as_str(), taker) {
        ("armed", _) => Stage::Armed,
        ("taken", Some(taker)) => Stage::Taken(taker),
        ("payload", Some(taker)) => Stage::Payload(taker),
        ("answer", Some(taker)) => Stage::Answer(taker),
        ("looped", Some(taker)) => Stage::Looped(taker),
        ("done", Some(taker)) => Stage::Done(taker),
        ("failed", Some(taker)) => {
            Stage::Failed(taker, text(8)?.as_deref().map(Text::from).unwrap_or_default())
        }
        _ => return Ok(None),
    };
    let Some(boot) = BootName::new(&row.get::<_, String>(1)?) else { return Ok(None) };
    let shot = OneShot {
        boot,
        confirm: text(2)?.as_deref().map(Text::from),
        armed: Timestamp(row.get(3)?),
        expires: time(4)?,
        stage,
    };
    Ok(Some((Owner::named(&row.get::<_, String>(0)?), shot)))
}

/// Takes all out of a copy of the store: what is put back later must not install a machine anew that was installed
/// meanwhile.
pub(crate) fn leave_out_of(copy: &Path) -> Result<(), StoreError> {
    const THERE: &str = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'one_shots'";
    let clear = || {
        let conn = Connection::open(copy)?;
        // Older releases have none.
        if conn.query_row(THERE, [], |row| row.get::<_, bool>(0))? {
            conn.execute("DELETE FROM one_shots", [])?;
        }
        Ok(())
    };
    clear().map_err(|error| StoreError::sqlite(copy, "write", &error))
}
