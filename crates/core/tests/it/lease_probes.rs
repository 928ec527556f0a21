//! Who is on an address before it is offered for the first time.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_core::config::{Cidr, Config};
use bootlace_core::dhcp::{
    Attributes, Circuit, Claim, Client, Conflict, Found, LeaseChange, LeaseState, LeaseTable, PROBE_WAIT,
    PROBES_AHEAD, PROBES_AHEAD_MAX, PROOF_AGE, Proof, QUARANTINE, QUARANTINES_PER_CLIENT_MAX, Refusal, Step,
    Voice,
};
use bootlace_core::model::Timestamp;
use bootlace_wire::{HwAddr, Mac};

use crate::configs::{config, ip, machine};

const SAID: Attributes<'static> = Attributes { client_id: None, uuid: None, hostname: "" };
const ROOM: usize = 10_000;
const START: Timestamp = Timestamp(1_800_000_000_000);

fn hw(number: u16) -> HwAddr {
    let [high, low] = number.to_be_bytes();
    Mac([2, 0, 0, 0, high, low]).into()
}

fn anybody(number: u16) -> Client<'static> {
    Client { hw: hw(number), machine: None, share: 0, circuit: Circuit::default(), voice: Voice::Own }
}

/// A link: who answers ARP for what.
struct Link {
    table: LeaseTable,
    now: Timestamp,
    there: BTreeMap<Ipv4Addr, HwAddr>,
    sent: usize,
}

impl Link {
    fn new(config: &Config) -> Self {
        let mut table = LeaseTable::new(config, Vec::new());
        table.watch(config.dhcp.subnets.iter().map(|subnet| subnet.cidr).collect());
        Self { table, now: START, there: BTreeMap::new(), sent: 0 }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.table.conclude_probes(self.now);
    }

    /// Sends what is due and delivers the answers at once.
    fn probe(&mut self) -> Vec<Conflict> {
        let due = self.table.due_probes(ROOM);
        self.sent += due.len();
        for address in &due {
            self.table.probed(*address, self.now);
        }
        let answers = due.iter().filter_map(|address| Some((*address, *self.there.get(address)?)));
        let answers: Vec<_> = answers.collect();
        answers.into_iter().filter_map(|(address, hw)| self.table.found(address, hw, self.now)).collect()
    }

    /// The same, and the wait for what does not answer.
    fn settle(&mut self) -> Vec<Conflict> {
        let conflicts = self.probe();
        self.pass(PROBE_WAIT);
        conflicts
    }

    fn offer(&mut self, client: Client<'_>) -> Found {
        self.table.offer(0, client, None, self.now).unwrap()
    }

    fn bind(&mut self, client: Client<'_>, address: Ipv4Addr) {
        let until = self.now.after(Duration::from_secs(3600));
        self.table.bind(0, client, address, until, self.now, SAID).unwrap();
    }
}

fn wide() -> Config {
    let mut config = config(&[("10.0.0.1", "10.0.15.254")]);
    config.dhcp.subnets[0].cidr = Cidr::new(ip("10.0.0.0"), 20).unwrap();
    config
}

fn eleven() -> Link {
    Link::new(&config(&[("10.0.0.60", "10.0.0.70")]))
}

#[test]
fn nothing_is_offered_before_its_probe_and_then_at_once() {
    let mut link = eleven();
    let early = link.offer(anybody(1));
    assert_eq!(early.proof, Proof::Awaited);
    link.probe();
    assert!(link.table.awaits_probe(early.address));
    assert_eq!(link.table.probe_deadline(), Some(link.now.after(PROBE_WAIT)));
    assert_eq!(
        link.offer(anybody(1)),
        Found { claim: Claim::Offer, ..early.clone() },
        "asked again too early"
    );
    link.pass(PROBE_WAIT - Duration::from_millis(1));
    assert!(link.table.awaits_probe(early.address));
    link.pass(Duration::from_millis(1));
    assert!(!link.table.awaits_probe(early.address));
    let proven = link.offer(anybody(1));
    assert_eq!((proven.address, proven.proof), (early.address, Proof::Given), "it was kept for the client");
    for newcomer in 2..=11 {
        assert_eq!(link.offer(anybody(newcomer)).proof, Proof::Given, "all were probed ahead of need");
    }
    assert_eq!(link.sent, 11);
}

