//! `ranges_for` of a subnet: addresses for some machines.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::file::Table;
use super::keys::RANGES_FOR;
use super::report::{At, Report};
use super::types::{RangesFor, Standing};
use super::{rules, scalar};
use crate::finding::Finding;
use crate::model::Var;

/// What a machine can tell in the message that asks for an address. All else it could only report later.
const TOLD_BY_DHCP: [Var; 8] = [
    Var::Mac,
    Var::Firmware,
    Var::Loader,
    Var::Uuid,
    Var::Hostname,
    Var::UserClass,
    Var::VendorClass,
    Var::ClientId,
];

/// Reads the entries of a subnet; `keep` reports ranges that cannot be lent and gives the others back.
pub(super) fn read(
    subnet: &Table<'_>,
    mut keep: impl FnMut(Vec<At<RangeInclusive<Ipv4Addr>>>, &mut Report<'_>) -> Vec<RangeInclusive<Ipv4Addr>>,
    report: &mut Report<'_>,
) -> Vec<RangesFor> {
    let mut entries: Vec<RangesFor> = Vec::new();
    for table in subnet.sections("ranges_for", &RANGES_FOR, report) {
        if table.get("ranges").is_none() {
            let finding = Finding::error("config-missing", "this entry of ranges_for has no `ranges`");
            report.add(finding.fix("add ranges = [\"10.188.0.60-10.188.0.70\"]"), &table.span);
        }
        if table.get("known").is_none() && table.get("match").is_none() {
            let finding = Finding::error("config-missing", "this entry of ranges_for does not say for whom");
            report.add(finding.fix("add known = true, known = false or match = { ... }"), &table.span);
        }
        let ranges = table.all_parsed("ranges", scalar::address_range, report);
        let ranges = keep(ranges, report);
        let standing =
            table.flag("known", report).map(|known| if known { Standing::Known } else { Standing::Unknown });
        let keys = table.get("match").and_then(|value| value.table(report));
        told_in_time(&keys, report);
        let matches = rules::matches(&keys, report);
        let entry = RangesFor { standing, matches, ranges };
        if entries.iter().any(|before| covers(before, &entry)) {
            let message =
                "these ranges are never used: an entry before this one holds for all of its machines";
            report.add(Finding::warning("config-ranges-unreachable", message), &table.span);
        }
        entries.push(entry);
    }
    entries
}

/// A variable that comes after the address cannot choose it.
fn told_in_time(keys: &Option<Table<'_>>, report: &mut Report<'_>) {
    for (key, _) in keys.iter().flat_map(Table::entries) {
        if key.value.parse::<Var>().is_ok_and(|var| !TOLD_BY_DHCP.contains(&var)) {
            let message = format!("a machine tells its `{}` only when it has an address already", key.value);
            let known: Vec<_> = TOLD_BY_DHCP.iter().map(|var| var.name()).collect();
            let fix = format!("ranges can depend on {}", known.join(", "));
            report.add(Finding::error("config-match", message).fix(fix), &key.span);
        }
    }
}

/// Whether an entry leaves nothing for a later one.
fn covers(before: &RangesFor, entry: &RangesFor) -> bool {
    let takes_all = before.matches.uses().next().is_none();
    takes_all && (before.standing.is_none() || before.standing == entry.standing)
}
