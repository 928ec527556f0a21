//! Who gets which address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use bootlace_core::boot::rules::Match;
use bootlace_core::config::{Config, RangesFor, Standing};
use bootlace_core::dhcp::{
    Attributes, Circuit, Claim, Client, Declined, LeaseChange, LeaseState, LeaseTable, OFFER_HOLD,
    QUARANTINE, QUARANTINES_PER_CLIENT_MAX, Refusal, Step, Voice,
};
use bootlace_core::model::Timestamp;
use bootlace_wire::{HwAddr, Mac};

use crate::configs::{config, ip, machine};

const SAID: Attributes<'static> = Attributes { client_id: None, uuid: None, hostname: "" };
const HOUR: i64 = 3600;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn hw(number: u16) -> HwAddr {
    let [high, low] = number.to_be_bytes();
    Mac([2, 0, 0, 0, high, low]).into()
}

fn anybody(number: u16) -> Client<'static> {
    Client { hw: hw(number), machine: None, share: 0, circuit: Circuit::default(), voice: Voice::Own }
}

fn of_config(config: &Config, number: u16) -> Client<'_> {
    let mac = hw(number).mac().unwrap();
    Client {
        hw: hw(number),
        machine: config.machines.by_mac(mac),
        share: 0,
        circuit: Circuit::default(),
        voice: Voice::Own,
    }
}

fn offer(table: &mut LeaseTable, client: Client<'_>, secs: i64) -> Ipv4Addr {
    table.offer(0, client, None, at(secs)).unwrap().address
}

fn take(table: &mut LeaseTable, client: Client<'_>, secs: i64) -> Ipv4Addr {
    let address = offer(table, client, secs);
    table.bind(0, client, address, at(secs + HOUR), at(secs), SAID).unwrap();
    address
}

fn eleven() -> (Config, LeaseTable) {
    let config = config(&[("10.0.0.60", "10.0.0.70")]);
    let table = LeaseTable::new(&config, Vec::new());
    (config, table)
}

#[test]
fn asking_again_gives_the_same_address() {
    let (_, mut table) = eleven();
    let first = offer(&mut table, anybody(1), 0);
    assert_eq!(offer(&mut table, anybody(1), 3), first, "while offered");
    assert_eq!(offer(&mut table, anybody(1), 300), first, "by the hash, when nobody took it");
    assert_eq!(take(&mut table, anybody(1), 301), first);
    assert_eq!(offer(&mut table, anybody(1), 400), first, "while held");
    assert_eq!(offer(&mut table, anybody(1), 301 + 5 * HOUR), first, "long after");
}

#[test]
fn an_offer_never_touches_a_live_lease() {
    let (_, mut table) = eleven();
    let address = take(&mut table, anybody(1), 0);
    let before = table.get(address).unwrap().clone();
    offer(&mut table, anybody(1), 100);
    assert_eq!(table.get(address), Some(&before));
    table.withdraw(0, hw(1));
    assert_eq!(table.get(address), Some(&before));
    assert_eq!(table.holder(address, at(100)), Some(hw(1)));
}

#[test]
fn every_address_is_lent_and_the_next_client_gets_none() {
    let (_, mut table) = eleven();
    let given: BTreeSet<Ipv4Addr> = (0..11).map(|n| take(&mut table, anybody(n), 0)).collect();
    assert_eq!(given.len(), 11);
    assert_eq!(table.offer(0, anybody(11), None, at(1)), None);
    let released = *given.first().unwrap();
    let holder = table.holder(released, at(1)).unwrap();
    table.release(0, holder, released, at(2)).unwrap();
    assert_eq!(offer(&mut table, anybody(11), 3), released, "a hole is found wherever it is");
}

#[test]
fn what_was_never_lent_goes_before_what_lapsed_and_that_oldest_first() {
    let (_, mut table) = eleven();
    let given: Vec<Ipv4Addr> = (0..10).map(|n| take(&mut table, anybody(n), i64::from(n) * 10)).collect();
    let later = 10 * HOUR;
    let eleventh = take(&mut table, anybody(10), later);
    assert!(!given.contains(&eleventh));
    for (n, expected) in (20..).zip(&given) {
        let found = table.offer(0, anybody(n), None, at(later)).unwrap();
        assert_eq!(found.address, *expected);
        assert_eq!(found.claim, Claim::Lapsed(hw(n - 20)));
    }
    assert_eq!(table.offer(0, anybody(40), None, at(later + 1)), None, "all offered");
    let lapsed = later + OFFER_HOLD.as_secs() as i64;
    assert_eq!(offer(&mut table, anybody(40), lapsed), given[0], "nobody took it");
}

