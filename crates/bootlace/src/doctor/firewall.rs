//! Whether this host's firewall lets machines' first packets in.
//!
//! A packet to each port is led through the rules in thought. What a rule does that hangs on something unknown, such as
//! the machine's address, is taken for the better: a finding is certain, its absence is not.

use std::fs;
use std::io;
use std::process::Command;

use bootlace_core::config::Config;
use bootlace_core::finding::Finding;

use super::ports::{Needed, Transport, needed};
use super::ruleset::{Action, Chain, Key, Operand, Sense, Step, Verdict, parse};
use super::{Code, error, note};
use crate::net::Interface;

/// Chains that jump to chains: the kernel allows 16 (`NFT_JUMP_STACK_SIZE`).
const DEPTH_MAX: usize = 16;
const LEGACY_TABLES: &str = "/proc/net/ip_tables_names";

pub(super) fn drops(config: &Config, served: &[Interface]) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        legacy(&fs::read_to_string(LEGACY_TABLES).unwrap_or_default()).into_iter().collect();
    match ruleset() {
        Ruleset::Chains(chains) => {
            let ports = needed(config);
            findings.extend(served.iter().flat_map(|one| judge(&chains, &one.name, &ports)));
        }
        Ruleset::NoProgram => {
            findings.extend(unlisted(&fs::read_to_string("/proc/modules").unwrap_or_default()));
        }
        Ruleset::Refused(why) => findings.push(
            note(Code::FirewallUnread, "the firewall rules of this host cannot be read")
                .evidence(why)
                .fix("run the doctor as root, or see `nft list ruleset` for rules that drop"),
        ),
    }
    findings
}

enum Ruleset {
    Chains(Vec<Chain>),
    NoProgram,
    Refused(String),
}

fn ruleset() -> Ruleset {
    // A user's PATH may lack the folder that it is in.
    let list = |program| Command::new(program).args(["-j", "list", "ruleset"]).output();
    let output = match list("nft").or_else(|_| list("/usr/sbin/nft")) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ruleset::NoProgram,
        Err(error) => return Ruleset::Refused(error.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Ruleset::Refused(said.lines().next().unwrap_or_default().to_owned());
    }
    match parse(&String::from_utf8_lossy(&output.stdout)) {
        Some(chains) => Ruleset::Chains(chains),
        None => Ruleset::Refused("nft prints another form than this version knows".to_owned()),
    }
}

/// Rules of the old kernel interface, which nft does not list.
fn legacy(tables: &str) -> Option<Finding> {
    tables.lines().any(|table| table == "filter").then(|| {
        note(
            Code::FirewallUnread,
            "there are rules of iptables' old interface, which the doctor cannot judge",
        )
        .evidence(format!("{LEGACY_TABLES} names the table filter"))
        .fix("iptables-legacy -L INPUT -n -v")
    })
}

/// Without nft one only knows whether the kernel could have rules.
fn unlisted(modules: &str) -> Option<Finding> {
    modules.lines().any(|line| line.starts_with("nf_tables ")).then(|| {
        note(
            Code::FirewallUnread,
            "there may be firewall rules, which cannot be read without the program nft",
        )
        .evidence("the kernel has the module nf_tables")
        .fix("apt-get install nftables, and run the doctor again")
    })
}

/// A packet of a machine that nobody has answered yet.
struct Packet<'a> {
    interface: &'a str,
    needed: Needed,
}

fn judge(chains: &[Chain], interface: &str, ports: &[Needed]) -> Vec<Finding> {
    let mut hooks: Vec<&Chain> = chains
        .iter()
        .filter(|chain| chain.hook.is_some() && matches!(chain.place.family.as_str(), "ip" | "inet"))
        .collect();
    hooks.sort_by_key(|chain| chain.hook.map(|hook| hook.priority));
    let mut dropped: Vec<Dropped<'_>> = Vec::new();
    for &needed in ports {
        let packet = Packet { interface, needed };
        let Some((chain, why)) =
            hooks.iter().find_map(|&chain| Some((chain, why_dropped(chains, chain, &packet)?)))
        else {
            continue;
        };
        match dropped.iter_mut().find(|other| other.chain == chain && other.why == why) {
            Some(same) => same.ports.push(needed),
            None => dropped.push(Dropped { ports: vec![needed], chain, why }),
        }
    }
    let keeper = Keeper::of(chains);
    dropped.iter().map(|one| found(interface, one, keeper)).collect()
}

/// Ports whose packets end at the same place.
struct Dropped<'a> {
    ports: Vec<Needed>,
    chain: &'a Chain,
    why: Why,
}

