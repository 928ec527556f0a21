//! What `nft -j list ruleset` prints (libnftables-json(5)), as far as it decides about a packet that comes to this host.

use std::collections::BTreeMap;

use serde_json::Value;

/// Where a chain is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) family: String,
    pub(super) table: String,
}

/// A chain with its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) place: Place,
    pub(super) name: String,
    /// For one that the kernel enters with packets that come in.
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Rule>,
}

/// Where the kernel looks at a packet, in the order that it comes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// As it leaves the network card, also before packet sockets of a protocol hear it.
    Ingress,
    Prerouting,
    /// When it is for this host.
    Input,
    /// When it is for another one.
    Forward,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) stage: Stage,
    pub(super) priority: i64,
    /// The interfaces of one at [`Stage::Ingress`], where they are known.
    pub(super) devices: Vec<String>,
    /// What becomes of packets that no rule decides about.
    pub(super) policy: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) handle: u64,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
}

/// What a rule does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    End(Verdict),
    /// Into another chain and back.
    Jump(String),
    /// Into another chain for good.
    Goto(String),
    /// Back to the chain that jumped here.
    Return,
}

/// A part of a rule, from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Goes on if the packet's value is among these.
    Match {
        key: Key,
        sense: Sense,
        values: Vec<Operand>,
    },
    /// The action of the value; goes on if there is none.
    Map {
        key: Key,
        entries: Vec<(Operand, Action)>,
    },
    Do(Action),
    /// Decides nothing: counters, logs.
    Pass,
    /// May go on or not: limits, conntrack marks, what is not understood.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    Among,
    NotAmong,
    /// A comparison by size or bits, which no port of ours is usually in.
    Other,
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Interface,
    /// The one that it leaves by.
    OutInterface,
    /// Of the frame: `ip`, `ip6`, `arp`.
    EtherType,
    /// The transport protocol.
    Protocol,
    /// `ipv4` or `ipv6`.
    Family,
    /// Of this transport, or of any.
    DestinationPort(Option<String>),
    /// Conntrack's state.
    State,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Text(String),
    Number(u64),
    Range(u64, u64),
    Unknown,
}

