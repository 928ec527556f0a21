//! What `iptables-legacy-save` prints (iptables-save(8)): rules of the old kernel interface, which nft does not list.

use super::ruleset::{Action, Chain, Hook, Key, Operand, Place, Rule, Sense, Stage, Step, Verdict};

/// The family of such chains, beside nft's.
pub(super) const LEGACY: &str = "iptables-legacy";

/// Priorities of tables at a hook (`NF_IP_PRI_*`).
const PRIORITIES: [(&str, i64); 4] = [("raw", -300), ("mangle", -150), ("filter", 0), ("security", 50)];
/// Modules whose options are known, or that match by nothing but their options.
const MODULES: [&str; 6] = ["tcp", "udp", "multiport", "conntrack", "state", "comment"];
/// Targets after which the next rule is looked at.
const PASSING: [&str; 10] =
    ["LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CT", "NOTRACK", "TRACE", "DSCP", "TOS"];

/// The chains of a listing that may drop packets.
pub(super) fn parse(listing: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = None;
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = PRIORITIES.iter().find(|(known, _)| *known == name);
            continue;
        }
        let Some((table, priority)) = table else { continue };
        let place = Place { family: LEGACY.to_owned(), table: (*table).to_owned() };
        if let Some(declared) = line.strip_prefix(':') {
            chains.extend(chain(declared, place, *priority));
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let words = words(rule);
            let Some((name, words)) = words.split_first() else { continue };
            let here = chains.iter_mut().find(|chain| chain.place == place && chain.name == *name);
            if let Some(chain) = here {
                let handle = chain.rules.len() as u64 + 1;
                chain.rules.push(Rule { handle, steps: steps(words) });
            }
        }
    }
    chains
}

/// `INPUT DROP [0:0]`, or `own - [0:0]`.
fn chain(declared: &str, place: Place, priority: i64) -> Option<Chain> {
    let mut words = declared.split(' ');
    let (name, policy) = (words.next()?, words.next()?);
    let stage = match name {
        "PREROUTING" => Some(Stage::Prerouting),
        "INPUT" => Some(Stage::Input),
        "FORWARD" => Some(Stage::Forward),
        _ => None,
    };
    let policy = if policy == "DROP" { Verdict::Drop } else { Verdict::Accept };
    let hook = stage.map(|stage| Hook { stage, priority, devices: Vec::new(), policy });
    Some(Chain { place, name: name.to_owned(), hook, rules: Vec::new() })
}

/// Words as a shell would read them: comments and prefixes of logs are quoted.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            ' ' if !quoted => words.extend(word.take()),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

fn steps(words: &[String]) -> Vec<Step> {
    let (mut steps, mut rest) = (Vec::new(), words);
    while let Some((option, after)) = rest.split_first() {
        let (sense, option, after) = match (option.as_str(), after.split_first()) {
            ("!", Some((negated, after))) => (Sense::NotAmong, negated.as_str(), after),
            (option, _) => (Sense::Among, option, after),
        };
        let value = after.first().map_or("", String::as_str);
        let matched = |key, values| Step::Match { key, sense, values };
        let step = match option {
            "-j" | "-g" => {
                // What follows is the target's own.
                steps.push(target(option, value));
                return steps;
            }
            "-i" => matched(Key::Interface, vec![Operand::Text(pattern(value))]),
            "-o" => matched(Key::OutInterface, vec![Operand::Text(pattern(value))]),
            "-p" => matched(Key::Protocol, vec![protocol(value)]),
            "--dport" | "--dports" => matched(Key::DestinationPort(None), ports(value)),
            "--ctstate" | "--state" => matched(Key::State, states(value)),
            "-m" if MODULES.contains(&value) => Step::Pass,
            "--comment" => Step::Pass,
            _ => Step::Unknown,
        };
        steps.push(step);
        let values = after.iter().take_while(|word| !word.starts_with('-') && *word != "!").count();
        rest = &after[values..];
    }
    steps
}