fn found(interface: &str, dropped: &Dropped<'_>, keeper: Keeper) -> Finding {
    let Dropped { ports, chain, why } = dropped;
    let place = format!("{} {} {}", chain.place.family, chain.place.table, chain.name);
    let evidence = match why {
        Why::Policy => format!("the policy of chain {place} is drop, and no rule accepts it"),
        Why::Rule(chain, handle) => format!("the rule with handle {handle} in chain {chain} drops it"),
    };
    let services: Vec<String> = ports
        .iter()
        .map(|needed| format!("{} ({} port {})", needed.service, needed.transport.name(), needed.port))
        .collect();
    let message = format!("a firewall drops what machines send to {} on {interface}", services.join(", "));
    let commands: Vec<String> = match keeper {
        Keeper::Nobody => [Transport::Udp, Transport::Tcp]
            .into_iter()
            .filter_map(|transport| rule(interface, ports, transport, &place))
            .collect(),
        Keeper::Firewalld => ports.iter().map(|&needed| firewalld(interface, needed)).collect(),
        Keeper::Ufw => ports.iter().map(|&needed| ufw(interface, needed)).collect(),
    };
    let lasting = match keeper {
        Keeper::Firewalld => ", and the same with --permanent",
        Keeper::Ufw => "",
        Keeper::Nobody => ", and the same in /etc/nftables.conf",
    };
    error(Code::FirewallDrops, message).evidence(evidence).fix(commands.join("; ") + lasting)
}

/// One for all ports of a transport.
fn rule(interface: &str, ports: &[Needed], transport: Transport, place: &str) -> Option<String> {
    let ports: Vec<String> =
        ports.iter().filter(|one| one.transport == transport).map(|one| one.port.to_string()).collect();
    let set = match ports.as_slice() {
        [] => return None,
        [port] => port.clone(),
        ports => format!("'{{ {} }}'", ports.join(", ")),
    };
    Some(format!("nft insert rule {place} iifname \"{interface}\" {} dport {set} accept", transport.name()))
}

/// Who writes the rules: what is changed behind its back is lost when it writes them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Firewalld,
    Ufw,
    Nobody,
}

impl Keeper {
    fn of(chains: &[Chain]) -> Self {
        if chains.iter().any(|chain| chain.place.table == "firewalld") {
            Self::Firewalld
        } else if chains.iter().any(|chain| chain.name.starts_with("ufw-")) {
            Self::Ufw
        } else {
            Self::Nobody
        }
    }
}

fn firewalld(interface: &str, needed: Needed) -> String {
    let (transport, port) = (needed.transport.name(), needed.port);
    let zone = format!("\"$(firewall-cmd --get-zone-of-interface={interface})\"");
    format!("firewall-cmd --zone={zone} --add-port={port}/{transport}")
}

fn ufw(interface: &str, needed: Needed) -> String {
    format!("ufw allow in on {interface} to any port {} proto {}", needed.port, needed.transport.name())
}

#[derive(PartialEq)]
enum Why {
    Policy,
    /// The chain and the rule's handle.
    Rule(String, u64),
}

fn why_dropped(chains: &[Chain], chain: &Chain, packet: &Packet<'_>) -> Option<Why> {
    match walk(chains, chain, packet, 0) {
        Walked::Ended(Verdict::Drop, why) => Some(why),
        Walked::Ended(Verdict::Accept, _) | Walked::Perhaps => None,
        Walked::Through => (chain.hook?.policy == Verdict::Drop).then_some(Why::Policy),
    }
}

/// What comes of a packet in a chain.
enum Walked {
    Ended(Verdict, Why),
    /// Something unknown may have accepted it.
    Perhaps,
    /// Nothing decided.
    Through,
}

/// Whether a rule's condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Unknown,
}

fn walk(chains: &[Chain], chain: &Chain, packet: &Packet<'_>, depth: usize) -> Walked {
    if depth > DEPTH_MAX {
        return Walked::Perhaps;
    }
    for rule in &chain.rules {
        let Some((action, certain)) = applied(&rule.steps, packet) else { continue };
        let target =
            |name: &str| chains.iter().find(|other| other.place == chain.place && other.name == name);
        let (walked, is_goto) = match action {
            Action::End(verdict) => {
                (Walked::Ended(*verdict, Why::Rule(chain.name.clone(), rule.handle)), false)
            }
            Action::Return => return if certain == Holds::Yes { Walked::Through } else { Walked::Perhaps },
            Action::Jump(name) | Action::Goto(name) => {
                let Some(target) = target(name) else { return Walked::Perhaps };
                (walk(chains, target, packet, depth + 1), matches!(action, Action::Goto(_)))
            }
        };
        match (walked, certain) {
            (Walked::Through, Holds::Yes) if is_goto => return Walked::Through,
            (Walked::Through, _) if is_goto => return Walked::Perhaps,
            (Walked::Through, _) => {}
            (decided, Holds::Yes) => return decided,
            // Perhaps it does not apply, and then nothing is dropped here.
            (Walked::Ended(Verdict::Drop, _), _) => {}
            _ => return Walked::Perhaps,
        }
    }
    Walked::Through
}

