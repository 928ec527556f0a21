//! `[dhcp]` and its subnets, and how they fit together.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use bootlace_wire::dhcp::Code;

use super::file::Table;
use super::keys::{DHCP, SUBNET};
use super::options::{self, Reach};
use super::overrides;
use super::ranges_for;
use super::report::{At, Report};
use super::scalar;
use super::types::{Cidr, DhcpConfig, DhcpMode, LEASE_INFINITE, Relays, Serve, Subnet};
use crate::finding::{Finding, Severity};

/// Leases are at least this long: a PXE boot needs about half of it before anything could renew.
const LEASE_MIN: Duration = Duration::from_secs(60);
/// Shorter leases draw a warning: iPXE and GRUB never renew, so a long menu or image download outlives them.
const LEASE_COMFORTABLE: Duration = Duration::from_secs(30 * 60);
/// Of a subnet that says nothing.
const LEASE_DEFAULT: Duration = Duration::from_secs(12 * 60 * 60);

/// A subnet with the places that later checks point at.
pub(super) struct Placed {
    pub(super) subnet: Subnet,
    span: Range<usize>,
    ranges: Vec<At<RangeInclusive<Ipv4Addr>>>,
    /// Addresses that are somebody's already, with the key that says so.
    taken: Vec<(&'static str, At<Ipv4Addr>)>,
}

/// `[dhcp]` with the places of its subnets.
pub(super) struct Network {
    pub(super) config: DhcpConfig,
    pub(super) placed: Vec<Placed>,
}

pub(super) fn read(top: &Table<'_>, report: &mut Report<'_>) -> Network {
    let Some(table) = top.section("dhcp", &DHCP, report) else {
        // Safe on any network: a proxy takes nothing away from anybody.
        let config = DhcpConfig {
            mode: DhcpMode::Proxy,
            proxy: None,
            authoritative: false,
            probe: false,
            subnets: Vec::new(),
            options: BTreeMap::new(),
            relays: Relays::OfSubnets,
        };
        return Network { config, placed: Vec::new() };
    };
    let mode = mode(&table, report);
    let placed: Vec<_> =
        table.sections("subnet", &SUBNET, report).iter().filter_map(|entry| subnet(entry, report)).collect();
    if mode == DhcpMode::Server && table.get("subnet").is_none() {
        let message = "no [[dhcp.subnet]]: nobody gets an address";
        report.add(Finding::warning("config-no-subnet", message).fix("add one per network"), &table.span);
    }
    if matches!(mode, DhcpMode::Proxy | DhcpMode::Off) {
        not_lent(&placed, report);
    }
    disjoint(&placed, report);
    let config = DhcpConfig {
        mode,
        proxy: overrides::proxy(&table, report),
        authoritative: table.flag("authoritative", report).unwrap_or(false),
        probe: table.flag("probe", report).unwrap_or(true),
        subnets: placed.iter().map(|placed| placed.subnet.clone()).collect(),
        options: options::options(&table, Reach::Everybody, report),
        relays: relays(&table, report),
    };
    Network { config, placed }
}

/// Whoever wrote ranges wants them lent.
fn not_lent(placed: &[Placed], report: &mut Report<'_>) {
    for range in placed.iter().filter_map(|placed| placed.ranges.first()) {
        let message = "these addresses are lent to nobody: Bootlace is not this network's DHCP server";
        let fix = "write mode = \"server\" in [dhcp] if it is to be, else leave the ranges out";
        report.add(Finding::warning("config-ranges-unused", message).fix(fix), &range.span);
    }
}

/// An empty list is one: no relay is answered.
fn relays(table: &Table<'_>, report: &mut Report<'_>) -> Relays {
    if table.get("relays").is_none() {
        return Relays::OfSubnets;
    }
    let listed = table.all_parsed("relays", scalar::address_or_network, report);
    Relays::Listed(listed.into_iter().map(|network| network.value).collect())
}

fn mode(table: &Table<'_>, report: &mut Report<'_>) -> DhcpMode {
    let Some(value) = table.get("mode") else { return DhcpMode::Proxy };
    let Some(text) = value.text(report) else { return DhcpMode::Off };
    match text.value {
        "server" => DhcpMode::Server,
        "proxy" => DhcpMode::Proxy,
        "off" => DhcpMode::Off,
        "auto" => DhcpMode::Auto,
        other => {
            report.add(super::one_of("mode", other, &["server", "proxy", "auto", "off"]), &text.span);
            DhcpMode::Off
        }
    }
}

fn subnet(table: &Table<'_>, report: &mut Report<'_>) -> Option<Placed> {
    let cidr = cidr(table, report);
    let lease = lease(table, report);
    let serve = match table.text("serve", report) {
        None => Serve::All,
        Some(text) if text.value == "all" => Serve::All,
        Some(text) if text.value == "known" => Serve::Known,
        Some(text) => {
            report.add(super::one_of("serve", text.value, &["all", "known"]), &text.span);
            Serve::All
        }
    };
    let ranges = table.all_parsed("ranges", scalar::address_range, report);
    let routers = table.all_parsed("router", scalar::address, report);
    let dns = table.all_parsed("dns", scalar::address, report);
    let domain = table.parsed("domain", scalar::host_name, report);
    let server = table.parsed("server", scalar::address, report);
    let mut options = options::options(table, Reach::Everybody, report);
    options::add_own(&mut options, "router", Code::ROUTER, octets(&routers), table, report);
    options::add_own(&mut options, "dns", Code::DNS, octets(&dns), table, report);
    let domain = domain.map(|name| name.value.into_bytes()).unwrap_or_default();
    options::add_own(&mut options, "domain", Code::DOMAIN, domain, table, report);

    let At { value: cidr, span } = cidr?;
    routers_reachable(cidr, &routers, report);
    let mut all_ranges = Vec::new();
    let ranges = ranges_inside(cidr, ranges, &mut all_ranges, report);
    let ranges_for = ranges_for::read(
        table,
        |ranges, report| ranges_inside(cidr, ranges, &mut all_ranges, report),
        report,
    );
    let server_address = server.as_ref().map(|server| server.value);
    let taken = [("router", routers), ("dns", dns), ("server", server.into_iter().collect())]
        .into_iter()
        .flat_map(|(key, list)| list.into_iter().map(move |at| (key, at)))
        .collect();
    let subnet = Subnet { cidr, ranges, ranges_for, serve, lease, server: server_address, options };
    Some(Placed { subnet, span, ranges: all_ranges, taken })
}

fn octets(addresses: &[At<Ipv4Addr>]) -> Vec<u8> {
    addresses.iter().flat_map(|address| address.value.octets()).collect()
}

fn cidr(table: &Table<'_>, report: &mut Report<'_>) -> Option<At<Cidr>> {
    if table.get("subnet").is_none() {
        let finding = Finding::error("config-missing", "this [[dhcp.subnet]] has no `subnet`");
        report.add(finding.fix("add subnet = \"10.188.0.0/24\""), &table.span);
        return None;
    }
    let text = table.text("subnet", report)?;
    let cidr = scalar::parsed(&text, scalar::network, report)?;
    let network = cidr.value.network().to_string();
    if text.value.split('/').next() != Some(network.as_str()) {
        let message = format!("{} is an address in the network {}", text.value, cidr.value);
        let fix = format!("write subnet = \"{}\"", cidr.value);
        report.add(Finding::error("config-value", message).fix(fix), &text.span);
    }
    Some(cidr)
}

fn lease(table: &Table<'_>, report: &mut Report<'_>) -> Duration {
    let Some(text) = table.text("lease", report) else { return LEASE_DEFAULT };
    if text.value == "infinite" {
        return LEASE_INFINITE;
    }
    let Some(lease) = scalar::parsed(&text, scalar::duration, report) else { return LEASE_DEFAULT };
    if lease.value < LEASE_MIN || lease.value >= LEASE_INFINITE {
        let fix = "leases are 60s to about 136 years, or \"infinite\"";
        report.add(Finding::error("config-value", "no usable lease time").fix(fix), &lease.span);
        return LEASE_DEFAULT;
    }
    if lease.value < LEASE_COMFORTABLE {
        let message = "iPXE and GRUB never renew: a machine in a menu or a long download loses its address";
        report.add(Finding::warning("config-lease-short", message).fix("use 30m or more"), &lease.span);
    }
    lease.value
}

fn routers_reachable(cidr: Cidr, routers: &[At<Ipv4Addr>], report: &mut Report<'_>) {
    for router in routers.iter().filter(|router| !cidr.contains(router.value)) {
        let message = format!("the router {} is not in {cidr}: machines cannot reach it", router.value);
        report.add(Finding::warning("config-router-outside", message), &router.span);
    }
    if let [_, second, ..] = routers {
        let message = "pxelinux takes no router when there are several";
        let finding =
            Finding { severity: Severity::Note, ..Finding::warning("config-several-routers", message) };
        report.add(finding, &second.span);
    }
}

/// The ranges that lie in the subnet and apart from those before, `all`; the others are reported.
fn ranges_inside(
    cidr: Cidr,
    ranges: Vec<At<RangeInclusive<Ipv4Addr>>>,
    all: &mut Vec<At<RangeInclusive<Ipv4Addr>>>,
    report: &mut Report<'_>,
) -> Vec<RangeInclusive<Ipv4Addr>> {
    let mut kept = Vec::new();
    for range in ranges {
        let (low, high) = (*range.value.start(), *range.value.end());
        let overlapped = all.iter().find(|other| overlap(&other.value, &range.value));
        let problem = if !cidr.contains(low) || !cidr.contains(high) {
            format!("the range is not inside {cidr}")
        } else if low == cidr.network() {
            format!("{low} is the network's own address")
        } else if high == cidr.broadcast() {
            format!("{high} is the broadcast address of {cidr}")
        } else if let Some(other) = overlapped {
            format!("the range overlaps {}-{}", other.value.start(), other.value.end())
        } else {
            kept.push(range.value.clone());
            all.push(range);
            continue;
        };
        let fix = format!("usable are {}-{}", next(cidr.network(), 1), next(cidr.broadcast(), -1));
        report.add(Finding::error("config-range", problem).fix(fix), &range.span);
    }
    kept
}

fn next(address: Ipv4Addr, by: i32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address).wrapping_add_signed(by))
}