/// The chains of a listing; `None` for something else.
pub(super) fn parse(json: &str) -> Option<Vec<Chain>> {
    let listing: Value = serde_json::from_str(json).ok()?;
    let objects = listing.get("nftables")?.as_array()?;
    let sets = sets(objects);
    let mut chains: Vec<Chain> = objects.iter().filter_map(|object| chain(object.get("chain")?)).collect();
    for rule in objects.iter().filter_map(|object| object.get("rule")) {
        let (Some(place), Some(name)) = (place(rule), text(rule, "chain")) else { continue };
        let steps = rule.get("expr").and_then(Value::as_array).into_iter().flatten();
        let steps = steps.map(|step| self::step(step, &place, &sets)).collect();
        let handle = rule.get("handle").and_then(Value::as_u64).unwrap_or(0);
        if let Some(chain) = chains.iter_mut().find(|chain| chain.place == place && chain.name == name) {
            chain.rules.push(Rule { handle, steps });
        }
    }
    Some(chains)
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn place(object: &Value) -> Option<Place> {
    Some(Place { family: text(object, "family")?.to_owned(), table: text(object, "table")?.to_owned() })
}

fn chain(object: &Value) -> Option<Chain> {
    let stage = match text(object, "hook") {
        _ if text(object, "type") != Some("filter") => None,
        Some("ingress") => Some(Stage::Ingress),
        Some("prerouting") => Some(Stage::Prerouting),
        Some("input") => Some(Stage::Input),
        Some("forward") => Some(Stage::Forward),
        _ => None,
    };
    let devices = match object.get("dev") {
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    let hook = stage.map(|stage| Hook {
        stage,
        priority: object.get("prio").and_then(Value::as_i64).unwrap_or(0),
        devices,
        policy: if text(object, "policy") == Some("drop") { Verdict::Drop } else { Verdict::Accept },
    });
    Some(Chain { place: place(object)?, name: text(object, "name")?.to_owned(), hook, rules: Vec::new() })
}

/// The interfaces of ingress chains, which older programs (1.0.6) leave out of their JSON, from what `nft list chains`
/// prints.
pub(super) fn add_devices(chains: &mut [Chain], listing: &str) {
    let (mut place, mut name) = (None, None);
    for line in listing.lines() {
        let words: Vec<&str> =
            line.split([' ', '\t', ',', ';', '"']).filter(|word| !word.is_empty()).collect();
        match words[..] {
            ["table", family, table, "{"] => {
                place = Some(Place { family: family.to_owned(), table: table.to_owned() });
            }
            ["chain", chain, "{"] => name = Some(chain.to_owned()),
            ["type", _, "hook", "ingress", "device" | "devices", ref rest @ ..] => {
                let named = rest.iter().take_while(|word| **word != "priority");
                let devices =
                    named.filter(|word| !["=", "{", "}"].contains(word)).map(|&word| word.to_owned());
                let here = |chain: &&mut Chain| {
                    Some(&chain.place) == place.as_ref() && Some(&chain.name) == name.as_ref()
                };
                if let Some(hook) = chains.iter_mut().find(here).and_then(|chain| chain.hook.as_mut()) {
                    hook.devices = devices.collect();
                }
            }
            _ => {}
        }
    }
}

type Sets = BTreeMap<(Place, String), Vec<Operand>>;

fn sets(objects: &[Value]) -> Sets {
    let sets = objects.iter().filter_map(|object| object.get("set"));
    sets.filter_map(|set| {
        let elements = set.get("elem").and_then(Value::as_array).into_iter().flatten();
        let elements = elements.map(|element| match element.get("elem") {
            // With a timeout or a comment.
            Some(inner) => operand(inner.get("val").unwrap_or(&Value::Null)),
            None => operand(element),
        });
        Some(((place(set)?, text(set, "name")?.to_owned()), elements.collect()))
    })
    .collect()
}

fn step(step: &Value, place: &Place, sets: &Sets) -> Step {
    let Some((name, of)) = step.as_object().and_then(|object| object.iter().next()) else {
        return Step::Unknown;
    };
    if let Some(action) = action(name, of) {
        return Step::Do(action);
    }
    match name.as_str() {
        "match" => {
            let sense = match text(of, "op") {
                Some("==" | "in") => Sense::Among,
                Some("!=") => Sense::NotAmong,
                _ => Sense::Other,
            };
            Step::Match { key: key(&of["left"]), sense, values: operands(&of["right"], place, sets) }
        }
        "vmap" => {
            let entries = of["data"].get("set").and_then(Value::as_array).into_iter().flatten();
            let entries = entries.filter_map(|entry| {
                let (name, of) = entry.get(1)?.as_object()?.iter().next()?;
                Some((operand(entry.get(0)?), action(name, of)?))
            });
            Step::Map { key: key(&of["key"]), entries: entries.collect() }
        }
        "counter" | "log" | "comment" | "notrack" | "mangle" => Step::Pass,
        _ => Step::Unknown,
    }
}

fn action(name: &str, of: &Value) -> Option<Action> {
    let target = || text(of, "target").map(str::to_owned);
    match name {
        "accept" => Some(Action::End(Verdict::Accept)),
        "drop" | "reject" => Some(Action::End(Verdict::Drop)),
        "jump" => target().map(Action::Jump),
        "goto" => target().map(Action::Goto),
        "return" => Some(Action::Return),
        _ => None,
    }
}

fn key(left: &Value) -> Key {
    if let Some(meta) = left.get("meta") {
        return match text(meta, "key") {
            Some("iif" | "iifname") => Key::Interface,
            Some("oif" | "oifname") => Key::OutInterface,
            Some("protocol") => Key::EtherType,
            Some("l4proto") => Key::Protocol,
            Some("nfproto") => Key::Family,
            _ => Key::Other,
        };
    }
    if let Some(ct) = left.get("ct") {
        return if text(ct, "key") == Some("state") { Key::State } else { Key::Other };
    }
    let Some(payload) = left.get("payload") else { return Key::Other };
    match (text(payload, "protocol"), text(payload, "field")) {
        (Some("ether"), Some("type")) => Key::EtherType,
        (Some("th"), Some("dport")) => Key::DestinationPort(None),
        (Some(protocol), Some("dport")) => Key::DestinationPort(Some(protocol.to_owned())),
        (Some("ip"), Some("protocol")) => Key::Protocol,
        _ => Key::Other,
    }
}

fn operands(right: &Value, place: &Place, sets: &Sets) -> Vec<Operand> {
    if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        let named = sets.get(&(place.clone(), name.to_owned()));
        return named.cloned().unwrap_or_else(|| vec![Operand::Unknown]);
    }
    match right.get("set").unwrap_or(right) {
        Value::Array(many) => many.iter().map(operand).collect(),
        one => vec![operand(one)],
    }
}

fn operand(value: &Value) -> Operand {
    if let Some(text) = value.as_str() {
        return Operand::Text(text.to_owned());
    }
    if let Some(number) = value.as_u64() {
        return Operand::Number(number);
    }
    let range = value.get("range").and_then(Value::as_array);
    match range.map(|ends| (ends.first().and_then(Value::as_u64), ends.get(1).and_then(Value::as_u64))) {
        Some((Some(from), Some(to))) => Operand::Range(from, to),
        _ => Operand::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_ingress_chains_are_added() {
        // As nft 1.0.6 prints both.
        let json = r#"{"nftables":[{"chain":{"family":"netdev","table":"early","name":"in","type":"filter","hook":"ingress","prio":0,"policy":"accept"}},
            {"chain":{"family":"netdev","table":"early","name":"two","type":"filter","hook":"ingress","prio":1,"policy":"accept"}}]}"#;
        let text = "table netdev early {\n\tchain in {\n\t\ttype filter hook ingress device \"eth0\" priority filter; policy accept;\n\t}\n\n\tchain two {\n\t\ttype filter hook ingress devices = { eth0, eth1 } priority filter + 1; policy accept;\n\t}\n}\n";
        let mut chains = parse(json).unwrap();
        add_devices(&mut chains, text);
        let devices: Vec<_> = chains
            .iter()
            .filter_map(|chain| chain.hook.as_ref())
            .map(|hook| hook.devices.join(" "))
            .collect();
        assert_eq!(devices, ["eth0", "eth0 eth1"]);
    }
}