#[test]
fn a_table_that_nobody_probes_for_offers_at_once() {
    let mut table = LeaseTable::new(&config(&[("10.0.0.60", "10.0.0.70")]), Vec::new());
    assert_eq!(table.offer(0, anybody(1), None, START).unwrap().proof, Proof::Given);
    assert_eq!((table.due_probes(ROOM), table.probe_deadline()), (Vec::new(), None));
}

#[test]
fn who_has_a_lease_never_waits() {
    let mut link = eleven();
    let address = link.offer(anybody(1)).address;
    link.settle();
    link.bind(anybody(1), address);
    for later in [0, 3000, 4000, 1_000_000] {
        link.pass(Duration::from_secs(later));
        let found = link.offer(anybody(1));
        assert_eq!((found.address, found.proof), (address, Proof::Given), "after {later} s more");
    }
    // Nor who gets a lease that has ended.
    for newcomer in 2..=11 {
        link.offer(anybody(newcomer));
    }
    link.pass(Duration::from_secs(100));
    link.probe();
    let mut full = eleven();
    full.settle();
    for newcomer in 1..=11 {
        let address = full.offer(anybody(newcomer)).address;
        full.bind(anybody(newcomer), address);
    }
    full.pass(Duration::from_secs(7200));
    let lapsed = full.offer(anybody(50));
    assert!(matches!(lapsed.claim, Claim::Lapsed(_)) && lapsed.proof == Proof::Given, "{lapsed:?}");
}

#[test]
fn a_stranger_keeps_his_address_and_the_client_gets_the_next() {
    let mut link = eleven();
    let address = link.offer(anybody(1)).address;
    link.there.insert(address, hw(99));
    let conflicts = link.probe();
    let [Conflict { address: found, change: Some(LeaseChange::Put(lease)) }] = &conflicts[..] else {
        panic!("{conflicts:?}")
    };
    assert_eq!((*found, lease.hw, lease.state), (address, hw(99), LeaseState::Conflict));
    assert_eq!(lease.until, link.now.after(QUARANTINE));
    assert!(!link.table.awaits_probe(address), "the client need not wait for the end of the time");
    link.pass(PROBE_WAIT);
    let other = link.offer(anybody(1));
    assert_ne!(other.address, address);
    assert_eq!(other.proof, Proof::Given);
    let refused = link.table.claim(0, anybody(1), address, link.now);
    assert_eq!(refused, Err(Refusal::Quarantined(lease.until)));
    // A restart does not forget it.
    let restarted = LeaseTable::new(&config(&[("10.0.0.60", "10.0.0.70")]), vec![lease.clone()]);
    let mut after = Link { table: restarted, ..eleven() };
    assert!(after.table.claim(0, anybody(1), address, link.now).is_err());
    // The stranger asks for an address: he has one.
    assert_eq!(after.table.offer(0, anybody(99), None, link.now).unwrap().claim, Claim::InUse);
    let own = link.offer(anybody(99));
    assert_eq!((own.address, own.claim, own.proof), (address, Claim::InUse, Proof::Given));
    link.bind(anybody(99), address);
}

#[test]
fn after_its_quarantine_an_address_is_probed_again() {
    let mut link = Link::new(&config(&[("10.0.0.60", "10.0.0.61")]));
    link.there.insert(ip("10.0.0.60"), hw(99));
    link.settle();
    let address = link.offer(anybody(1)).address;
    assert_eq!(address, ip("10.0.0.61"));
    link.bind(anybody(1), address);
    assert_eq!(link.table.offer(0, anybody(2), None, link.now), None, "the other one rests");
    link.pass(QUARANTINE);
    let found = link.offer(anybody(2));
    assert_eq!((found.address, found.proof), (ip("10.0.0.60"), Proof::Awaited));
    assert_eq!(link.settle().len(), 1, "he is still there");
    assert_eq!(link.table.offer(0, anybody(2), None, link.now), None);
    link.there.clear();
    link.pass(QUARANTINE);
    assert_eq!(link.offer(anybody(2)).proof, Proof::Awaited);
    link.settle();
    assert_eq!(link.offer(anybody(2)).proof, Proof::Given);
}

#[test]
fn the_client_itself_may_answer() {
    let mut link = eleven();
    let address = link.offer(anybody(1)).address;
    link.there.insert(address, hw(1));
    assert_eq!(link.probe(), []);
    let found = link.offer(anybody(1));
    assert_eq!((found.address, found.proof), (address, Proof::Given), "nothing more to wait for");
}

