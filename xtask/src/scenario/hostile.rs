//! Peers that mean no good, and hosts on which nothing can start.

mod crowd;
mod flood;
mod identities;
mod starts;
mod station;

use super::{Context, Scenario, context, rawdhcp, served};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hostile-identities",
        shows: "nothing that a machine says of itself changes a script, a log line or a terminal",
        run: identities::identities,
    },
    Scenario {
        name: "hostile-stalled-downloads",
        shows: "2,000 downloads that nobody reads cost little memory and do not slow a boot",
        run: crowd::stalled_downloads,
    },
    Scenario {
        name: "hostile-slow-headers",
        shows: "more connections that never finish a request than there are places do not stop a boot",
        run: crowd::slow_headers,
    },
    Scenario {
        name: "hostile-flood",
        shows: "20,000 made-up machines that want an address keep none from a real one, and cost little memory",
        run: flood::flood,
    },
    Scenario {
        name: "hostile-station",
        shows: "one station that leases for made-up machines gets half of the addresses; the others are for machines with frames of their own",
        run: station::station,
    },
    Scenario {
        name: "failed-starts",
        shows: "whatever keeps a server from starting is said in one line, and check finds what is wrong in a config",
        run: starts::failed_starts,
    },
    Scenario {
        name: "start-to-ready",
        shows: "how long a start takes and how much memory an idle server has (printed, not judged)",
        run: starts::start_to_ready,
    },
];
