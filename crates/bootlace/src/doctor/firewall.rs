//! Whether this host's firewall lets machines' first packets in.
//!
//! A packet to each port is led through the rules in thought. What a rule does that hangs on something unknown, such as
//! the machine's address, is taken for the better: a finding is certain, its absence is not.

mod fix;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use bootlace_core::config::{Config, DhcpMode};
use bootlace_core::finding::Finding;
use bootlace_wire::dhcp::SERVER_PORT;

use self::fix::{Dropped, found};
use super::iptables::{self, LEGACY};
use super::ports::{Needed, Transport, needed};
use super::ruleset::{Action, Chain, Key, Operand, Sense, Stage, Step, Verdict, add_devices, parse};
use super::{Code, note};
use crate::net::Interface;

/// Chains that jump to chains: the kernel allows 16 (`NFT_JUMP_STACK_SIZE`).
const DEPTH_MAX: usize = 16;
const LEGACY_TABLES: &str = "/proc/net/ip_tables_names";
/// Whether frames between the ports of a bridge are led through the rules for IP packets.
const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

pub(super) fn drops(config: &Config, served: &[Interface]) -> Vec<Finding> {
    let (mut chains, mut findings) = (Vec::new(), Vec::new());
    match legacy(&fs::read_to_string(LEGACY_TABLES).unwrap_or_default()) {
        Legacy::Chains(found) => chains.extend(found),
        Legacy::Unread(finding) => findings.push(finding),
    }
    match ruleset() {
        Ruleset::Chains(found) => chains.extend(found),
        Ruleset::NoProgram => {
            findings.extend(unlisted(&fs::read_to_string("/proc/modules").unwrap_or_default()));
        }
        Ruleset::Refused(why) => findings.push(
            note(Code::FirewallUnread, "the firewall rules of this host cannot be read")
                .evidence(why)
                .fix("run the doctor as root, or see `nft list ruleset` for rules that drop"),
        ),
    }
    for interface in served {
        let bridge = if filters_bridged(&interface.name) { Bridge::Filtered } else { Bridge::NotFiltered };
        findings.extend(judge(&chains, &packets(config, &interface.name, bridge)));
    }
    findings
}

enum Ruleset {
    Chains(Vec<Chain>),
    NoProgram,
    Refused(String),
}

fn ruleset() -> Ruleset {
    let output = match run("nft", &["-j", "list", "ruleset"]) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ruleset::NoProgram,
        Err(error) => return Ruleset::Refused(error.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Ruleset::Refused(said.lines().next().unwrap_or_default().to_owned());
    }
    let Some(mut chains) = parse(&String::from_utf8_lossy(&output.stdout)) else {
        return Ruleset::Refused("nft prints another form than this version knows".to_owned());
    };
    let hooks = chains.iter().filter_map(|chain| chain.hook.as_ref());
    if hooks.into_iter().any(|hook| hook.stage == Stage::Ingress && hook.devices.is_empty())
        && let Ok(listing) = run("nft", &["list", "chains"])
    {
        add_devices(&mut chains, &String::from_utf8_lossy(&listing.stdout));
    }
    Ruleset::Chains(chains)
}

/// A user's PATH may lack the folder that it is in.
fn run(program: &str, arguments: &[&str]) -> io::Result<Output> {
    let run = |program: &str| Command::new(program).args(arguments).output();
    run(program).or_else(|_| run(&format!("/usr/sbin/{program}")))
}

/// Rules of the old kernel interface, which nft does not list.
enum Legacy {
    Chains(Vec<Chain>),
    Unread(Finding),
}

/// `tables`: those that the kernel has. To list them where there are none would make them.
fn legacy(tables: &str) -> Legacy {
    // One that translates addresses drops nothing.
    let tables: Vec<&str> = tables.lines().filter(|table| *table != "nat").collect();
    if tables.is_empty() {
        return Legacy::Chains(Vec::new());
    }
    let why = match run("iptables-legacy-save", &[]) {
        Ok(output) if output.status.success() => {
            return Legacy::Chains(iptables::parse(&String::from_utf8_lossy(&output.stdout)));
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned(),
        Err(error) => format!("iptables-legacy-save: {error}"),
    };
    let message = "there are rules of iptables' old interface, which the doctor cannot read";
    let unread = note(Code::FirewallUnread, message);
    let evidence = format!("{LEGACY_TABLES} names the tables {}; {why}", tables.join(", "));
    Legacy::Unread(
        unread.evidence(evidence).fix("apt-get install iptables, and run the doctor again as root"),
    )
}

/// The interface is a bridge whose frames are filtered: also those that pass it from port to port.
fn filters_bridged(interface: &str) -> bool {
    let bridge = Path::new("/sys/class/net").join(interface).join("bridge");
    let says_yes = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
    bridge.exists() && (says_yes(Path::new(BRIDGE_FILTER)) || says_yes(&bridge.join("nf_call_iptables")))
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
#[derive(Clone, Copy)]
struct Packet<'a> {
    interface: &'a str,
    needed: Needed,
    way: Way,
}

/// Where a packet has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To a socket of this host.
    In,
    /// To a proxy's packet socket, which hears before most rules.
    Heard,
    /// From one port of a bridge to another, behind which is the DHCP server that a proxy stands beside.
    Across,
}

