//! `[[rule]]`.

use super::file::Table;
use super::names::BootNames;
use super::overrides;
use super::report::Report;
use super::types::Rule;
use crate::boot::rules::Match;
use crate::finding::Finding;

/// Reads every rule in file order.
pub(super) fn read(tables: &[Table<'_>], names: &BootNames, report: &mut Report<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut always_on: Option<&Table<'_>> = None;
    for (at, table) in tables.iter().enumerate() {
        if let Some(first) = always_on
            && table.get("boot").is_some()
        {
            let line = report.line(first.span.start);
            let message =
                format!("this rule's boot is never used: the one on line {line} matches everything");
            report.add(Finding::warning("config-rule-unreachable", message), &table.span);
        }
        if ["boot", "loader", "proxy", "ignore", "options", "vars"].iter().all(|key| table.get(key).is_none())
        {
            let message = "this rule sets nothing";
            let finding = Finding::error("config-missing", message);
            report.add(finding.fix("add boot, loader, proxy, ignore, options or vars"), &table.span);
        }
        let keys = match_keys(table, report);
        let matches = matches(&keys, report);
        let everything = keys.is_some_and(|keys| keys.entries().next().is_none());
        if everything && table.get("boot").is_some() {
            always_on.get_or_insert(table);
        }
        rules.push(Rule { number: at + 1, matches, overrides: overrides::read(table, names, report) });
    }
    rules
}

fn match_keys<'a>(table: &Table<'a>, report: &mut Report<'_>) -> Option<Table<'a>> {
    let Some(value) = table.get("match") else {
        let finding = Finding::error("config-missing", "this [[rule]] has no `match`");
        report.add(finding.fix("add one; match = {} holds for every machine"), &table.span);
        return None;
    };
    value.table(report)
}

/// Reads a `match` table; without one, everything matches.
pub(super) fn matches(keys: &Option<Table<'_>>, report: &mut Report<'_>) -> Match {
    let mut matches = Match::default();
    for (key, value) in keys.iter().flat_map(Table::entries) {
        let texts = value.texts(report);
        let patterns: Vec<_> = texts.iter().map(|text| text.value).collect();
        if patterns.len() < value.items().len() {
            continue;
        }
        if let Err(error) = matches.add(key.value, &patterns) {
            let pattern = error.index.and_then(|index| texts.get(index));
            let span = pattern.map_or(&key.span, |text| &text.span);
            let finding = Finding { fix: error.fix, ..Finding::error("config-match", error.message) };
            report.add(finding, span);
        }
    }
    matches
}
