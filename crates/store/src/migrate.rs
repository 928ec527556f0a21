//! Schemas go forward only: each release brings a file up to its own, and leaves a newer file alone.

use rusqlite::{Connection, TransactionBehavior};

/// One step. Once released, a step is never edited: the next change is the next step.
pub(crate) struct Migration {
    /// 1, 2, 3, ...
    pub(crate) version: i64,
    /// The statements that lead there from the version before.
    pub(crate) sql: &'static str,
}

/// Why a file was not brought up to date.
#[derive(Debug)]
pub(crate) enum MigrateError {
    /// A later release was here.
    Newer {
        found: i64,
        known: i64,
    },
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// The schema that `migrations` lead to.
pub(crate) fn newest(migrations: &[Migration]) -> i64 {
    migrations.last().map_or(0, |last| last.version)
}

/// Takes all the steps that are missing, or none.
pub(crate) fn migrate(conn: &mut Connection, migrations: &[Migration]) -> Result<(), MigrateError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT NOT NULL PRIMARY KEY)")?;
    let found = version(&tx)?;
    let known = newest(migrations);
    if found > known {
        return Err(MigrateError::Newer { found, known });
    }
    for step in migrations.iter().filter(|step| step.version > found) {
        tx.execute_batch(step.sql)?;
        tx.execute("INSERT INTO schema_versions (version) VALUES ($1)", [step.version])?;
    }
    tx.commit()?;
    Ok(())
}

/// The schema that a file has.
pub(crate) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT COALESCE(MAX(version), 0) FROM schema_versions", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Migration; 2] = [
        Migration { version: 1, sql: "CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (1);" },
        Migration { version: 2, sql: "ALTER TABLE a ADD COLUMN y BIGINT NOT NULL DEFAULT 7;" },
    ];

    fn sum(conn: &Connection) -> i64 {
        conn.query_row("SELECT x + y FROM a", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn takes_only_the_missing_steps() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, &STEPS[..1]).unwrap();
        assert_eq!(version(&conn).unwrap(), 1);
        for _ in 0..2 {
            migrate(&mut conn, &STEPS).unwrap();
            assert_eq!((version(&conn).unwrap(), sum(&conn)), (2, 8));
        }
    }

    #[test]
    fn leaves_a_newer_file_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, &STEPS).unwrap();
        let refused = migrate(&mut conn, &STEPS[..1]);
        assert!(matches!(refused, Err(MigrateError::Newer { found: 2, known: 1 })), "{refused:?}");
        assert_eq!(sum(&conn), 8);
    }

    #[test]
    fn a_failing_step_takes_back_all() {
        let broken = [
            Migration { version: 1, sql: "CREATE TABLE a (x BIGINT);" },
            Migration { version: 2, sql: "ALTER TABLE b ADD COLUMN y BIGINT;" },
        ];
        let mut conn = Connection::open_in_memory().unwrap();
        assert!(matches!(migrate(&mut conn, &broken), Err(MigrateError::Sql(_))));
        let tables: i64 = conn.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
    }
}