impl Way {
    fn stages(self) -> &'static [Stage] {
        match self {
            Self::In => &[Stage::Ingress, Stage::Prerouting, Stage::Input],
            Self::Heard => &[Stage::Ingress],
            Self::Across => &[Stage::Prerouting, Stage::Forward],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bridge {
    Filtered,
    /// Or none.
    NotFiltered,
}

fn packets<'a>(config: &Config, interface: &'a str, bridge: Bridge) -> Vec<Packet<'a>> {
    let packet = |needed, way| Packet { interface, needed, way };
    let dhcp = |service| Needed { transport: Transport::Udp, port: SERVER_PORT, service };
    let mut packets: Vec<Packet<'_>> =
        needed(config).into_iter().map(|needed| packet(needed, Way::In)).collect();
    if config.dhcp.mode == DhcpMode::Proxy {
        packets.push(packet(dhcp("the DHCP proxy"), Way::Heard));
    }
    if matches!(config.dhcp.mode, DhcpMode::Proxy | DhcpMode::Auto) && bridge == Bridge::Filtered {
        packets.push(packet(dhcp("a DHCP server behind it"), Way::Across));
    }
    packets
}

fn judge(chains: &[Chain], packets: &[Packet<'_>]) -> Vec<Finding> {
    let of_ip = |chain: &&Chain| ["ip", "inet", "netdev", LEGACY].contains(&chain.place.family.as_str());
    let mut hooks: Vec<&Chain> = chains.iter().filter(|chain| chain.hook.is_some()).filter(of_ip).collect();
    hooks.sort_by_key(|chain| chain.hook.as_ref().map(|hook| (hook.stage, hook.priority)));
    let mut dropped: Vec<Dropped<'_>> = Vec::new();
    for packet in packets {
        let found = hooks.iter().find_map(|&chain| Some((chain, why_dropped(chains, chain, packet)?)));
        let Some((chain, why)) = found else { continue };
        match dropped.iter_mut().find(|other| other.chain == chain && other.why == why) {
            Some(same) => same.packets.push(*packet),
            None => dropped.push(Dropped { packets: vec![*packet], chain, why }),
        }
    }
    dropped.iter().map(|one| found(chains, one)).collect()
}

#[derive(PartialEq)]
enum Why {
    Policy,
    /// The chain and the rule's handle.
    Rule(String, u64),
}

fn why_dropped(chains: &[Chain], chain: &Chain, packet: &Packet<'_>) -> Option<Why> {
    let hook = chain.hook.as_ref()?;
    let is_here = hook.stage != Stage::Ingress || hook.devices.iter().any(|name| name == packet.interface);
    if !is_here || !packet.way.stages().contains(&hook.stage) {
        return None;
    }
    match walk(chains, chain, packet, 0) {
        Walked::Ended(Verdict::Drop, why) => Some(why),
        Walked::Ended(Verdict::Accept, _) | Walked::Perhaps => None,
        Walked::Through => (hook.policy == Verdict::Drop).then_some(Why::Policy),
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
        // Not known before the way is, and none where the way ends here.
        Key::OutInterface if packet.way != Way::Across => return Holds::Unknown,
        Key::OutInterface => any(values, |value| text_is(value, &|name| covers(name, packet.interface))),
        Key::EtherType => any(values, |value| text_is(value, &|name| name == "ip")),
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

    fn to_host(needed: &[Needed]) -> Vec<Packet<'static>> {
        needed.iter().map(|&needed| Packet { interface: "eth0", needed, way: Way::In }).collect()
    }

    fn found(policy: &str, rules: &[&str]) -> Vec<Finding> {
        judge(&chains(policy, rules), &to_host(&[DHCP, HTTP]))
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
            judge(&chains, &to_host(&[DHCP])).remove(0).fix.unwrap()
        };
        assert!(fix("filter", "firewalld").starts_with("firewall-cmd "));
        assert!(fix("other", "ufw-user-input").starts_with("ufw allow in on eth0 "));
    }

    #[test]
    fn loops_of_chains_end() {
        let mut looped = chains("drop", &[r#"{"jump":{"target":"input"}}"#]);
        looped[0].rules.truncate(1);
        assert!(judge(&looped, &to_host(&[DHCP])).is_empty());
    }

    #[test]
    fn what_is_dropped_before_it_is_for_this_host_is_found() {
        let at = |hook: &str, more: &str, rule: &str| {
            parse(&format!(
                r#"{{"nftables":[{{"chain":{{"family":"netdev","table":"t","name":"c","type":"filter","hook":"{hook}","prio":0,"policy":"accept"{more}}}}},
                {{"rule":{{"family":"netdev","table":"t","chain":"c","handle":4,"expr":[{rule}]}}}}]}}"#
            ))
            .unwrap()
        };
        let heard = [Packet { interface: "eth0", needed: DHCP, way: Way::Heard }];
        let early = judge(&at("ingress", r#","dev":"eth0""#, DROP_67), &heard);
        assert_eq!(
            early[0].fix.as_deref(),
            Some(
                "nft insert rule netdev t c iifname \"eth0\" udp dport 67 accept, and the same in /etc/nftables.conf"
            )
        );
        assert!(judge(&at("ingress", r#","dev":["eth1"]"#, DROP_67), &heard).is_empty());
        assert!(judge(&at("ingress", "", DROP_67), &heard).is_empty(), "of whom it is, is not known");
        assert!(judge(&at("prerouting", "", DROP_67), &heard).is_empty(), "a packet socket hears before");
        assert_eq!(judge(&at("prerouting", "", DROP_67), &to_host(&[DHCP])).len(), 1);
        assert!(judge(&at("forward", "", DROP_67), &to_host(&[DHCP])).is_empty());
    }

    #[test]
    fn a_bridge_that_drops_between_its_ports_is_found() {
        const DOCKER: &str =
            r#"{"match":{"op":"==","left":{"meta":{"key":"oifname"}},"right":"docker0"}},{"accept":null}"#;
        const BRIDGED: &str = r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"br0"}},{"match":{"op":"==","left":{"meta":{"key":"oifname"}},"right":"br0"}},{"accept":null}"#;
        let forward = |rules: &[&str]| {
            let mut chains = chains("drop", rules);
            chains[0].hook.as_mut().unwrap().stage = Stage::Forward;
            judge(&chains, &[Packet { interface: "br0", needed: DHCP, way: Way::Across }])
        };
        let fix = forward(&[DOCKER])[0].fix.clone().unwrap();
        assert!(
            fix.starts_with("nft insert rule inet filter input iifname \"br0\" oifname \"br0\" accept"),
            "{fix}"
        );
        assert!(forward(&[DOCKER, BRIDGED]).is_empty());
    }

    #[test]
    fn rules_of_the_old_interface_are_judged_like_others() {
        let drops = |rules: &str| {
            let listing = format!("*filter\n:INPUT DROP [0:0]\n:own - [0:0]\n{rules}COMMIT\n");
            judge(&iptables::parse(&listing), &to_host(&[DHCP, HTTP]))
        };
        let both = drops("-A INPUT -i lo -j ACCEPT\n");
        assert_eq!(
            both[0].fix.as_deref(),
            Some(
                "iptables-legacy -t filter -I INPUT -i eth0 -p udp --dport 67 -j ACCEPT; iptables-legacy -t filter -I \
                 INPUT -i eth0 -p tcp --dport 80 -j ACCEPT, and the same where your rules are kept"
            )
        );
        let http = drops("-A INPUT -i eth+ -p udp -m multiport --dports 60:70 -j own\n-A own -j ACCEPT\n");
        assert!(http.len() == 1 && http[0].message.contains("HTTP"), "{http:?}");
        assert!(drops("-A INPUT -s 10.0.0.0/8 -j ACCEPT\n").is_empty(), "for whom is not known");
        let named = drops("-A INPUT -p udp -j DROP\n-A INPUT -j ACCEPT\n");
        assert!(named[0].evidence.as_deref().unwrap().starts_with("rule 1 of chain INPUT"), "{named:?}");
    }

    #[test]
    fn what_nft_does_not_list_is_told() {
        assert!(matches!(legacy("nat\n"), Legacy::Chains(chains) if chains.is_empty()));
        assert!(unlisted("nf_tables 323584 0 - Live 0x0\n").is_some() && unlisted("").is_none());
    }
}