fn target(option: &str, name: &str) -> Step {
    match (option, name) {
        (_, "ACCEPT") => Step::Do(Action::End(Verdict::Accept)),
        (_, "DROP" | "REJECT") => Step::Do(Action::End(Verdict::Drop)),
        (_, "RETURN") => Step::Do(Action::Return),
        (_, name) if PASSING.contains(&name) => Step::Pass,
        // One that is no chain may do anything: following it finds nothing.
        ("-g", name) => Step::Do(Action::Goto(name.to_owned())),
        (_, name) => Step::Do(Action::Jump(name.to_owned())),
    }
}

/// `eth+` is a prefix, which nft writes `eth*`.
fn pattern(name: &str) -> String {
    name.strip_suffix('+').map_or_else(|| name.to_owned(), |prefix| format!("{prefix}*"))
}

/// One without a name is printed as a number.
fn protocol(name: &str) -> Operand {
    if name.parse::<u8>().is_ok() { Operand::Unknown } else { Operand::Text(name.to_owned()) }
}

/// `67,69,80:90`.
fn ports(list: &str) -> Vec<Operand> {
    let port = |text: &str| {
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => Operand::Range(from, to),
            _ => Operand::Unknown,
        }
    };
    list.split(',').map(port).collect()
}

/// `NEW,RELATED`, which nft writes small.
fn states(list: &str) -> Vec<Operand> {
    list.split(',').map(|state| Operand::Text(state.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As iptables-legacy-save 1.8.9 prints it.
    const LISTING: &str = r#"*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j DROP
COMMIT
*nat
:INPUT ACCEPT [0:0]
COMMIT
*filter
:INPUT DROP [0:0]
:own - [0:0]
-A INPUT ! -i eth+ -p udp -m multiport --dports 67,69:70 -m comment --comment "a -j \"b" -g own
-A INPUT -s 10.0.0.0/8 -m conntrack --ctstate NEW,RELATED -j LOG --log-prefix "-x: "
COMMIT
"#;

    #[test]
    fn chains_are_those_that_may_drop() {
        let chains = parse(LISTING);
        let found: Vec<_> = chains
            .iter()
            .map(|chain| {
                let hook = chain.hook.as_ref().map(|hook| (hook.stage, hook.priority, hook.policy));
                (chain.place.table.as_str(), chain.name.as_str(), hook)
            })
            .collect();
        let hook = |stage, priority, policy| Some((stage, priority, policy));
        assert_eq!(
            found,
            [
                ("raw", "PREROUTING", hook(Stage::Prerouting, -300, Verdict::Accept)),
                ("raw", "OUTPUT", None),
                ("filter", "INPUT", hook(Stage::Input, 0, Verdict::Drop)),
                ("filter", "own", None),
            ]
        );
    }

    #[test]
    fn rules_are_steps_up_to_their_target() {
        let chains = parse(LISTING);
        let rules = &chains[2].rules;
        let text = |text: &str| Operand::Text(text.to_owned());
        assert_eq!(
            rules[0].steps,
            [
                Step::Match { key: Key::Interface, sense: Sense::NotAmong, values: vec![text("eth*")] },
                Step::Match { key: Key::Protocol, sense: Sense::Among, values: vec![text("udp")] },
                Step::Pass,
                Step::Match {
                    key: Key::DestinationPort(None),
                    sense: Sense::Among,
                    values: vec![Operand::Range(67, 67), Operand::Range(69, 70)],
                },
                Step::Pass,
                Step::Pass,
                Step::Do(Action::Goto("own".to_owned())),
            ]
        );
        assert_eq!(
            rules[1].steps,
            [
                Step::Unknown,
                Step::Pass,
                Step::Match {
                    key: Key::State,
                    sense: Sense::Among,
                    values: vec![text("new"), text("related")],
                },
                Step::Pass,
            ]
        );
        assert_eq!(rules[1].handle, 2);
    }
}
