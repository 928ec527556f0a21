//! How a firewall is made to let a machine's packets in: in the words of whoever keeps its rules.

use bootlace_core::finding::Finding;

use super::super::iptables::LEGACY;
use super::super::ports::{Needed, Transport};
use super::super::ruleset::{Chain, Stage};
use super::super::{Code, error};
use super::{Packet, Way, Why};

/// Packets that end at the same place.
pub(super) struct Dropped<'a> {
    pub(super) packets: Vec<Packet<'a>>,
    pub(super) chain: &'a Chain,
    pub(super) why: Why,
}

/// What is dropped, where, and the commands that let it in.
pub(super) fn found(chains: &[Chain], dropped: &Dropped<'_>) -> Finding {
    let Dropped { packets, chain, why } = dropped;
    let keeper = Keeper::of(chains, chain);
    let place = format!("{} {} {}", chain.place.family, chain.place.table, chain.name);
    let evidence = match why {
        Why::Policy => format!("the policy of chain {place} is drop, and no rule accepts it"),
        Why::Rule(chain, number) if keeper == Keeper::Legacy => {
            format!("rule {number} of chain {chain} drops it (iptables-legacy)")
        }
        Why::Rule(chain, handle) => format!("the rule with handle {handle} in chain {chain} drops it"),
    };
    let interface = packets.first().map_or("", |packet| packet.interface);
    let services: Vec<String> = packets
        .iter()
        .map(|Packet { needed, .. }| {
            format!("{} ({} port {})", needed.service, needed.transport.name(), needed.port)
        })
        .collect();
    let message = format!("a firewall drops what machines send to {} on {interface}", services.join(", "));
    let (commands, lasting) = commands(keeper, interface, dropped, &place);
    error(Code::FirewallDrops, message).evidence(evidence).fix(commands.join("; ") + lasting)
}

/// The commands, and what makes them last.
fn commands(
    keeper: Keeper,
    interface: &str,
    dropped: &Dropped<'_>,
    place: &str,
) -> (Vec<String>, &'static str) {
    let Dropped { packets, chain, .. } = dropped;
    let ports: Vec<Needed> = packets.iter().map(|packet| packet.needed).collect();
    let across = packets.iter().any(|packet| packet.way == Way::Across);
    let each = |rule: &dyn Fn(Transport) -> Option<String>| {
        [Transport::Udp, Transport::Tcp].into_iter().filter_map(rule).collect()
    };
    match keeper {
        Keeper::Nobody if across => {
            let rule =
                format!("nft insert rule {place} iifname \"{interface}\" oifname \"{interface}\" accept");
            (vec![rule], NFT_LASTS)
        }
        Keeper::Nobody => (each(&|transport| rule(interface, &ports, transport, place)), NFT_LASTS),
        Keeper::Legacy if across => {
            (vec![format!("{} -o {interface} -j ACCEPT", legacy_insert(chain, interface))], LEGACY_LASTS)
        }
        Keeper::Legacy => (each(&|transport| legacy_rule(interface, &ports, transport, chain)), LEGACY_LASTS),
        Keeper::Firewalld => {
            let each = ports.iter().map(|&needed| firewalld(interface, needed));
            (each.collect(), ", and the same with --permanent")
        }
        Keeper::Ufw => (ports.iter().map(|&needed| ufw(interface, needed)).collect(), ""),
    }
}

const NFT_LASTS: &str = ", and the same in /etc/nftables.conf";
const LEGACY_LASTS: &str = ", and the same where your rules are kept";

/// The ports of a transport.
fn ports_of(ports: &[Needed], transport: Transport) -> Vec<String> {
    ports.iter().filter(|one| one.transport == transport).map(|one| one.port.to_string()).collect()
}

/// The beginning of a rule for packets that come by an interface.
fn legacy_insert(chain: &Chain, interface: &str) -> String {
    format!("iptables-legacy -t {} -I {} -i {interface}", chain.place.table, chain.name)
}

fn legacy_rule(interface: &str, ports: &[Needed], transport: Transport, chain: &Chain) -> Option<String> {
    let ports = match ports_of(ports, transport).as_slice() {
        [] => return None,
        [port] => format!("--dport {port}"),
        ports => format!("-m multiport --dports {}", ports.join(",")),
    };
    Some(format!("{} -p {} {ports} -j ACCEPT", legacy_insert(chain, interface), transport.name()))
}

/// One for all ports of a transport.
fn rule(interface: &str, ports: &[Needed], transport: Transport, place: &str) -> Option<String> {
    let set = match ports_of(ports, transport).as_slice() {
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
    /// Of iptables' old interface.
    Legacy,
    Nobody,
}

impl Keeper {
    /// Whose a chain is that drops. Both programs open ports where packets are for this host, and nowhere else.
    fn of(chains: &[Chain], dropping: &Chain) -> Self {
        let of_host = dropping.hook.as_ref().is_some_and(|hook| hook.stage == Stage::Input);
        if of_host && chains.iter().any(|chain| chain.place.table == "firewalld") {
            Self::Firewalld
        } else if of_host && chains.iter().any(|chain| chain.name.starts_with("ufw-")) {
            Self::Ufw
        } else if dropping.place.family == LEGACY {
            Self::Legacy
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