#[test]
fn a_late_or_uninvited_answer_says_nothing() {
    let mut link = eleven();
    let address = ip("10.0.0.60");
    assert_eq!(link.table.found(address, hw(9), link.now), None, "nobody asked");
    link.settle();
    assert_eq!(link.table.found(address, hw(9), link.now), None, "too late");
    assert_eq!(link.table.found(ip("192.0.2.1"), hw(9), link.now), None, "another network");
}

#[test]
fn one_who_answers_for_everything_does_not_take_the_pool() {
    let mut link = Link::new(&config(&[("10.0.0.1", "10.0.0.200")]));
    link.there = (1..=200).map(|last| (Ipv4Addr::new(10, 0, 0, last), hw(99))).collect();
    let conflicts = link.settle();
    assert_eq!(conflicts.len(), 200, "all are told");
    let quarantined = conflicts.iter().filter(|conflict| conflict.change.is_some()).count();
    assert_eq!(quarantined, QUARANTINES_PER_CLIENT_MAX);
    assert_eq!(link.offer(anybody(1)).proof, Proof::Given);
    // Nor do many who each answer for one.
    let mut link = Link::new(&config(&[("10.0.0.1", "10.0.0.200")]));
    link.there = (1..=200).map(|last| (Ipv4Addr::new(10, 0, 0, last), hw(last.into()))).collect();
    let quarantined = link.settle().iter().filter(|conflict| conflict.change.is_some()).count();
    assert_eq!(quarantined, 50, "a quarter");
}

#[test]
fn a_storm_waits_once_and_the_next_one_not_at_all() {
    let mut link = Link::new(&wide());
    link.settle();
    assert_eq!(link.sent, PROBES_AHEAD);
    let storm = |link: &mut Link, machines: std::ops::Range<u16>| {
        let offers: Vec<Found> = machines.map(|number| link.offer(anybody(number))).collect();
        offers.iter().filter(|found| found.proof == Proof::Awaited).count()
    };
    assert_eq!(storm(&mut link, 0..500), 500 - PROBES_AHEAD);
    link.settle();
    assert_eq!(storm(&mut link, 0..500), 0, "all at the same time");
    assert_eq!(storm(&mut link, 500..1000), 0, "more are foreseen now");
    for _ in 0..20 {
        storm(&mut link, 0..3000);
        link.settle();
    }
    assert!(link.sent <= 3000 + PROBES_AHEAD_MAX, "{} probes", link.sent);
    // Nobody comes any more: what is foreseen becomes less again.
    let mut each = Vec::new();
    for _ in 0..40 {
        let before = link.sent;
        link.pass(PROOF_AGE);
        link.settle();
        each.push(link.sent - before);
    }
    assert_eq!(each.last(), Some(&PROBES_AHEAD), "{each:?}");
}

#[test]
fn a_wish_is_probed_like_any_address_and_a_reservation_too() {
    let mut config = wide();
    config.machines = vec![machine("web1", &[&hw(1).to_string()], "10.0.15.9")].into();
    let mut link = Link::new(&config);
    link.settle();
    let wish = ip("10.0.15.250");
    let found = link.table.offer(0, anybody(2), Some(wish), link.now).unwrap();
    assert_eq!((found.address, found.proof), (wish, Proof::Awaited));
    let reserved = Client {
        hw: hw(1),
        machine: config.machines.first(),
        share: 0,
        circuit: Circuit::default(),
        voice: Voice::Own,
    };
    let found = link.offer(reserved);
    assert_eq!((found.address, found.proof), (ip("10.0.15.9"), Proof::Awaited));
    link.there.insert(ip("10.0.15.9"), hw(99));
    link.settle();
    assert_eq!(link.table.offer(0, anybody(2), Some(wish), link.now).unwrap().proof, Proof::Given);
    let other = link.offer(reserved);
    assert_eq!(other.proof, Proof::Given, "another address is better than a conflict");
    assert!(matches!(other.refused[..], [(_, Refusal::Quarantined(_))]), "{other:?}");
}

#[test]
fn a_clock_that_steps_back_ends_waits_and_proofs() {
    let mut link = eleven();
    let address = link.offer(anybody(1)).address;
    link.probe();
    link.now = Timestamp(START.0 - 10_000_000);
    link.table.conclude_probes(link.now);
    assert!(!link.table.awaits_probe(address), "nobody waits for hours");
}

