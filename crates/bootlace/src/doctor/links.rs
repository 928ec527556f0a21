//! The interfaces that are served: whether they are there, up, connected and have an address.

use std::collections::BTreeMap;

use bootlace_core::config::Config;
use bootlace_core::finding::Finding;
use bootlace_links::{Links, Stacked};

use super::{Code, error, warning};
use crate::app::lends_no_own_address;
use crate::net::Interface;

/// Those that `bootlace serve` would take, and what is wrong with them.
pub(super) fn served<'a>(
    config: &Config,
    all: &'a BTreeMap<String, Interface>,
) -> (Vec<&'a Interface>, Vec<Finding>) {
    let in_subnet = |interface: &Interface| {
        config.dhcp.subnets.is_empty()
            || interface
                .addresses
                .iter()
                .any(|own| config.dhcp.subnets.iter().any(|net| net.cidr.contains(own.ip)))
    };
    let mut findings = Vec::new();
    let served: Vec<&Interface> = if config.interfaces.is_empty() {
        all.values().filter(|one| one.usable && !one.addresses.is_empty() && in_subnet(one)).collect()
    } else {
        let (there, missing): (Vec<_>, Vec<_>) =
            config.interfaces.iter().partition(|name| all.contains_key(*name));
        findings.extend(missing.into_iter().map(|name| {
            error(Code::InterfaceMissing, format!("there is no interface {name}"))
                .evidence(format!("this host has {}", names(all)))
                .fix("name one of those in `interfaces` of the config")
        }));
        there.into_iter().filter_map(|name| all.get(name)).collect()
    };
    if served.is_empty() && findings.is_empty() {
        findings.push(
            error(Code::InterfaceNone, "no interface has an address in a configured subnet")
                .evidence(format!("this host has {}", names(all)))
                .fix("give one an address: ip addr add ADDRESS/PREFIX dev INTERFACE"),
        );
    }
    if served.len() > 1 && config.interfaces.is_empty() && config.dhcp.subnets.is_empty() {
        let names: Vec<&str> = served.iter().map(|one| one.name.as_str()).collect();
        let choice =
            error(Code::InterfaceChoice, "several interfaces could be served, and the config names none")
                .evidence(names.join(", "))
                .fix("name the one that machines are behind: interfaces = [\"...\"]");
        // Nobody has said that the networks behind them may be asked.
        return (Vec::new(), vec![choice]);
    }
    findings.extend(served.iter().filter_map(|interface| state(config, interface)));
    (served, findings)
}

/// `serve` refuses to start: the machine that got it would take the server's place.
pub(super) fn address_lent(config: &Config, all: &BTreeMap<String, Interface>) -> Option<Finding> {
    let lent = lends_no_own_address(config, all.values()).err()?;
    Some(
        error(Code::AddressLent, "an address of this host would be lent to a machine")
            .evidence(lent.to_string())
            .fix("change `ranges` of that subnet in the config"),
    )
}

