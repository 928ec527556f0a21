//! What was refused, given up or forgotten: one number for each limit that was reached.
//!
//! The counters are a closed list, so that docs/limits.md and the API can be held to it. Counting is one addition;
//! a counter that grows says so in the log, though not more often than once a minute: a flood must not become a
//! flood of lines.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Once in this time a counter that grows is told of.
const TELL_PAUSE: Duration = Duration::from_secs(60);

macro_rules! counters {
    ($($variant:ident $name:literal $meaning:literal)*) => {
        /// Something that happened and that nobody was answered for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $(#[doc = $meaning] $variant,)*
        }

        impl Counter {
            /// Every counter, in the order of the docs.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in the API and the docs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What is counted, in one line.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

counters! {
    DhcpMalformed "dhcp-malformed" "packets to the DHCP port that are no DHCP, or nothing for a server"
    DhcpForeignRelay "dhcp-foreign-relay" "DHCP packets of relays that the config does not know: not answered"
    DhcpAlmostFull "dhcp-almost-full" "times that most addresses of a subnet became lent: widen its ranges before none is left"
    DhcpExhausted "dhcp-exhausted" "DHCP requests when no address was left: widen the subnet's ranges"
    DhcpOfferSuperseded "dhcp-offer-superseded" "offers not taken yet that somebody else got, as no other address was left: a flood, or too small a range"
    DhcpSpokenFor "dhcp-spoken-for" "newcomers without an address, as their frames come from another station, and such have their share: made-up machines, or those behind a repeater"
    DhcpQuarantineFull "dhcp-quarantine-full" "bad addresses that were lent on, as too many are in quarantine"
    DhcpProbesFull "dhcp-probes-full" "newcomers that were not kept until their address was probed: they ask again"
    DhcpNotStored "dhcp-not-stored" "DHCP answers withheld, as their leases could not be stored"
    DhcpNotSent "dhcp-not-sent" "DHCP answers that the kernel did not take"
    TftpForeign "tftp-foreign" "TFTP packets from outside of the served networks: not answered"
    TftpIgnored "tftp-ignored" "packets to the TFTP port that begin nothing, or went to everybody"
    TftpFull "tftp-full" "TFTP requests not answered, as too many are under way or the server stops"
    TftpClientFull "tftp-client-full" "TFTP requests not answered, as their address has too many transfers"
    TftpNoSocket "tftp-no-socket" "TFTP requests not answered, as no port or socket is left"
    TftpSilent "tftp-silent" "TFTP transfers given up, as their client went silent"
    TftpUnproven "tftp-unproven" "TFTP transfers given up, as nobody ever acknowledged: a forged address, perhaps"
    HttpEvicted "http-evicted" "HTTP connections that stood still and were closed for a newcomer"
    HttpFull "http-full" "HTTP connections refused, as all others are busy"
    HttpClientFull "http-client-full" "HTTP connections closed or refused, as their address has too many"
    HttpSlowHead "http-slow-head" "HTTP connections closed, as no whole request came in time"
    HttpBadHead "http-bad-head" "HTTP requests refused, as their head is too long or no HTTP"
    HttpStalled "http-stalled" "HTTP downloads given up, as their client took nothing for too long"
    IscsiFull "iscsi-full" "iSCSI connections closed at once, as too many are open"
    IscsiClientFull "iscsi-client-full" "iSCSI connections closed at once, as too many of their address have not logged in"
    IscsiSlowLogin "iscsi-slow-login" "iSCSI connections closed, as their login or their search for targets took too long"
    IscsiUnproven "iscsi-unproven" "iSCSI logins refused, as the initiator did not prove who it is (CHAP)"
    SessionsForgotten "sessions-forgotten" "boots forgotten by the server, as too many go on at once"
    LearnedForgotten "learned-forgotten" "machines of which it is no longer known how they boot, as too many are"
    ReportsFull "reports-full" "addresses not learned from reports of machines, as too many are known"
    NeighboursForgotten "neighbours-forgotten" "times that the addresses of all neighbours were forgotten, as too many ask within a second"
    JournalFolded "journal-folded" "events that became a count of an earlier one, as many waited"
    JournalDropped "journal-dropped" "events missing in the journal, as it could not be written fast enough, or at all"
}

/// All counters, from the start of the process.
#[derive(Debug)]
pub struct Counters {
    began: Instant,
    gauges: [Gauge; Counter::ALL.len()],
}

#[derive(Debug, Default)]
struct Gauge {
    count: AtomicU64,
    /// `count` when it was told last.
    told: AtomicU64,
    /// When it may be told again, in milliseconds from `began`.
    silent_until_ms: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { began: Instant::now(), gauges: std::array::from_fn(|_| Gauge::default()) }
    }
}

impl Counters {
    /// It happened once more.
    pub fn count(&self, counter: Counter) {
        let gauge = self.gauge(counter);
        gauge.count.fetch_add(1, Relaxed);
        self.tell(counter);
    }

    /// It happened so often in all: for what is counted elsewhere.
    pub fn reached(&self, counter: Counter, total: u64) {
        if self.gauge(counter).count.fetch_max(total, Relaxed) < total {
            self.tell(counter);
        }
    }

    /// How often it happened.
    pub fn get(&self, counter: Counter) -> u64 {
        self.gauge(counter).count.load(Relaxed)
    }

    fn tell(&self, counter: Counter) {
        let gauge = self.gauge(counter);
        if let Some(more) = gauge.due(self.began.elapsed()) {
            let (name, total) = (counter.name(), self.get(counter));
            match counter {
                // Told with the subnet, each time.
                Counter::DhcpAlmostFull => {}
                // The finding about the disk says it once, with its cause.
                Counter::DhcpNotStored => {}
                // What the journal is meant to do in any storm.
                Counter::JournalFolded => {
                    tracing::info!(counter = name, more, total, "{}", counter.meaning());
                }
                _ => tracing::warn!(counter = name, more, total, "{}", counter.meaning()),
            }
        }
    }

    fn gauge(&self, counter: Counter) -> &Gauge {
        &self.gauges[counter as usize]
    }
}

impl Gauge {
    /// By how much it grew since it was told, when it is to be told now; `age` is of all counters.
    fn due(&self, age: Duration) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let silent_until = self.silent_until_ms.load(Relaxed);
        if millis(age) < silent_until {
            return None;
        }
        // One of those who find it due tells it.
        let next = millis(age + TELL_PAUSE);
        self.silent_until_ms.compare_exchange(silent_until, next, Relaxed, Relaxed).ok()?;
        let count = self.count.load(Relaxed);
        Some(count.saturating_sub(self.told.swap(count, Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_together() {
        let gauge = Gauge::default();
        let at = |millis| {
            gauge.count.fetch_add(1, Relaxed);
            gauge.due(Duration::from_millis(millis))
        };
        assert_eq!(at(5_000), Some(1));
        assert_eq!(at(5_000), None);
        assert_eq!(at(64_999), None);
        assert_eq!(at(65_000), Some(3));
        assert_eq!(at(65_001), None);
    }

    #[test]
    fn each_counts_for_itself_and_names_are_unique() {
        let counters = Counters::default();
        counters.count(Counter::TftpFull);
        counters.reached(Counter::JournalDropped, 7);
        counters.reached(Counter::JournalDropped, 5);
        for counter in Counter::ALL {
            let expected = match counter {
                Counter::TftpFull => 1,
                Counter::JournalDropped => 7,
                _ => 0,
            };
            assert_eq!(counters.get(*counter), expected, "{}", counter.name());
        }
        let names: std::collections::BTreeSet<_> =
            Counter::ALL.iter().map(|counter| counter.name()).collect();
        assert_eq!(names.len(), Counter::ALL.len());
    }
}
