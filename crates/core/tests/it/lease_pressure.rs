//! A flood of made-up machines, and real ones among it.

use std::net::{Ipv4Addr, SocketAddrV4};

use bootlace_core::config::Config;
use bootlace_core::dhcp::{
    AlmostFull, Attributes, Circuit, Claim, Client, LeaseTable, Received, Refusal, Service, Step, classify,
};
use bootlace_core::model::{ClientId, Timestamp};
use bootlace_wire::dhcp::{Code, Message, MessageType, Op};
use bootlace_wire::{HwAddr, Mac};

use crate::configs::{config, ip, machine};

const SAID: Attributes<'static> = Attributes { client_id: None, uuid: None, hostname: "" };
const HOUR: i64 = 3600;

fn at(millis: i64) -> Timestamp {
    Timestamp(1_800_000_000_000 + millis)
}

fn hw(number: u32) -> HwAddr {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d]).into()
}

fn anybody(number: u32) -> Client<'static> {
    Client { hw: hw(number), machine: None, share: 0, circuit: Circuit::default() }
}

fn offer(table: &mut LeaseTable, client: Client<'_>, millis: i64) -> Option<(Ipv4Addr, Claim)> {
    let found = table.offer(0, client, None, at(millis));
    let found = found.or_else(|| table.supersede(0, client, at(millis)));
    found.map(|found| (found.address, found.claim))
}

fn bind(
    table: &mut LeaseTable,
    client: Client<'_>,
    address: Ipv4Addr,
    millis: i64,
) -> Result<Claim, Refusal> {
    let until = at(millis + HOUR * 1000);
    table.bind(0, client, address, until, at(millis), SAID).map(|(claim, _)| claim)
}

#[test]
fn a_machine_gets_its_address_however_many_are_made_up_before_it_asks() {
    let mut table = LeaseTable::new(&config(&[("10.0.0.60", "10.0.0.70")]), Vec::new());
    // 1,000 a second; each tenth second a real machine, which asks for its address three seconds later.
    let mut waiting = Vec::new();
    for millis in 0..60_000_u32 {
        assert!(offer(&mut table, anybody(millis), millis.into()).is_some(), "nobody is met with silence");
        if millis % 10_000 == 5_000 {
            let real = anybody(1 << 20 | millis);
            let (address, claim) = offer(&mut table, real, millis.into()).unwrap();
            assert!(matches!(claim, Claim::Superseded(_)), "{claim:?}");
            waiting.push((real, address, millis + 3_000));
        }
        for (real, address, _) in waiting.extract_if(.., |(_, _, due)| *due == millis) {
            assert_eq!(bind(&mut table, real, address, millis.into()), Ok(Claim::Offer));
            assert_eq!(table.holder(address, at(millis.into())), Some(real.hw));
        }
    }
    assert_eq!(table.iter().count(), 6);
}

#[test]
fn of_two_who_were_offered_an_address_the_first_to_ask_has_it() {
    let mut table = LeaseTable::new(&config(&[("10.0.0.60", "10.0.0.60")]), Vec::new());
    let only = ip("10.0.0.60");
    assert_eq!(offer(&mut table, anybody(1), 0), Some((only, Claim::Free)));
    assert_eq!(offer(&mut table, anybody(2), 10), Some((only, Claim::Superseded(hw(1)))));
    assert_eq!(table.claim(0, anybody(3), only, at(20)), Err(Refusal::Offered(hw(2))), "never offered to it");
    assert_eq!(bind(&mut table, anybody(1), only, 30), Ok(Claim::Offer));
    assert_eq!(bind(&mut table, anybody(2), only, 40), Err(Refusal::Held(hw(1))));
    assert_eq!(offer(&mut table, anybody(3), 50), None, "a lease is taken from nobody");
}

#[test]
fn a_superseded_offer_is_good_for_a_minute() {
    let mut table = LeaseTable::new(&config(&[("10.0.0.60", "10.0.0.60")]), Vec::new());
    let only = ip("10.0.0.60");
    offer(&mut table, anybody(1), 0);
    offer(&mut table, anybody(2), 59_000);
    assert_eq!(table.claim(0, anybody(1), only, at(59_999)), Ok(Claim::Offer));
    assert_eq!(table.claim(0, anybody(1), only, at(60_000)), Err(Refusal::Offered(hw(2))));
}