#[test]
fn a_taken_over_address_leaves_its_former_holder_without_claim() {
    let (_, mut table) = eleven();
    let old = take(&mut table, anybody(0), 0);
    for n in 1..11 {
        take(&mut table, anybody(n), 5 * HOUR);
    }
    assert_eq!(take(&mut table, anybody(99), 5 * HOUR), old);
    assert_eq!(table.lease_of(0, hw(0)), None);
    assert_eq!(table.claim(0, anybody(0), old, at(5 * HOUR + 1)), Err(Refusal::Held(hw(99))));
    assert_eq!(table.offer(0, anybody(0), Some(old), at(5 * HOUR + 1)), None);
}

#[test]
fn a_wish_is_granted_when_the_address_is_free() {
    let (_, mut table) = eleven();
    let wish = |table: &mut LeaseTable, n, text: &str| {
        table.offer(0, anybody(n), Some(ip(text)), at(0)).unwrap().address
    };
    assert_eq!(wish(&mut table, 1, "10.0.0.65"), ip("10.0.0.65"));
    assert_ne!(wish(&mut table, 2, "10.0.0.65"), ip("10.0.0.65"), "offered to another");
    for outside in ["10.0.0.71", "10.0.0.0", "10.0.0.255", "10.9.0.65", "255.255.255.255"] {
        let address = wish(&mut table, 3, outside);
        assert!((ip("10.0.0.60")..=ip("10.0.0.70")).contains(&address), "{outside} {address}");
    }
}

#[test]
fn reservations_are_lent_to_nobody_else() {
    let mut config = config(&[("10.0.0.60", "10.0.0.61")]);
    config.machines = vec![
        machine("web1", &["02:00:00:00:00:01"], "10.0.0.61"),
        machine("web2", &["02:00:00:00:00:02"], "10.0.0.9"),
        machine("far", &["02:00:00:00:00:03"], "10.7.0.9"),
    ]
    .into();
    let mut table = LeaseTable::new(&config, Vec::new());
    assert_eq!(take(&mut table, anybody(7), 0), ip("10.0.0.60"));
    assert_eq!(table.offer(0, anybody(8), Some(ip("10.0.0.61")), at(0)), None);
    assert_eq!(table.claim(0, anybody(8), ip("10.0.0.61"), at(0)), Err(Refusal::Reserved));
    assert_eq!(take(&mut table, of_config(&config, 1), 0), ip("10.0.0.61"));
    assert_eq!(take(&mut table, of_config(&config, 2), 0), ip("10.0.0.9"), "outside of the ranges");
    assert_eq!(
        table.offer(0, of_config(&config, 3), None, at(0)),
        None,
        "of another network, and it is full"
    );
    table.release(0, hw(1), ip("10.0.0.61"), at(9)).unwrap();
    assert_eq!(table.offer(0, anybody(8), None, at(10 * HOUR)).unwrap().address, ip("10.0.0.60"));
}

#[test]
fn a_reservation_belongs_to_the_first_interface_of_its_machine() {
    let mut config = config(&[("10.0.0.60", "10.0.0.70")]);
    config.machines = vec![machine("web1", &["02:00:00:00:00:01", "02:00:00:00:00:02"], "10.0.0.9")].into();
    let mut table = LeaseTable::new(&config, Vec::new());
    let (first, second) = (of_config(&config, 1), of_config(&config, 2));
    assert_eq!(take(&mut table, first, 0), ip("10.0.0.9"));
    let found = table.offer(0, second, None, at(1)).unwrap();
    assert_eq!(found.refused, [(ip("10.0.0.9"), Refusal::Held(hw(1)))]);
    let ordinary = take(&mut table, second, 1);
    assert_ne!(ordinary, ip("10.0.0.9"));
    // The first lapses while the second renews: it stays where it is instead of swapping.
    table.bind(0, second, ordinary, at(5 * HOUR), at(HOUR), SAID).unwrap();
    assert_eq!(table.better(0, second, at(2 * HOUR - 1)), None);
    assert_eq!(offer(&mut table, second, 2 * HOUR - 1), ordinary);
    // Long gone, the first was replaced.
    assert_eq!(table.better(0, second, at(2 * HOUR)), Some(ip("10.0.0.9")));
    // Alone, without a lease of its own, it gets the reservation.
    assert_eq!(offer(&mut table, second, 50 * HOUR), ip("10.0.0.9"));
}

