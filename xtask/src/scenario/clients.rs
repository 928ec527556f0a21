//! Clients of the real world against a real Bootlace; no machine boots here.

mod cuts;
mod dhcp;
mod durable;
mod files;
mod probes;
mod programs;
mod relayed;
mod tftp;
mod vlan;
mod web;

use super::{Context, Scenario, context, rawdhcp, served};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "dhcp-clients",
        shows: "udhcpc, dhclient and klibc's ipconfig each get one machine's one address and the options of the config",
        run: dhcp::clients,
    },
    Scenario {
        name: "dhcp-exhausted",
        shows: "a full range is said in the log, and an address that is given back goes to the next client",
        run: dhcp::exhausted,
    },
    Scenario {
        name: "dhcp-wrong-network",
        shows: "an address of another network is refused by an authoritative server and ignored by another",
        run: dhcp::wrong_network,
    },
    Scenario {
        name: "dhcp-relayed",
        shows: "two links behind dhcrelay and dnsmasq and a local one at once: lease, renewal, release, and a machine that moves",
        run: relayed::relayed,
    },
    Scenario {
        name: "dhcp-vlan-tagged",
        shows: "on a trunk, machines of a VLAN get nothing from the server of the untagged network and take no address from it",
        run: vlan::tagged,
    },
    Scenario {
        name: "dhcp-conflict",
        shows: "an address that a static host has is offered to nobody but that host",
        run: probes::conflict,
    },
    Scenario {
        name: "dhcp-newcomers",
        shows: "200 newcomers right after the start wait for their probes together and get an address each",
        run: probes::storm,
    },
    Scenario {
        name: "dhcp-power-cut",
        shows: "every address that was acknowledged before a kill -9 is still its machine's after it",
        run: durable::power_cut,
    },
    Scenario {
        name: "dhcp-power-cuts",
        shows: "the same after each of fifty kills in the middle of perfdhcp's exchanges: every ACK on the wire is in the store",
        run: cuts::power_cuts,
    },
    Scenario {
        name: "dhcp-sync-before-ack",
        shows: "the lease is synced to the disk before its ACK is sent, seen by strace",
        run: durable::sync_before_ack,
    },
    Scenario {
        name: "tftp-clients",
        shows: "atftp, curl and busybox fetch whole files with blksize, windowsize and past block 65,535",
        run: tftp::clients,
    },
    Scenario { name: "http-clients", shows: "curl and wget fetch, resume and revalidate", run: web::clients },
];