fn overlap<T: PartialOrd>(a: &RangeInclusive<T>, b: &RangeInclusive<T>) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}

fn disjoint(placed: &[Placed], report: &mut Report<'_>) {
    // By network, a subnet that overlaps any earlier one overlaps the one with the highest end so far.
    let mut sorted: Vec<_> = placed.iter().collect();
    sorted.sort_by_key(|placed| (placed.subnet.cidr.network(), placed.span.start));
    let mut widest: Option<&Placed> = None;
    for next in sorted {
        if let Some(before) = widest.filter(|w| w.subnet.cidr.broadcast() >= next.subnet.cidr.network()) {
            let (first, second) =
                if before.span.start < next.span.start { (before, next) } else { (next, before) };
            let message = format!(
                "{} overlaps {} on line {}",
                second.subnet.cidr,
                first.subnet.cidr,
                report.line(first.span.start)
            );
            report.add(Finding::error("config-subnet-overlap", message), &second.span);
        }
        if widest.is_none_or(|w| w.subnet.cidr.broadcast() < next.subnet.cidr.broadcast()) {
            widest = Some(next);
        }
    }
}

/// An address that must not be lent lies in a range; `reserved` tells the addresses that only their machine
/// gets.
pub(super) fn nothing_lent_twice(
    placed: &[Placed],
    server: Option<&At<Ipv4Addr>>,
    reserved: impl Fn(Ipv4Addr) -> bool,
    report: &mut Report<'_>,
) {
    let servers = server.map(|server| ("server", server));
    for subnet in placed {
        let taken = subnet.taken.iter().map(|(key, at)| (*key, at)).chain(servers);
        for (key, at) in taken.filter(|(_, at)| !reserved(at.value)) {
            let Some(range) = subnet.ranges.iter().find(|range| range.value.contains(&at.value)) else {
                continue;
            };
            let message = format!(
                "{} would also be lent to a machine: it lies in the range {}-{}",
                at.value,
                range.value.start(),
                range.value.end()
            );
            let finding = Finding::error("config-address-lent", message)
                .evidence(format!("it is this network's {key}"));
            report.add(
                finding.fix("keep it out of the ranges, or reserve it with `address` of its [[machine]]"),
                &at.span,
            );
        }
    }
}