#[test]
fn a_new_reservation_moves_its_machine() {
    let (mut config, mut table) = eleven();
    let old = take(&mut table, anybody(1), 0);
    config.machines = vec![machine("web1", &["02:00:00:00:00:01"], "10.0.0.9")].into();
    table.reconfigure(&config);
    let client = of_config(&config, 1);
    assert_eq!(table.better(0, client, at(1)), Some(ip("10.0.0.9")));
    assert_eq!(offer(&mut table, client, 1), ip("10.0.0.9"));
    let (_, changes) = table.bind(0, client, ip("10.0.0.9"), at(HOUR), at(2), SAID).unwrap();
    assert_eq!(changes[0], LeaseChange::Remove(old));
    assert_eq!(table.iter().count(), 1, "one lease in a subnet");
    assert_eq!(table.claim(0, anybody(2), old, at(3)), Ok(Claim::Free));
    assert_eq!(table.better(0, client, at(3)), None);
}

#[test]
fn a_reservation_that_a_stranger_holds_waits_for_him() {
    let (mut config, mut table) = eleven();
    let held = take(&mut table, anybody(1), 0);
    config.machines = vec![machine("web1", &["02:00:00:00:00:05"], &held.to_string())].into();
    table.reconfigure(&config);
    let client = of_config(&config, 5);
    assert_ne!(offer(&mut table, client, 1), held);
    assert_eq!(table.claim(0, anybody(1), held, at(1)), Err(Refusal::Reserved), "he cannot stay");
    assert_ne!(take(&mut table, anybody(1), 2), held);
    assert_eq!(offer(&mut table, client, 3), held);
}

#[test]
fn leases_outside_of_the_ranges_are_kept_but_not_renewed() {
    let (_, mut table) = eleven();
    let address = take(&mut table, anybody(1), 0);
    let smaller = config(&[("10.0.0.100", "10.0.0.101")]);
    table.reconfigure(&smaller);
    assert_eq!(table.claim(0, anybody(1), address, at(1)), Err(Refusal::NotLent));
    assert_eq!(table.holder(address, at(1)), Some(hw(1)));
    let moved = take(&mut table, anybody(1), 2);
    assert!(moved >= ip("10.0.0.100"));
    assert_eq!(table.iter().count(), 1);
    // Back again with the leases of a store.
    let (config, _) = eleven();
    let leases = table.iter().cloned().collect();
    let mut table = LeaseTable::new(&config, leases);
    assert_eq!(table.offer(0, anybody(1), None, at(3)).unwrap().refused, [(moved, Refusal::NotLent)]);
}

#[test]
fn an_offer_survives_a_reload() {
    let (config, mut table) = eleven();
    let address = offer(&mut table, anybody(1), 0);
    table.reconfigure(&config);
    assert_eq!(table.claim(0, anybody(2), address, at(1)), Err(Refusal::Offered(hw(1))));
    assert_eq!(table.claim(0, anybody(2), address, at(61)), Ok(Claim::Free));
}

#[test]
fn after_a_restart_a_free_address_is_granted() {
    let (config, mut table) = eleven();
    let address = offer(&mut table, anybody(1), 0);
    let mut table = LeaseTable::new(&config, table.iter().cloned().collect());
    assert_eq!(table.claim(0, anybody(1), address, at(1)), Ok(Claim::Free));
    table.bind(0, anybody(1), address, at(HOUR), at(1), SAID).unwrap();
    let taken = table.bind(0, anybody(2), address, at(HOUR), at(2), SAID);
    assert_eq!(taken, Err(Refusal::Held(hw(1))));
}

#[test]
fn a_declined_address_rests() {
    let (_, mut table) = eleven();
    let address = take(&mut table, anybody(1), 0);
    assert_eq!(table.decline(0, hw(2), address, at(1)), Declined::NotTheirs);
    let Declined::Quarantined(LeaseChange::Put(lease)) = table.decline(0, hw(1), address, at(1)) else {
        panic!("not declined");
    };
    assert_eq!((lease.state, lease.until), (LeaseState::Declined, at(1).after(QUARANTINE)));
    assert_eq!(table.claim(0, anybody(1), address, at(2)), Err(Refusal::Quarantined(lease.until)));
    assert_ne!(offer(&mut table, anybody(1), 2), address);
    assert_eq!(table.decline(0, hw(1), address, at(3)), Declined::NotTheirs, "already");
    assert_eq!(table.claim(0, anybody(3), address, lease.until), Ok(Claim::Lapsed(hw(1))));
}

