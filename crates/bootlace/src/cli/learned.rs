//! `bootlace learned`.

use anyhow::Result;
use bootlace_core::learn::Setting;
use bootlace_wire::Mac;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Server;
use super::{Format, JsonFlag, say, table};
use crate::api::LearnedView;

const PATH: &str = "/api/v1/learned";

/// How machines have to be booted, as far as their boots have taught it.
#[derive(Args)]
pub(super) struct Learned {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// What was tried on which machine, and what came of it
    List {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        json: JsonFlag,
    },
    /// Say how a machine is to be booted, whatever its boots teach
    Pin {
        /// MAC of the machine
        mac: Mac,
        /// usual, secure, native, small-blocks or other-recipe
        #[arg(value_parser = setting)]
        setting: Setting,
        /// Firmware that it counts for, such as uefi-x64; needed for a machine that was never seen, or with several
        #[arg(long, value_name = "FIRMWARE")]
        firmware: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Forget what is known of a machine, pins too
    Clear {
        /// MAC of the machine
        mac: Mac,
        #[command(flatten)]
        server: Server,
    },
    /// What worked or is pinned, as rules for the config
    Export {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        json: JsonFlag,
    },
}

fn setting(name: &str) -> Result<Setting, String> {
    name.parse().map_err(|()| {
        let known = Setting::ALL.map(Setting::name);
        format!("use one of {}", known.join(", "))
    })
}

impl Learned {
    pub(super) fn run(&self) -> Result<()> {
        match &self.verb {
            Verb::List { server, json } => server.show(PATH, json, list),
            Verb::Pin { mac, setting, firmware, server } => {
                let pin = json!({ "mac": mac.to_string(), "setting": setting.name(), "firmware": firmware });
                say(&server.post(&format!("{PATH}/pin"), &pin.to_string())?)
            }
            Verb::Clear { mac, server } => {
                let clear = json!({ "mac": mac.to_string() });
                say(&server.post(&format!("{PATH}/clear"), &clear.to_string())?)
            }
            Verb::Export { server, json } => {
                let kept = best(server.read(PATH)?);
                match json.format() {
                    Format::Json => say(&serde_json::to_string(&kept)?),
                    Format::Human => say(&export(&kept)),
                }
            }
        }
    }
}

fn list(facts: Vec<LearnedView>) -> String {
    let rows: Vec<_> = facts
        .into_iter()
        .map(|fact| {
            let ended = fact.ending.map(|ending| format!("{ending}, {}", fact.failed.unwrap_or_default()));
            [
                fact.machine.unwrap_or(fact.mac),
                fact.firmware,
                fact.setting,
                fact.state,
                fact.failures.to_string(),
                ended.unwrap_or_default(),
                fact.seen,
            ]
        })
        .collect();
    table::table(["MACHINE", "FIRMWARE", "SETTING", "STATE", "FAILED", "LAST", "SEEN"], &rows)
}

/// What each firmware of a machine is booted by: what is pinned, else what worked last.
fn best(mut facts: Vec<LearnedView>) -> Vec<LearnedView> {
    facts.retain(|fact| fact.pinned.is_some() || fact.worked.is_some());
    // Times of one form sort as texts; the first of each firmware of a machine stays.
    facts.sort_by(|a, b| {
        let key = |fact: &LearnedView| (fact.pinned.is_some(), fact.worked.clone());
        (&a.mac, &a.firmware).cmp(&(&b.mac, &b.firmware)).then_with(|| key(b).cmp(&key(a)))
    });
    facts.dedup_by(|next, first| next.mac == first.mac && next.firmware == first.firmware);
    facts
}

/// Rules say nothing of whether a machine is known, and name the firmware. They count for machines of the config that
/// have no `boot` there; the entry of one that has takes the same keys.
fn export(kept: &[LearnedView]) -> String {
    let mut lines =
        vec!["# How machines have to be booted, as `bootlace learned export` found it.".to_owned()];
    for fact in kept {
        let name = fact.machine.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let key = match (&fact.loader, &fact.proxy) {
            (Some(loader), _) => format!("loader = {loader:?}"),
            (None, Some(proxy)) => format!("proxy = {proxy:?}"),
            (None, None) if fact.setting == Setting::Usual.name() => continue,
            (None, None) => {
                lines.push(format!(
                    "# {}{name} on {}: {}, which only a pin says",
                    fact.mac, fact.firmware, fact.setting
                ));
                continue;
            }
        };
        lines.push(String::new());
        lines.push(format!("# {}{name}: {}", fact.mac, fact.setting));
        lines.push("[[rule]]".to_owned());
        lines.push(format!("match = {{ mac = {:?}, firmware = {:?} }}", fact.mac, fact.firmware));
        lines.push(key);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bootlace_core::config::{Files, Source, load};

    use super::*;

    fn fact(mac: &str, setting: Setting, worked: Option<&str>, pinned: Option<&str>) -> LearnedView {
        LearnedView {
            mac: mac.to_owned(),
            machine: None,
            firmware: "uefi-x64".to_owned(),
            setting: setting.name().to_owned(),
            state: String::new(),
            failures: 0,
            ending: None,
            failed: None,
            worked: worked.map(ToOwned::to_owned),
            pinned: pinned.map(ToOwned::to_owned),
            seen: "2026-11-25".to_owned(),
            loader: (setting == Setting::Native).then(|| "ipxe.efi".to_owned()),
            proxy: (setting == Setting::OtherRecipe).then(|| "offer".to_owned()),
        }
    }

    #[test]
    fn what_is_exported_is_config() {
        let facts = vec![
            fact("02:00:00:00:00:01", Setting::Usual, None, None),
            fact("02:00:00:00:00:01", Setting::Native, Some("2026-11-24"), None),
            fact("02:00:00:00:00:02", Setting::Native, Some("2026-11-25"), None),
            fact("02:00:00:00:00:02", Setting::OtherRecipe, None, Some("2026-11-20")),
            fact("02:00:00:00:00:03", Setting::Usual, Some("2026-11-20"), None),
            fact("02:00:00:00:00:04", Setting::SmallBlocks, Some("2026-11-20"), None),
        ];
        let text = export(&best(facts));
        let source = Source { name: "x".into(), folder: PathBuf::new(), text: text.clone() };
        let config =
            load(&source, &Files::new()).unwrap_or_else(|findings| panic!("{findings:?}\n{text}")).config;
        let rules: Vec<_> = config
            .rules
            .iter()
            .map(|rule| (rule.overrides.proxy.is_some(), &rule.overrides.loader))
            .collect();
        assert_eq!(rules.len(), 2, "{text}");
        assert!(!rules[0].0 && rules[0].1.is_some() && rules[1].0 && rules[1].1.is_none(), "{text}");
        assert!(
            text.contains("02:00:00:00:00:04 on uefi-x64: small-blocks, which only a pin says"),
            "{text}"
        );
    }
}