fn names(all: &BTreeMap<String, Interface>) -> String {
    all.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The first thing that is wrong: what is down has no carrier either.
fn state(config: &Config, interface: &Interface) -> Option<Finding> {
    let name = &interface.name;
    if !interface.usable && name != "lo" {
        return Some(
            error(Code::InterfaceDown, format!("interface {name} is down"))
                .fix(format!("ip link set {name} up")),
        );
    }
    if interface.addresses.is_empty() {
        let address = config
            .server
            .map_or_else(|| "ADDRESS/PREFIX".to_owned(), |own| format!("{own}/{}", prefix(config, own)));
        return Some(
            error(Code::InterfaceNoAddress, format!("interface {name} has no IPv4 address"))
                .fix(format!("ip addr add {address} dev {name}")),
        );
    }
    (!interface.running).then(|| {
        warning(Code::InterfaceNoCable, format!("nobody is on the other end of interface {name}"))
            .evidence("it is up and not running: no carrier")
            .fix(format!("plug in its cable, or see `ethtool {name}`"))
    })
}

/// That of the subnet which holds the address.
fn prefix(config: &Config, own: std::net::Ipv4Addr) -> u8 {
    let subnet = config.dhcp.subnets.iter().find(|subnet| subnet.cidr.contains(own));
    subnet.map_or(24, |subnet| subnet.cidr.prefix())
}

/// What hangs on an interface by a way that does not lead to the interface itself: the kernel hands the frames of a macvlan
/// to its lower link's cable, never to the lower link.
pub(super) fn macvlan_children(served: &[Interface], all: &BTreeMap<String, Interface>) -> Vec<Finding> {
    let Ok(links) = Links::of_this_thread() else { return Vec::new() };
    let children = all.values().filter_map(|child| {
        // One that went away meanwhile is no child.
        let (kind, index) = links.stacked(&child.name).ok()??;
        let lower = served.iter().find(|lower| lower.index == index)?;
        unreachable(&lower.name, child, kind)
    });
    children.collect()
}

/// A macvlan that has an address is this host's own, and not a machine's.
fn unreachable(lower: &str, child: &Interface, kind: Stacked) -> Option<Finding> {
    if kind == Stacked::Macvlan && !child.addresses.is_empty() {
        return None;
    }
    let (name, what) = (&child.name, kind.name());
    Some(
        warning(Code::MacvlanChild, format!("a machine on {name} cannot reach this host on {lower}"))
            .evidence(format!("{name} is a {what} on {lower}"))
            .fix(format!(
                "serve a macvlan of this host instead: ip link add boot0 link {lower} type macvlan mode bridge; \
                 ip link set boot0 up; move {lower}'s address to boot0 and name boot0 in `interfaces`"
            )),
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bootlace_core::config::{Files, Source, load};

    use super::*;
    use crate::net::Address;

    fn config(text: &str) -> Config {
        load(&Source { name: "x".into(), folder: PathBuf::new(), text: text.into() }, &Files::new())
            .unwrap()
            .config
    }

    fn interface(name: &str, address: Option<[u8; 4]>) -> Interface {
        Interface {
            name: name.to_owned(),
            index: 2,
            mac: None,
            addresses: address.map(|ip| Address { ip: ip.into(), prefix: 24 }).into_iter().collect(),
            mtu: 1500,
            usable: true,
            running: true,
        }
    }

    fn codes(text: &str, interfaces: Vec<Interface>) -> Vec<&'static str> {
        let all = interfaces.into_iter().map(|one| (one.name.clone(), one)).collect();
        served(&config(text), &all).1.iter().map(|finding| finding.code).collect()
    }

    const ETH0: &str = "interfaces = [\"eth0\"]\n";
    const HERE: Option<[u8; 4]> = Some([10, 188, 0, 10]);

    #[test]
    fn the_first_thing_that_is_wrong_with_an_interface_is_said() {
        let fine = interface("eth0", HERE);
        assert!(codes(ETH0, vec![fine.clone()]).is_empty());
        assert_eq!(codes(ETH0, vec![interface("eth1", HERE)]), ["interface-missing"]);
        let down = Interface { usable: false, running: false, ..fine.clone() };
        assert_eq!(codes(ETH0, vec![down]), ["interface-down"]);
        assert_eq!(codes(ETH0, vec![interface("eth0", None)]), ["interface-no-address"]);
        assert_eq!(codes(ETH0, vec![Interface { running: false, ..fine }]), ["interface-no-cable"]);
    }

    #[test]
    fn without_names_the_subnets_choose() {
        let subnet = "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\n\
                      ranges = [\"10.188.0.60-10.188.0.70\"]\n";
        let elsewhere = interface("eth1", Some([192, 168, 1, 2]));
        assert!(codes(subnet, vec![interface("eth0", HERE), elsewhere.clone()]).is_empty());
        assert_eq!(codes(subnet, vec![elsewhere]), ["interface-none"]);
    }

    #[test]
    fn without_names_and_subnets_there_must_be_only_one() {
        let (one, two) = (interface("eth0", HERE), interface("eth1", Some([192, 168, 1, 2])));
        assert!(codes("", vec![one.clone()]).is_empty());
        assert_eq!(codes("", vec![one, two]), ["interface-choice"]);
    }

    #[test]
    fn an_own_address_in_a_range_is_found() {
        let config = config(
            "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\n\
             ranges = [\"10.188.0.5-10.188.0.70\"]\n",
        );
        let of =
            |ip| address_lent(&config, &BTreeMap::from([("eth0".to_owned(), interface("eth0", Some(ip)))]));
        assert!(of([10, 188, 0, 10]).unwrap().evidence.unwrap().contains("10.188.0.10"));
        assert!(of([10, 188, 0, 1]).is_none());
    }

    #[test]
    fn a_macvlan_with_an_address_is_the_hosts_own() {
        assert!(unreachable("eth0", &interface("boot0", HERE), Stacked::Macvlan).is_none());
        assert!(unreachable("eth0", &interface("vm0", None), Stacked::Macvlan).is_some());
        let found = unreachable("eth0", &interface("tap0", HERE), Stacked::Macvtap).unwrap();
        assert_eq!(found.evidence.as_deref(), Some("tap0 is a macvtap on eth0"));
    }
}
