//! The interfaces that are served: whether they are there, up, connected and have an address.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bootlace_core::config::Config;
use bootlace_core::finding::Finding;

use super::{Code, error, warning};
use crate::net::Interface;

const SYS: &str = "/sys/class/net";

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
    findings.extend(served.iter().filter_map(|interface| state(config, interface)));
    (served, findings)
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
    let sys = Path::new(SYS);
    let children = served.iter().filter(|lower| is_of_this_network(sys, lower)).flat_map(|lower| {
        let upper = uppers(sys, &lower.name).into_iter();
        upper.filter_map(move |name| Some((lower, all.get(&name), kind(sys, &name)?, name)))
    });
    children.filter_map(|(lower, child, kind, name)| unreachable(&lower.name, child, kind, &name)).collect()
}

/// Whether /sys shows the network that this process is in: it is mounted for one.
fn is_of_this_network(sys: &Path, interface: &Interface) -> bool {
    let index = fs::read_to_string(sys.join(&interface.name).join("ifindex")).unwrap_or_default();
    index.trim().parse() == Ok(interface.index)
}

fn uppers(sys: &Path, lower: &str) -> Vec<String> {
    let entries = fs::read_dir(sys.join(lower)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("upper_")?.to_owned()))
        .collect();
    names.sort();
    names
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Macvlan,
    Macvtap,
}

fn kind(sys: &Path, name: &str) -> Option<Kind> {
    let uevent = fs::read_to_string(sys.join(name).join("uevent")).ok()?;
    uevent.lines().find_map(|line| match line {
        "DEVTYPE=macvlan" => Some(Kind::Macvlan),
        "DEVTYPE=macvtap" => Some(Kind::Macvtap),
        _ => None,
    })
}

/// A macvlan that has an address is this host's own, and not a machine's.
fn unreachable(lower: &str, child: Option<&Interface>, kind: Kind, name: &str) -> Option<Finding> {
    if kind == Kind::Macvlan && child.is_some_and(|child| !child.addresses.is_empty()) {
        return None;
    }
    let what = match kind {
        Kind::Macvlan => "macvlan",
        Kind::Macvtap => "macvtap",
    };
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
    fn what_hangs_on_an_interface_is_read_from_sys() {
        let sys = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("eth0/ifindex", "2\n"),
            ("tap7/uevent", "DEVTYPE=macvtap\nINTERFACE=tap7\n"),
            ("br0/uevent", "DEVTYPE=bridge\n"),
        ] {
            let path = sys.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir(sys.path().join("eth0/upper_tap7")).unwrap();
        assert_eq!(uppers(sys.path(), "eth0"), ["tap7"]);
        assert_eq!((kind(sys.path(), "tap7"), kind(sys.path(), "br0")), (Some(Kind::Macvtap), None));
        let eth0 = interface("eth0", HERE);
        assert!(is_of_this_network(sys.path(), &eth0));
        assert!(!is_of_this_network(sys.path(), &Interface { index: 3, ..eth0 }));
        assert!(unreachable("eth0", None, Kind::Macvtap, "tap7").is_some());
        let own = interface("boot0", HERE);
        assert!(unreachable("eth0", Some(&own), Kind::Macvlan, "boot0").is_none());
        assert!(unreachable("eth0", Some(&interface("vm0", None)), Kind::Macvlan, "vm0").is_some());
    }
}