#[test]
fn a_clock_that_was_set_moves_waits_and_proofs() {
    for year in [-1, 1].map(|sign| sign * 365 * 86_400_000) {
        let mut link = eleven();
        let address = link.offer(anybody(1)).address;
        link.probe();
        link.now = link.now.moved(year);
        link.table.shift(Step { millis: year });
        link.table.conclude_probes(link.now);
        assert!(link.table.awaits_probe(address), "an answer may still come");
        assert_eq!(link.table.probe_deadline(), Some(link.now.after(PROBE_WAIT)));
        link.table.conclude_probes(link.now.after(PROBE_WAIT));
        assert!(!link.table.awaits_probe(address));
        assert_eq!(link.table.probe_deadline(), Some(link.now.after(PROBE_WAIT + PROOF_AGE)));
    }
}

/// The host was off and its clock is ahead: nobody can tell that the lease has not ended, but its holder can.
#[test]
fn what_was_lent_by_a_former_run_is_asked_about_first() {
    let mut link = eleven();
    link.settle();
    for client in 1..=11 {
        let address = link.offer(anybody(client)).address;
        link.bind(anybody(client), address);
    }
    let holders = link.table.iter().map(|lease| (lease.address, lease.hw)).collect();
    let config = config(&[("10.0.0.60", "10.0.0.70")]);
    let mut restarted = Link::new(&config);
    restarted.table = LeaseTable::new(&config, link.table.iter().cloned().collect());
    restarted.table.watch(config.dhcp.subnets.iter().map(|subnet| subnet.cidr).collect());
    restarted.now = START.after(Duration::from_secs(365 * 86_400));
    restarted.table.start(restarted.now);
    restarted.there = holders;

    let found = restarted.offer(anybody(20));
    assert!(matches!(found.claim, Claim::Lapsed(_)) && found.proof == Proof::Awaited, "{found:?}");
    let conflicts = restarted.settle();
    assert_eq!(conflicts.iter().map(|conflict| conflict.address).collect::<Vec<_>>(), [found.address]);
    let holder = restarted.there[&found.address];
    let back = restarted.offer(Client {
        hw: holder,
        machine: None,
        share: 0,
        circuit: Circuit::default(),
        voice: Voice::Own,
    });
    assert_eq!((back.address, back.proof), (found.address, Proof::Given));
    // Where nobody answers, the next one gets it. What is lent from now on is not asked about again.
    restarted.there.clear();
    let next = restarted.offer(anybody(20)).address;
    restarted.settle();
    assert_eq!(restarted.offer(anybody(20)).proof, Proof::Given);
    restarted.bind(anybody(20), next);
    restarted.table.release(0, hw(20), next, restarted.now).unwrap();
    assert_eq!(restarted.table.get(next).unwrap().noted, restarted.now);
}

/// Whatever happens, a stranger that answers is never met by an offer that was not proven since he came.
#[test]
fn nobody_is_offered_an_address_that_answered() {
    let config = config(&[("10.0.0.1", "10.0.0.120")]);
    let mut link = Link::new(&config);
    let mut random: u64 = 7;
    let mut below = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    link.there = (1..=20).map(|n| (Ipv4Addr::new(10, 0, 0, n * 6), hw(900 + u16::from(n)))).collect();
    let (mut given, mut waited, mut conflicts) = (0, 0, 0);
    for step in 0..20_000 {
        let who = below(200) as u16;
        match below(8) {
            0..4 => {
                let Some(found) = link.table.offer(0, anybody(who), None, link.now) else { continue };
                if found.proof == Proof::Awaited {
                    waited += 1;
                    continue;
                }
                given += 1;
                assert!(!link.there.contains_key(&found.address), "step {step}: {found:?}");
                if below(2) == 0 {
                    link.bind(anybody(who), found.address);
                }
            }
            4 => conflicts += link.probe().len(),
            5 => link.pass(Duration::from_millis(below(300))),
            6 => link.pass(Duration::from_secs(below(100))),
            _ if below(50) == 0 => link.table.reconfigure(&config),
            _ => {}
        }
    }
    assert!(given > 1000 && waited > 20 && conflicts >= 20, "{given} {waited} {conflicts}");
}
