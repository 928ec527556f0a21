//! What boots have taught, as rows.

use std::collections::BTreeMap;

use bootlace_core::learn::{Ending, Fact, Failure, MachineFacts};
use bootlace_core::model::Timestamp;
use bootlace_wire::HwAddr;
use rusqlite::{Connection, Row, params};

const READ: &str = "SELECT hw, firmware, setting, failures, ending, failed, open_ending, opened, worked, pinned, seen \
     FROM learned ORDER BY hw, firmware, setting";
const READ_ONE: &str = "SELECT hw, firmware, setting, failures, ending, failed, open_ending, opened, worked, pinned, \
     seen FROM learned WHERE hw = $1 ORDER BY firmware, setting";
const FORGET: &str = "DELETE FROM learned WHERE hw = $1";
const PUT: &str = "INSERT INTO learned (hw, firmware, setting, failures, ending, failed, open_ending, opened, worked, \
     pinned, seen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// Every fact, by machine. One that this release has no words for is left out: it costs a machine a few boots, not its
/// address.
pub(crate) fn all(conn: &Connection) -> rusqlite::Result<Vec<MachineFacts>> {
    let mut select = conn.prepare(READ)?;
    let rows = select.query_map([], fact)?;
    let mut machines: BTreeMap<HwAddr, Vec<Fact>> = BTreeMap::new();
    for (hw, fact) in rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten() {
        machines.entry(hw).or_default().push(fact);
    }
    Ok(machines.into_iter().map(|(hw, facts)| MachineFacts { hw, facts }).collect())
}

/// The facts of one machine.
pub(crate) fn of(conn: &Connection, hw: HwAddr) -> rusqlite::Result<Vec<Fact>> {
    let mut select = conn.prepare(READ_ONE)?;
    let rows = select.query_map([hw.to_string()], fact)?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rows.into_iter().flatten().map(|(_, fact)| fact).collect())
}

/// Puts these in the place of all that was known of their machines, in the transaction of `conn`.
pub(crate) fn write(conn: &Connection, machines: &[MachineFacts]) -> rusqlite::Result<()> {
    if machines.is_empty() {
        return Ok(());
    }
    let (mut forget, mut put) = (conn.prepare_cached(FORGET)?, conn.prepare_cached(PUT)?);
    for MachineFacts { hw, facts } in machines {
        let hw = hw.to_string();
        forget.execute([&hw])?;
        for fact in facts {
            put.execute(params![
                hw,
                fact.firmware.to_string(),
                fact.setting.name(),
                fact.failures,
                fact.failed.map(|failed| failed.ending.name()),
                fact.failed.map(|failed| failed.at.0),
                fact.open.map(|open| open.ending.name()),
                fact.open.map(|open| open.at.0),
                fact.worked.map(|at| at.0),
                fact.pinned.map(|at| at.0),
                fact.seen.0,
            ])?;
        }
    }
    Ok(())
}

fn fact(row: &Row<'_>) -> rusqlite::Result<Option<(HwAddr, Fact)>> {
    let text = |at| row.get::<_, String>(at);
    let (hw, firmware, setting) = (text(0)?, text(1)?, text(2)?);
    let failures: i64 = row.get(3)?;
    let (failed, open) = (failure(row, 4)?, failure(row, 6)?);
    let (worked, pinned) = (row.get::<_, Option<i64>>(8)?, row.get::<_, Option<i64>>(9)?);
    let seen = row.get(10)?;
    let (Ok(hw), Ok(firmware), Ok(setting)) = (hw.parse(), firmware.parse(), setting.parse()) else {
        return Ok(None);
    };
    let fact = Fact {
        firmware,
        setting,
        failures: u32::try_from(failures).unwrap_or(0),
        failed,
        open,
        worked: worked.map(Timestamp),
        pinned: pinned.map(Timestamp),
        seen: Timestamp(seen),
    };
    Ok(Some((hw, fact)))
}

/// An ending and its time.
fn failure(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Failure>> {
    let (ending, at) = (row.get::<_, Option<String>>(at)?, row.get::<_, Option<i64>>(at + 1)?);
    let ending = ending.and_then(|name| name.parse::<Ending>().ok());
    Ok(ending.zip(at).map(|(ending, at)| Failure { ending, at: Timestamp(at) }))
}
