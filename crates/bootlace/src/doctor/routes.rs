//! Reverse path filters: whether the kernel would drop what machines send as forged.
//!
//! A strict filter (`rp_filter` 1, RFC 3704 section 2.2) drops a packet whose source the host would answer by another
//! interface. That hits two cards on one network, and subnets behind a relay whose route leads elsewhere. A DISCOVER
//! has no source yet and passes.

use std::fs;
use std::net::Ipv4Addr;

use bootlace_core::config::Config;
use bootlace_core::finding::Finding;

use super::{Code, error};
use crate::net::Interface;

pub(super) fn reverse_path(config: &Config, served: &[Interface]) -> Vec<Finding> {
    let routes = parse(&fs::read_to_string("/proc/net/route").unwrap_or_default());
    let strict: Vec<&Interface> = served.iter().filter(|interface| is_strict(&interface.name)).collect();
    judge(config, served, &strict, &routes)
}

/// The larger value of all interfaces' and its own counts (Documentation/networking/ip-sysctl).
fn is_strict(interface: &str) -> bool {
    let value = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"));
        text.ok().and_then(|text| text.trim().parse::<u8>().ok()).unwrap_or(0)
    };
    value("all").max(value(interface)) == 1
}

/// A line of the main routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    interface: String,
    to: u32,
    mask: u32,
    metric: u32,
}

/// `/proc/net/route`: addresses are printed as the kernel has them in memory.
fn parse(table: &str) -> Vec<Route> {
    let address =
        |text: &str| u32::from_str_radix(text, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()));
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, to, _, _, _, _, metric, mask, ..] = fields[..] else { return None };
        let (to, mask, metric) = (address(to)?, address(mask)?, metric.parse().ok()?);
        Some(Route { interface: interface.to_owned(), to, mask, metric })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// The interface that an address is reached by: of the most exact routes the one with the least metric.
fn way_to(routes: &[Route], address: Ipv4Addr) -> Option<&str> {
    let address = u32::from(address);
    let fitting = routes.iter().filter(|route| address & route.mask == route.to);
    let best = fitting.max_by_key(|route| (route.mask, std::cmp::Reverse(route.metric)))?;
    Some(&best.interface)
}

fn judge(config: &Config, served: &[Interface], strict: &[&Interface], routes: &[Route]) -> Vec<Finding> {
    // Each network with a machine's address in it, and the interface that its packets come in by.
    let own = strict.iter().flat_map(|interface| {
        let networks = interface.addresses.iter().filter(|own| own.prefix < 31);
        networks.map(|own| (interface.name.as_str(), own.ip))
    });
    let is_local = |address| {
        served.iter().any(|one| {
            one.addresses.iter().any(|own| {
                bootlace_core::config::Cidr::new(own.ip, own.prefix)
                    .is_some_and(|network| network.contains(address))
            })
        })
    };
    let behind_relay = config.dhcp.subnets.iter().map(|subnet| subnet.cidr.network());
    let behind_relay = behind_relay.filter(|network| !is_local(*network));
    // With one interface it is the only way in.
    let behind_relay = behind_relay.filter_map(|network| match served {
        [only] if !strict.is_empty() => Some((only.name.as_str(), network)),
        _ => None,
    });
    own.chain(behind_relay)
        .filter_map(|(interface, address)| {
            let other = way_to(routes, address).filter(|way| *way != interface)?;
            let message =
                format!("the kernel drops what comes in by {interface} from the network of {address}");
            Some(
                error(Code::ReversePath, message)
                    .evidence(format!("rp_filter is strict, and the route to {address} is by {other}"))
                    .fix(format!("sysctl -w net.ipv4.conf.{interface}.rp_filter=2")),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bootlace_core::config::{Files, Source, load};

    use super::*;
    use crate::net::Address;

    const HEAD: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";

    fn route(interface: &str, to: [u8; 4], mask: [u8; 4], metric: u32) -> String {
        let raw = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        format!("{interface} {} 00000000 0001 0 0 {metric} {} 0 0 0\n", raw(to), raw(mask))
    }

    fn interface(name: &str, ip: [u8; 4]) -> Interface {
        Interface {
            name: name.to_owned(),
            index: 2,
            mac: None,
            addresses: vec![Address { ip: ip.into(), prefix: 24 }],
            mtu: 1500,
            usable: true,
            running: true,
        }
    }

    fn judged(subnet: &str, routes: &str) -> usize {
        let text = format!(
            "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = {subnet:?}\nranges = []\nserve = \"known\"\n"
        );
        let source = Source { name: "x".into(), folder: PathBuf::new(), text };
        let config = load(&source, &Files::new()).unwrap().config;
        let eth0 = interface("eth0", [10, 188, 0, 10]);
        judge(&config, std::slice::from_ref(&eth0), &[&eth0], &parse(&format!("{HEAD}{routes}"))).len()
    }

    #[test]
    fn a_network_whose_way_back_is_another_interface_is_found() {
        const MASK: [u8; 4] = [255, 255, 255, 0];
        let own = route("eth0", [10, 188, 0, 0], MASK, 0);
        let default = route("eth9", [0; 4], [0; 4], 100);
        assert_eq!(judged("10.188.0.0/24", &format!("{default}{own}")), 0);
        let second = route("eth1", [10, 188, 0, 0], MASK, 0);
        let worse = route("eth0", [10, 188, 0, 0], MASK, 50);
        assert_eq!(judged("10.188.0.0/24", &format!("{default}{worse}{second}")), 1);
        // A subnet behind a relay, by the default route and by one of its own.
        assert_eq!(judged("10.200.0.0/24", &format!("{own}{default}")), 1);
        let relayed = route("eth0", [10, 200, 0, 0], MASK, 0);
        assert_eq!(judged("10.200.0.0/24", &format!("{own}{default}{relayed}")), 0);
    }
}