#[test]
fn quarantine_is_bounded_by_client_and_by_pool() {
    let config = config(&[("10.0.0.1", "10.0.0.200")]);
    let mut table = LeaseTable::new(&config, Vec::new());
    let quarantined = |table: &mut LeaseTable, n, secs| {
        let address = take(table, anybody(n), secs);
        matches!(table.decline(0, hw(n), address, at(secs)), Declined::Quarantined(_))
    };
    let by_one = (0..10).filter(|secs| quarantined(&mut table, 1, *secs)).count();
    assert_eq!(by_one, QUARANTINES_PER_CLIENT_MAX);
    let by_many = (2..150).filter(|n| quarantined(&mut table, *n, 20)).count();
    assert_eq!(by_one + by_many, 50, "a quarter");
    assert!(quarantined(&mut table, 1, 10 + QUARANTINE.as_secs() as i64), "and it ends");
}

#[test]
fn only_the_holder_releases_and_gets_it_again() {
    let (_, mut table) = eleven();
    let address = take(&mut table, anybody(1), 0);
    assert_eq!(table.release(0, hw(2), address, at(1)), None);
    let Some(LeaseChange::Put(lease)) = table.release(0, hw(1), address, at(2)) else { panic!("kept") };
    assert_eq!((lease.state, lease.until, lease.hw), (LeaseState::Released, at(2), hw(1)));
    assert_eq!(table.release(0, hw(1), address, at(3)), None, "twice");
    for n in 2..12 {
        assert_ne!(offer(&mut table, anybody(n), 4), address);
    }
    assert_eq!(offer(&mut table, anybody(1), 5), address);
}

#[test]
fn attributes_stay_when_a_stage_does_not_send_them() {
    let (_, mut table) = eleven();
    let address = offer(&mut table, anybody(1), 0);
    let uuid = "4c4c4544-0039-4e10-804e-b9c04f4d344a".parse().ok();
    let rom = Attributes { client_id: None, uuid, hostname: "" };
    let os = Attributes { client_id: Some(&[1, 2, 3]), uuid: None, hostname: "pc" };
    table.bind(0, anybody(1), address, at(HOUR), at(0), rom).unwrap();
    table.bind(0, anybody(1), address, at(2 * HOUR), at(9), os).unwrap();
    let lease = table.get(address).unwrap();
    assert_eq!((lease.uuid, lease.hostname.as_str(), lease.since), (uuid, "pc", at(0)));
    assert_eq!(lease.client_id.as_deref(), Some(&[1, 2, 3][..]));
    table.bind(0, anybody(1), address, at(2 * HOUR), at(9), SAID).unwrap();
    assert_eq!(table.get(address).unwrap().hostname.as_str(), "pc");
}

#[test]
fn a_clock_set_back_frees_what_was_promised_in_the_future() {
    let (_, mut table) = eleven();
    for n in 0..10 {
        offer(&mut table, anybody(n), 10 * HOUR);
    }
    let declined = take(&mut table, anybody(10), 10 * HOUR);
    table.decline(0, hw(10), declined, at(10 * HOUR));
    let given: BTreeSet<Ipv4Addr> = (20..31).map(|n| take(&mut table, anybody(n), 0)).collect();
    assert_eq!(given.len(), 11);
}

/// Whatever the clock says of when it was given back.
#[test]
fn what_was_given_back_is_lent_again_after_the_clock_was_set_back() {
    let (_, mut table) = eleven();
    let taken: Vec<Ipv4Addr> = (0..11).map(|n| take(&mut table, anybody(n), 10 * HOUR)).collect();
    table.release(0, hw(3), taken[3], at(10 * HOUR)).unwrap();
    table.release(0, hw(2), taken[2], at(10 * HOUR + 1)).unwrap();
    assert_eq!([take(&mut table, anybody(20), 0), take(&mut table, anybody(21), 0)], [taken[3], taken[2]]);
    assert!(table.offer(0, anybody(22), None, at(0)).is_none());
}

/// An infinite lease, one that ends, one given back, an offer and a quarantine, all of the eleven addresses.
fn a_bit_of_everything() -> (LeaseTable, Vec<Ipv4Addr>) {
    let (_, mut table) = eleven();
    let mut taken: Vec<Ipv4Addr> = (0..10).map(|n| take(&mut table, anybody(n), 0)).collect();
    table.bind(0, anybody(0), taken[0], Timestamp::NEVER, at(0), SAID).unwrap();
    table.release(0, hw(1), taken[1], at(10)).unwrap();
    table.decline(0, hw(2), taken[2], at(10));
    taken.push(offer(&mut table, anybody(10), 10));
    (table, taken)
}