#[test]
fn an_offer_to_a_machine_of_the_config_is_not_taken_away() {
    let mut config = config(&[("10.0.0.60", "10.0.0.61")]);
    let mut known = machine("web1", &["02:00:00:00:00:07"], "10.0.0.9");
    known.address = None;
    config.machines = vec![known].into();
    let mut table = LeaseTable::new(&config, Vec::new());
    let web1 = Client {
        hw: hw(7),
        machine: config.machines.by_mac(hw(7).mac().unwrap()),
        share: 0,
        circuit: Circuit::default(),
    };
    let (address, _) = offer(&mut table, web1, 0).unwrap();
    let check = |table: &mut LeaseTable, from: u32| {
        for number in from..from + 50 {
            let (given, _) = offer(table, anybody(number), number.into()).unwrap();
            assert_ne!(given, address);
        }
    };
    check(&mut table, 100);
    table.reconfigure(&config);
    check(&mut table, 200);
    assert_eq!(bind(&mut table, web1, address, 3_000), Ok(Claim::Offer));
}

#[test]
fn who_renews_late_keeps_his_address() {
    let mut table = LeaseTable::new(&config(&[("10.0.0.60", "10.0.0.60")]), Vec::new());
    let (only, _) = offer(&mut table, anybody(1), 0).unwrap();
    bind(&mut table, anybody(1), only, 0).unwrap();
    let late = HOUR * 1000 - 1_000;
    assert_eq!(
        offer(&mut table, anybody(1), late),
        Some((only, Claim::Lease)),
        "its lease ends within the minute"
    );
    assert_eq!(offer(&mut table, anybody(2), late + 1), None, "it is live");
}

/// Addresses of the pool that is fought for.
const POOL: u32 = 64;

fn circuit(port: u8) -> Circuit {
    let mut message = Message::new(Op::Request, hw(1), 1);
    message.giaddr = ip("10.0.0.1");
    message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Discover.code());
    message.options.set(Code::RELAY_INFO, vec![1, 1, port]);
    let received = Received {
        interface: "eth0".into(),
        local: Vec::new(),
        mtu: 1500,
        source: SocketAddrV4::new(message.giaddr, 67),
        destination: ip("10.0.0.2"),
        service: Service::Dhcp,
    };
    Circuit::of(&classify(&message, &received).unwrap())
}

/// 20 machines behind port 1 were offered addresses; then `others`, each behind its port, ask a thousand times as fast
/// as a machine takes an offer up. The number of offers to the 20 that still stand.
fn left_of_a_classroom(others: impl Iterator<Item = u8>) -> usize {
    let mut table = LeaseTable::new(&config(&[("10.0.0.100", "10.0.0.163")]), Vec::new());
    let room = circuit(1);
    let offers: Vec<_> = (0..20)
        .map(|number| (number, offer(&mut table, Client { circuit: room, ..anybody(number) }, 0).unwrap().0))
        .collect();
    for (number, port) in (1_000..).zip(others) {
        let stranger = Client { circuit: circuit(port), ..anybody(number) };
        assert!(offer(&mut table, stranger, i64::from(number)).is_some(), "nobody is met with silence");
    }
    // Whoever else were offered it by now would be told so.
    let mut refusal = |address| table.claim(0, anybody(5_000), address, at(5_000));
    offers.iter().filter(|(number, address)| refusal(*address) == Err(Refusal::Offered(hw(*number)))).count()
}

#[test]
fn a_flood_on_one_circuit_takes_nothing_from_others() {
    assert_eq!(left_of_a_classroom(std::iter::repeat_n(2, 1_000)), 20);
}

#[test]
fn a_flood_that_makes_up_its_circuits_does_not_aim_at_the_largest_real_one() {
    // As many as there are addresses besides, and then as few more: the classroom's are the oldest.
    assert_eq!(left_of_a_classroom((2..).take(POOL as usize - 20)), 20);
    assert_eq!(left_of_a_classroom((2..).take(POOL as usize - 20 + 5)), 15);
}

