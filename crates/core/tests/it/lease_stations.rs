//! Machines that another station speaks for, most of which do not exist.

use std::net::Ipv4Addr;

use bootlace_core::dhcp::{Attributes, Circuit, Claim, Client, LeaseTable, Refusal, Voice};
use bootlace_core::model::Timestamp;
use bootlace_wire::{HwAddr, Mac};

use crate::configs::{config, machine};

const SAID: Attributes<'static> = Attributes { client_id: None, uuid: None, hostname: "" };
const LEASE_SECS: i64 = 3_600;
const POOL: u32 = 100;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn hw(number: u32) -> HwAddr {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d]).into()
}

fn client(number: u32, voice: Voice) -> Client<'static> {
    Client { hw: hw(number), machine: None, share: 0, circuit: Circuit::default(), voice }
}

fn table() -> LeaseTable {
    LeaseTable::new(&config(&[("10.0.0.100", "10.0.0.199")]), Vec::new())
}

fn offer(table: &mut LeaseTable, client: Client<'_>, secs: i64) -> Option<(Ipv4Addr, Claim)> {
    let found = table.offer(0, client, None, at(secs));
    let found = found.or_else(|| table.supersede(0, client, at(secs)));
    found.map(|found| (found.address, found.claim))
}

fn bind(table: &mut LeaseTable, client: Client<'_>, address: Ipv4Addr, secs: i64) -> Result<Claim, Refusal> {
    let bound = table.bind(0, client, address, at(secs + LEASE_SECS), at(secs), SAID);
    bound.map(|(claim, _)| claim)
}

/// How many of these get a lease.
fn served(table: &mut LeaseTable, numbers: std::ops::Range<u32>, voice: Voice, secs: i64) -> u32 {
    let gets = |number: &u32| {
        let client = client(*number, voice);
        let offered = offer(table, client, secs);
        offered.is_some_and(|(address, _)| bind(table, client, address, secs).is_ok())
    };
    numbers.filter(gets).count() as u32
}

#[test]
fn one_station_takes_no_more_than_half_and_leaves_the_rest() {
    let mut table = table();
    assert_eq!(served(&mut table, 0..1_000, Voice::Another, 0), POOL / 2);
    assert_eq!(
        served(&mut table, 5_000..5_100, Voice::Own, 1),
        POOL / 2,
        "machines that speak for themselves"
    );
    // What they hold, they keep.
    let address = table.lease_of(0, hw(3)).unwrap().address;
    assert_eq!(bind(&mut table, client(3, Voice::Another), address, 1_000), Ok(Claim::Lease));
}

#[test]
fn where_half_is_held_they_get_a_quarter_together() {
    let mut table = table();
    assert_eq!(served(&mut table, 0..POOL / 2, Voice::Own, 0), POOL / 2);
    assert_eq!(served(&mut table, 1_000..2_000, Voice::Another, 0), POOL / 4);
    let free = Ipv4Addr::new(10, 0, 0, 100);
    let free = (0..POOL).map(|at| Ipv4Addr::from(u32::from(free) + at)).find(|ip| table.get(*ip).is_none());
    let lost = client(3_000, Voice::Another);
    assert_eq!(
        bind(&mut table, lost, free.unwrap(), 0),
        Err(Refusal::SpokenFor),
        "renewed as if it were lost"
    );
    // Renewals that nobody saw come by another's voice take nothing out of the share.
    for number in 1_000..1_000 + POOL / 4 {
        let address = table.lease_of(0, hw(number)).unwrap().address;
        assert_eq!(bind(&mut table, client(number, Voice::Own), address, 10), Ok(Claim::Lease));
    }
    table.reconfigure(&config(&[("10.0.0.100", "10.0.0.199")]));
    assert_eq!(served(&mut table, 4_000..4_001, Voice::Another, 20), 0);
}

#[test]
fn leases_that_have_ended_are_not_theirs_for_the_asking() {
    let mut table = table();
    assert_eq!(served(&mut table, 0..25, Voice::Another, 0), 25);
    let over = LEASE_SECS + 1;
    assert_eq!(served(&mut table, 100..150, Voice::Own, over), 50);
    assert_eq!(served(&mut table, 200..300, Voice::Another, over), 25);
    assert_eq!(served(&mut table, 0..25, Voice::Another, over), 0, "they come on top of the share");
    assert_eq!(served(&mut table, 0..1, Voice::Own, over), 1, "a machine that came back to its own link");
    assert_eq!(served(&mut table, 400..500, Voice::Another, 3 * LEASE_SECS), POOL / 2, "all have ended");
}

#[test]
fn of_offers_they_take_back_only_one_anothers() {
    let mut table = table();
    let real: Vec<_> =
        (0..60).map(|number| offer(&mut table, client(number, Voice::Own), 0).unwrap().0).collect();
    for number in 1_000..3_000 {
        assert!(offer(&mut table, client(number, Voice::Another), 1).is_some(), "nobody is met with silence");
    }
    for number in 60..60 + (POOL - 60 - POOL / 4) {
        assert_eq!(offer(&mut table, client(number, Voice::Own), 2).unwrap().1, Claim::Free);
    }
    let (_, claim) = offer(&mut table, client(500, Voice::Own), 3).unwrap();
    assert!(matches!(claim, Claim::Superseded(other) if other >= hw(1_000)), "{claim:?}");
    for (number, address) in (0..).zip(real) {
        assert_eq!(bind(&mut table, client(number, Voice::Own), address, 4), Ok(Claim::Offer));
    }
}

#[test]
fn a_machine_of_the_config_has_its_address_whoever_speaks_for_it() {
    let mut config = config(&[("10.0.0.100", "10.0.0.199")]);
    config.machines = vec![machine("web1", &["02:00:00:00:00:07"], "10.0.0.9")].into();
    let mut table = LeaseTable::new(&config, Vec::new());
    assert_eq!(served(&mut table, 1_000..2_000, Voice::Another, 0), POOL / 2);
    let web1 = Client { machine: config.machines.first(), ..client(7, Voice::Another) };
    assert_eq!(offer(&mut table, web1, 1), Some((Ipv4Addr::new(10, 0, 0, 9), Claim::Reservation)));
}

/// Under a flood its promise is somebody else's before a slow boot program has come to take it.
#[test]
fn who_was_offered_an_address_may_take_it_after_others_were_offered_it() {
    let mut table = table();
    for number in 1_000..1_200 {
        offer(&mut table, client(number, Voice::Another), 0);
    }
    let slow = client(500, Voice::Another);
    let (address, _) = offer(&mut table, slow, 1).unwrap();
    for number in 2_000..2_200 {
        offer(&mut table, client(number, Voice::Another), 2);
    }
    assert_eq!(bind(&mut table, slow, address, 3), Ok(Claim::Offer));
    // It took the place of one of theirs: they have not more than their share.
    assert_eq!(served(&mut table, 3_000..4_000, Voice::Another, 3), POOL / 2 - 1);
    assert_eq!(served(&mut table, 5_000..5_100, Voice::Own, 4), POOL / 2);
}