/// What a rule does with the packet, and whether it surely does.
fn applied<'a>(steps: &'a [Step], packet: &Packet<'_>) -> Option<(&'a Action, Holds)> {
    let mut certain = Holds::Yes;
    for step in steps {
        match step {
            Step::Match { key, sense, values } => match holds(key, *sense, values, packet) {
                Holds::No => return None,
                Holds::Unknown => certain = Holds::Unknown,
                Holds::Yes => {}
            },
            Step::Map { key, entries } => {
                for (value, action) in entries {
                    match holds(key, Sense::Among, std::slice::from_ref(value), packet) {
                        Holds::No => {}
                        Holds::Yes => return Some((action, certain)),
                        Holds::Unknown => return Some((action, Holds::Unknown)),
                    }
                }
            }
            Step::Do(action) => return Some((action, certain)),
            Step::Pass => {}
            Step::Unknown => certain = Holds::Unknown,
        }
    }
    None
}

fn holds(key: &Key, sense: Sense, values: &[Operand], packet: &Packet<'_>) -> Holds {
    if sense == Sense::Other {
        return Holds::Unknown;
    }
    let transport = packet.needed.transport.name();
    let among = match key {
        Key::DestinationPort(Some(of)) if of != transport => return Holds::No,
        Key::DestinationPort(_) => any(values, |value| port_is(value, packet.needed.port)),
        Key::Interface => any(values, |value| text_is(value, &|name| covers(name, packet.interface))),
        Key::Protocol => any(values, |value| text_is(value, &|name| name == transport)),
        Key::Family => any(values, |value| text_is(value, &|name| name == "ipv4")),
        Key::State => any(values, |value| text_is(value, &|name| name == "new")),
        Key::Other => Holds::Unknown,
    };
    match (sense, among) {
        (Sense::NotAmong, Holds::Yes) => Holds::No,
        (Sense::NotAmong, Holds::No) => Holds::Yes,
        (_, among) => among,
    }
}

fn any(values: &[Operand], is: impl Fn(&Operand) -> Holds) -> Holds {
    let mut among = Holds::No;
    for value in values {
        match is(value) {
            Holds::Yes => return Holds::Yes,
            Holds::Unknown => among = Holds::Unknown,
            Holds::No => {}
        }
    }
    among
}

fn port_is(value: &Operand, port: u16) -> Holds {
    let is = match value {
        Operand::Number(number) => *number == u64::from(port),
        Operand::Range(from, to) => (*from..=*to).contains(&u64::from(port)),
        Operand::Text(_) | Operand::Unknown => return Holds::Unknown,
    };
    if is { Holds::Yes } else { Holds::No }
}

fn text_is(value: &Operand, is: &dyn Fn(&str) -> bool) -> Holds {
    match value {
        Operand::Text(text) if is(text) => Holds::Yes,
        Operand::Text(_) => Holds::No,
        _ => Holds::Unknown,
    }
}