/// Leases an address; both times are in seconds. What is told then.
fn lend(table: &mut LeaseTable, number: u32, secs: i64, until: i64) -> Option<AlmostFull> {
    let (now, end) = (at(secs * 1000), at(until * 1000));
    let found = table.offer(0, anybody(number), None, now).unwrap();
    table.bind(0, anybody(number), found.address, end, now, SAID).unwrap();
    table.almost_full(0)
}

#[test]
fn it_is_told_once_that_most_addresses_are_lent_and_again_after_there_was_room() {
    // Eleven, of which one is reserved.
    let mut config = config(&[("10.0.0.60", "10.0.0.70")]);
    config.machines = vec![machine("web1", &["02:00:00:00:ff:07"], "10.0.0.65")].into();
    let subnet = config.dhcp.subnets[0].cidr;
    let mut table = LeaseTable::new(&config, Vec::new());
    for number in 1..=7 {
        assert_eq!(lend(&mut table, number, 0, 600 + i64::from(number)), None, "{number}");
    }
    assert_eq!(lend(&mut table, 8, 0, 608), Some(AlmostFull { subnet, held: 8, of: 10 }));
    assert_eq!(lend(&mut table, 9, 0, 609), None, "it was told");
    table.reconfigure(&config);
    assert_eq!(lend(&mut table, 8, 1, 608), None, "also before the config was read again");
    // Two have ended: that is not enough to be news when they are lent again.
    assert_eq!(lend(&mut table, 8, 602, 2_000), None);
    assert_eq!(lend(&mut table, 9, 602, 2_000), None);
    assert_eq!(lend(&mut table, 1, 602, 2_000), None);
    // A clock that was set ends nothing.
    let step = 1_000_000;
    table.shift(Step { millis: step * 1000 });
    assert_eq!(lend(&mut table, 1, step + 602, step + 2_000), None);
    // Of the others five end, which leaves three; then there are eight again.
    for number in [2, 3, 4, 5] {
        assert_eq!(lend(&mut table, number, step + 700, step + 2_000), None, "{number}");
    }
    assert_eq!(lend(&mut table, 6, step + 700, step + 2_000), Some(AlmostFull { subnet, held: 8, of: 10 }));
    let given_back = table.lease_of(0, hw(6)).unwrap().address;
    table.release(0, hw(6), given_back, at((step + 701) * 1000)).unwrap();
    assert_eq!(lend(&mut table, 7, step + 702, step + 2_000), None, "seven are not few enough");
}

#[test]
fn an_offer_to_a_machine_without_a_mac_in_the_config_is_still_its_own_after_a_reload() {
    let mut config = config(&[("10.0.0.60", "10.0.0.60")]);
    let mut web1 = machine("web1", &[], "10.0.0.9");
    (web1.client_id, web1.address) = (ClientId::new(b"web1"), None);
    config.machines = vec![web1].into();
    let mut table = LeaseTable::new(&config, Vec::new());
    let known = Client { machine: config.machines.first(), ..anybody(1) };
    let (only, _) = offer(&mut table, known, 0).unwrap();
    table.reconfigure(&config);
    assert_eq!(offer(&mut table, anybody(2), 1), None, "it is not taken back for a stranger");
    let without = Config { machines: Vec::new().into(), ..config.clone() };
    table.reconfigure(&without);
    assert_eq!(offer(&mut table, anybody(2), 2), Some((only, Claim::Superseded(hw(1)))));
}

#[test]
fn what_was_stored_counts_as_lent() {
    let config = config(&[("10.0.0.60", "10.0.0.69")]);
    let mut table = LeaseTable::new(&config, Vec::new());
    for number in 1..=7 {
        lend(&mut table, number, 0, 600);
    }
    let mut restarted = LeaseTable::new(&config, table.iter().cloned().collect());
    assert_eq!(lend(&mut restarted, 8, 1, 600).map(|full| full.held), Some(8));
    let mut later = LeaseTable::new(&config, table.iter().cloned().collect());
    assert_eq!(lend(&mut later, 8, 600, 1_200), None, "they have ended");
}
