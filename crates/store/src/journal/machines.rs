//! The machines seen, kept beside the events that show them: observations, which may lose their last moment,
//! in the same transaction, so that they cost the DHCP path nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bootlace_core::event::{ClientClass, DhcpAnswer, Event, EventKind};
use bootlace_core::model::{Facts, Timestamp};
use bootlace_wire::HwAddr;
use rusqlite::{Connection, OptionalExtension, params};

use super::Record;
use super::append::json;

/// Machines remembered at most, some 600 bytes each; beyond it those not seen for the longest time go. Far above
/// one site, so that only a flood of made-up addresses reaches it.
pub const MACHINES_MAX: u64 = 50_000;

const KNOWN_FACTS: &str = "SELECT facts FROM machines WHERE hw = $1";
const PUT: &str = "INSERT INTO machines (hw, first_seen, last_seen, address, facts) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (hw) DO UPDATE SET last_seen = CASE WHEN excluded.last_seen > machines.last_seen \
     THEN excluded.last_seen ELSE machines.last_seen END, \
     address = COALESCE(excluded.address, machines.address), facts = excluded.facts";
/// A machine that tells nothing new; not written if it was seen at $5 or later, where it is now.
const TOUCH: &str = "INSERT INTO machines (hw, first_seen, last_seen, address, facts) VALUES ($1, $2, $3, $4, '{}') \
     ON CONFLICT (hw) DO UPDATE SET last_seen = excluded.last_seen, \
     address = COALESCE(excluded.address, machines.address) \
     WHERE machines.last_seen < $5 \
     OR COALESCE(excluded.address, machines.address) IS DISTINCT FROM machines.address";
const COUNT: &str = "SELECT COUNT(*) FROM machines";
const FORGET: &str = "DELETE FROM machines WHERE hw IN (SELECT hw FROM machines ORDER BY last_seen LIMIT $1)";

/// How exact the last sighting is of a machine that only renews its lease, which it does every few hours.
const RENEWAL_SLACK_MILLIS: i64 = 60_000;

/// What a batch of records tells of each machine in it.
#[derive(Default)]
pub(super) struct Sightings(BTreeMap<HwAddr, Sighting>);

struct Sighting {
    first: Timestamp,
    last: Timestamp,
    address: Option<Ipv4Addr>,
    facts: Facts,
    /// How much later than the last time it must be to be worth a page.
    slack_millis: i64,
}

impl Sightings {
    pub(super) fn of(records: &[Record]) -> Self {
        let mut seen = Self::default();
        for Record { session, event, .. } in records {
            let Some(hw) = event.peer.hw else { continue };
            let machine = seen.0.entry(hw).or_insert_with(|| Sighting {
                first: event.at,
                last: event.at,
                address: None,
                facts: Facts::new(),
                slack_millis: RENEWAL_SLACK_MILLIS,
            });
            if session.is_some() || !event.is_plain_lease() {
                machine.slack_millis = 0;
            }
            machine.last = event.at.max(machine.last);
            machine.address = address(event).or(machine.address);
            if let Some(facts) = told(event) {
                machine.facts.merge(facts);
            }
        }
        seen
    }

    pub(super) fn save(self, conn: &Connection) -> rusqlite::Result<()> {
        let mut known = conn.prepare_cached(KNOWN_FACTS)?;
        let mut put = conn.prepare_cached(PUT)?;
        let mut touch = conn.prepare_cached(TOUCH)?;
        for (hw, seen) in self.0 {
            let hw = hw.to_string();
            let address = seen.address.map(|address| address.to_string());
            if seen.facts.iter().next().is_none() {
                let newest = seen.last.0.saturating_sub(seen.slack_millis);
                touch.execute(params![hw, seen.first.0, seen.last.0, address, newest])?;
                continue;
            }
            let known: Option<String> = known.query_row([&hw], |row| row.get(0)).optional()?;
            // What cannot be read is learned again.
            let mut facts: Facts =
                known.and_then(|known| serde_json::from_str(&known).ok()).unwrap_or_default();
            facts.merge(&seen.facts);
            put.execute(params![hw, seen.first.0, seen.last.0, address, json(&facts)?])?;
        }
        Ok(())
    }
}

/// Removes what `limit` has no room for.
pub(super) fn forget_beyond(conn: &Connection, limit: u64) -> rusqlite::Result<()> {
    let count: i64 = conn.prepare_cached(COUNT)?.query_row([], |row| row.get(0))?;
    let surplus = count.saturating_sub_unsigned(limit);
    if surplus > 0 {
        conn.prepare_cached(FORGET)?.execute([surplus])?;
    }
    Ok(())
}

/// The address that the machine has after this event.
fn address(event: &Event) -> Option<Ipv4Addr> {
    let given = match &event.kind {
        EventKind::Dhcp(dhcp) => match &dhcp.answer {
            DhcpAnswer::Ack(given) => Some(given.address),
            DhcpAnswer::Offer(_)
            | DhcpAnswer::Nak(_)
            | DhcpAnswer::Exhausted
            | DhcpAnswer::Elsewhere { .. }
            | DhcpAnswer::Silence(_) => None,
        },
        _ => None,
    };
    let known = |ip: &Ipv4Addr| !ip.is_unspecified();
    given.filter(known).or(event.peer.ip.filter(known))
}

/// What firmware and loaders say; what an operating system says of itself is something else.
fn told(event: &Event) -> Option<&Facts> {
    match &event.kind {
        EventKind::Dhcp(dhcp) if dhcp.client != ClientClass::Os => Some(&dhcp.facts),
        EventKind::Script(script) => Some(&script.facts),
        _ => None,
    }
}