/// `eth*` is a prefix.
fn covers(pattern: &str, interface: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => interface.starts_with(prefix),
        None => pattern == interface,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DHCP: Needed = Needed { transport: Transport::Udp, port: 67, service: "DHCP" };
    const HTTP: Needed = Needed { transport: Transport::Tcp, port: 80, service: "HTTP" };

    /// As nft prints them.
    const ESTABLISHED: &str = r#"{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["established",{"accept":null}],["invalid",{"drop":null}]]}}}"#;
    const LOOPBACK: &str =
        r#"{"match":{"op":"==","left":{"meta":{"key":"iif"}},"right":"lo"}},{"accept":null}"#;
    const PORTS: &str = r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"eth*"}},{"match":{"op":"==","left":{"payload":{"protocol":"udp","field":"dport"}},"right":{"set":[{"range":[66,68]},69]}}},{"counter":{"packets":0,"bytes":0}},{"accept":null}"#;
    const SOURCE: &str = r#"{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":{"prefix":{"addr":"10.0.0.0","len":8}}}},{"accept":null}"#;
    const DROP_67: &str = r#"{"match":{"op":"==","left":{"payload":{"protocol":"udp","field":"dport"}},"right":67}},{"drop":null}"#;
    const LIMITED: &str = r#"{"limit":{"rate":5,"burst":5,"per":"second"}},{"reject":null}"#;
    const NAMED: &str = r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":"@web"}},{"jump":{"target":"other"}}"#;

    fn chains(policy: &str, rules: &[&str]) -> Vec<Chain> {
        let mut objects = vec![
            r#"{"metainfo":{"version":"1.0.6"}}"#.to_owned(),
            r#"{"table":{"family":"inet","name":"filter","handle":1}}"#.to_owned(),
            r#"{"set":{"family":"inet","table":"filter","name":"web","elem":[80,{"elem":{"val":443,"comment":"x"}}]}}"#.to_owned(),
            format!(r#"{{"chain":{{"family":"inet","table":"filter","name":"input","type":"filter","hook":"input","prio":0,"policy":"{policy}"}}}}"#),
            r#"{"chain":{"family":"inet","table":"filter","name":"other"}}"#.to_owned(),
            r#"{"rule":{"family":"inet","table":"filter","chain":"other","handle":99,"expr":[{"accept":null}]}}"#.to_owned(),
        ];
        objects.extend(rules.iter().enumerate().map(|(at, rule)| {
            format!(r#"{{"rule":{{"family":"inet","table":"filter","chain":"input","handle":{at},"expr":[{rule}]}}}}"#)
        }));
        parse(&format!(r#"{{"nftables":[{}]}}"#, objects.join(","))).unwrap()
    }

    fn found(policy: &str, rules: &[&str]) -> Vec<Finding> {
        judge(&chains(policy, rules), "eth0", &[DHCP, HTTP])
    }

    #[test]
    fn a_policy_that_nothing_accepts_against_drops() {
        let both = found("drop", &[ESTABLISHED, LOOPBACK]);
        assert_eq!(both.len(), 1);
        assert!(both[0].evidence.as_deref().unwrap().contains("policy of chain inet filter input"));
        let fix = both[0].fix.as_deref().unwrap();
        assert!(
            fix.starts_with("nft insert rule inet filter input iifname \"eth0\" udp dport 67 accept"),
            "{fix}"
        );
        let http = found("drop", &[ESTABLISHED, PORTS]);
        assert!(http.len() == 1 && http[0].message.contains("HTTP"), "{http:?}");
        assert!(found("drop", &[PORTS, NAMED]).is_empty());
        assert!(found("accept", &[]).is_empty());
    }

    #[test]
    fn a_rule_that_drops_is_named() {
        let dhcp = found("accept", &[LOOPBACK, DROP_67]);
        assert_eq!(dhcp.len(), 1);
        assert!(dhcp[0].evidence.as_deref().unwrap().contains("handle 1 in chain input"));
        assert!(found("accept", &[PORTS, DROP_67]).is_empty(), "accepted before");
    }

    #[test]
    fn what_is_unknown_is_no_finding() {
        assert!(found("drop", &[SOURCE]).is_empty());
        assert!(found("accept", &[LIMITED]).is_empty());
        assert!(found("drop", &[r#"{"xt":{"type":"match","name":"physdev"}},{"accept":null}"#]).is_empty());
        assert!(parse("[]").is_none() && parse("no").is_none());
    }

    #[test]
    fn the_fix_is_that_of_who_writes_the_rules() {
        let fix = |from: &str, to: &str| {
            let mut chains = chains("drop", &[]);
            for chain in &mut chains {
                chain.place.table = chain.place.table.replace(from, to);
                chain.name = chain.name.replace(from, to);
            }
            judge(&chains, "eth0", &[DHCP]).remove(0).fix.unwrap()
        };
        assert!(fix("filter", "firewalld").starts_with("firewall-cmd "));
        assert!(fix("other", "ufw-user-input").starts_with("ufw allow in on eth0 "));
    }

    #[test]
    fn loops_of_chains_end() {
        let mut looped = chains("drop", &[r#"{"jump":{"target":"input"}}"#]);
        looped[0].rules.truncate(1);
        assert!(judge(&looped, "eth0", &[DHCP]).is_empty());
    }

    #[test]
    fn what_nft_does_not_list_is_told() {
        assert!(legacy("nat\nfilter\n").is_some() && legacy("nat\n").is_none());
        assert!(unlisted("nf_tables 323584 0 - Live 0x0\n").is_some() && unlisted("").is_none());
    }
}