#[test]
fn a_clock_that_was_set_moves_every_time() {
    const YEAR: i64 = 365 * 24 * HOUR;
    for year in [-YEAR, YEAR] {
        let (mut table, taken) = a_bit_of_everything();
        let mut moved = table.clone();
        let changes = moved.shift(Step { millis: year * 1000 });
        assert_eq!(changes.len(), 10);
        assert_eq!(moved.newest(), table.newest().map(|newest| newest.moved(year * 1000)));
        assert_eq!(moved.get(taken[0]).unwrap().until, Timestamp::NEVER);
        // Reloaded from the store, it is the same table but for the offer.
        let stored = changes.into_iter().map(|change| match change {
            LeaseChange::Put(lease) => lease,
            LeaseChange::Remove(address) => panic!("{address} is gone"),
        });
        assert!(stored.eq(moved.iter().cloned()));
        for (secs, client) in [(11, 10), (69, 11), (69, 12), (70, 12), (HOUR - 1, 13), (HOUR, 14), (HOUR, 15)]
        {
            let there = moved.offer(0, anybody(client), None, at(secs + year));
            let here = table.offer(0, anybody(client), None, at(secs));
            assert_eq!(there.map(|f| (f.address, f.claim)), here.map(|f| (f.address, f.claim)), "{secs}");
        }
    }
}

#[test]
fn the_same_client_has_an_address_in_each_subnet() {
    let config = config(&[("10.0.0.1", "10.0.0.9"), ("10.0.1.1", "10.0.1.9")]);
    let mut table = LeaseTable::new(&config, Vec::new());
    let here = take(&mut table, anybody(1), 0);
    let there = table.offer(1, anybody(1), None, at(1)).unwrap().address;
    table.bind(1, anybody(1), there, at(HOUR), at(1), SAID).unwrap();
    assert_eq!(table.lease_of(0, hw(1)).unwrap().address, here);
    assert_eq!(table.lease_of(1, hw(1)).unwrap().address, there);
    assert_eq!(table.claim(0, anybody(1), there, at(2)), Err(Refusal::NotLent));
}

/// 10.0.0.60 for all, 10.0.0.9 for known machines.
fn a_share_for_the_known() -> Config {
    let mut config = config(&[("10.0.0.60", "10.0.0.60")]);
    config.dhcp.subnets[0].ranges_for = vec![RangesFor {
        standing: Some(Standing::Known),
        matches: Match::default(),
        ranges: vec![ip("10.0.0.9")..=ip("10.0.0.9")],
    }];
    config
}

#[test]
fn who_becomes_known_keeps_its_address_while_the_lease_lives() {
    let mut config = a_share_for_the_known();
    let mut table = LeaseTable::new(&config, Vec::new());
    assert_eq!(take(&mut table, anybody(1), 0), ip("10.0.0.60"));

    let mut known = machine("web1", &["02:00:00:00:00:01"], "10.0.0.10");
    known.address = None;
    config.machines = vec![known].into();
    table.reconfigure(&config);
    let client = Client { share: 1, ..of_config(&config, 1) };
    assert_eq!(offer(&mut table, client, 10), ip("10.0.0.60"), "its lease lives");
    assert!(table.bind(0, client, ip("10.0.0.60"), at(2 * HOUR), at(HOUR / 2), SAID).is_ok(), "renewed");
    assert_eq!(table.claim(0, client, ip("10.0.0.60"), at(3 * HOUR)), Err(Refusal::OtherRanges), "ended");
    let found = table.offer(0, client, None, at(3 * HOUR)).unwrap();
    assert_eq!((found.address, found.claim), (ip("10.0.0.9"), Claim::Free));
    assert_eq!(found.refused, [(ip("10.0.0.60"), Refusal::OtherRanges)]);
}

#[test]
fn a_share_that_is_full_takes_nothing_of_another() {
    let config = a_share_for_the_known();
    let mut table = LeaseTable::new(&config, Vec::new());
    let of_known = |number| Client {
        share: 1,
        machine: None,
        hw: hw(number),
        circuit: Circuit::default(),
        voice: Voice::Own,
    };
    assert_eq!(table.claim(0, anybody(1), ip("10.0.0.9"), at(0)), Err(Refusal::OtherRanges));
    assert_eq!(take(&mut table, anybody(1), 0), ip("10.0.0.60"));
    assert_eq!(table.offer(0, anybody(2), Some(ip("10.0.0.9")), at(0)), None, "a wish does not help");
    assert_eq!(table.offer(0, of_known(3), None, at(0)).map(|found| found.address), Some(ip("10.0.0.9")));
    let later = at(2 * HOUR);
    let lapsed = table.offer(0, anybody(2), None, later).map(|found| found.claim);
    assert_eq!(lapsed, Some(Claim::Lapsed(hw(1))), "of its own share");
}
