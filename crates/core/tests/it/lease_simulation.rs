//! A subnet of machines that do anything at any time, and what must hold whatever they do.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bootlace_core::boot::rules::Match;
use bootlace_core::config::{Config, RangesFor, Standing};
use bootlace_core::dhcp::{
    Attributes, Circuit, Client, Declined, Lease, LeaseChange, LeaseTable, QUARANTINE, Voice,
};
use bootlace_core::model::Timestamp;
use bootlace_wire::{HwAddr, Mac};

use crate::configs::{config, machine};

const SAID: Attributes<'static> = Attributes { client_id: None, uuid: None, hostname: "" };
const LEASE_SECS: i64 = 3600;
const MACHINES: u64 = 300;
/// The first of them are in the config, and the first five of those have reservations.
const KNOWN: u64 = 30;
const STEPS: usize = 15_000;

/// What a machine believes: the server must never make two of them believe the same.
#[derive(Default)]
struct Belief {
    offered: Option<Ipv4Addr>,
    holds: Option<(Ipv4Addr, Timestamp)>,
    /// What it held last, unless it declined that.
    last: Option<Ipv4Addr>,
}

struct World {
    config: Config,
    table: LeaseTable,
    /// The store: what survives a restart.
    durable: BTreeMap<Ipv4Addr, Lease>,
    beliefs: BTreeMap<u64, Belief>,
    quarantined: BTreeMap<Ipv4Addr, Timestamp>,
    last_holder: BTreeMap<Ipv4Addr, u64>,
    now: Timestamp,
    random: u64,
    moved: usize,
    full: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        // 90 addresses for 300 machines: the pool is full now and then.
        let mut config = config(&[("10.0.0.1", "10.0.0.60"), ("10.0.0.62", "10.0.0.91")]);
        let reserved = |n: u8| {
            machine(&format!("m{n}"), &[&mac(u64::from(n)).to_string()], &format!("10.0.0.{}", n + 40))
        };
        let known = |n: u8| {
            let mut machine = reserved(n);
            machine.address = None;
            machine
        };
        config.machines = (0..5).map(reserved).chain((5..KNOWN as u8).map(known)).collect();
        // And ten for those that the config knows.
        config.dhcp.subnets[0].ranges_for = vec![RangesFor {
            standing: Some(Standing::Known),
            matches: Match::default(),
            ranges: vec![Ipv4Addr::new(10, 0, 0, 200)..=Ipv4Addr::new(10, 0, 0, 209)],
        }];
        let table = LeaseTable::new(&config, Vec::new());
        Self {
            config,
            table,
            durable: BTreeMap::new(),
            beliefs: (0..MACHINES).map(|n| (n, Belief::default())).collect(),
            quarantined: BTreeMap::new(),
            last_holder: BTreeMap::new(),
            now: Timestamp::from_secs(1_800_000_000),
            random: seed,
            moved: 0,
            full: 0,
        }
    }

    /// xorshift64*
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn commit(&mut self, changes: impl IntoIterator<Item = LeaseChange>) {
        for change in changes {
            match change {
                LeaseChange::Put(lease) => {
                    self.durable.insert(lease.address, lease);
                }
                LeaseChange::Remove(address) => {
                    self.durable.remove(&address);
                }
            }
        }
    }

    fn step(&mut self) {
        self.now = Timestamp(self.now.0 + 1 + self.below(3000) as i64);
        let who = self.below(MACHINES);
        match self.below(20) {
            0..8 => self.discover(who),
            8..13 => self.request(who),
            13..15 => self.renew(who),
            15 => self.release(who),
            16 => self.decline(who),
            17 => *self.belief(who) = Belief { last: self.belief(who).last, ..Belief::default() },
            18 => self.guess(who),
            _ => match self.below(20) {
                0 => self.restart(),
                1 => self.table.reconfigure(&self.config.clone()),
                _ => {}
            },
        }
    }

    /// Offers are forgotten, leases are not.
    fn restart(&mut self) {
        self.table = LeaseTable::new(&self.config, self.durable.values().cloned().collect());
    }

    fn belief(&mut self, who: u64) -> &mut Belief {
        self.beliefs.entry(who).or_default()
    }

    fn discover(&mut self, who: u64) {
        let now = self.now;
        let Some(found) = self.table.offer(0, client(&self.config, who), None, now) else {
            self.full += 1;
            return self.assert_full(who);
        };
        if let Some(former) = self.belief(who).last.filter(|former| *former != found.address) {
            self.moved += 1;
            let still_his = self.last_holder.get(&former) == Some(&who);
            let usable = self.table.claim(0, client(&self.config, who), former, now).is_ok();
            assert!(!(still_his && usable) || who < 5, "{who} moved from {former} for nothing");
        }
        self.belief(who).offered = Some(found.address);
    }

    fn request(&mut self, who: u64) {
        let Some(address) = self.belief(who).offered.take() else { return };
        let (now, until) = (self.now, Timestamp(self.now.0 + LEASE_SECS * 1000));
        if let Ok((_, changes)) = self.table.bind(0, client(&self.config, who), address, until, now, SAID) {
            self.commit(changes);
            self.belief(who).holds = Some((address, until));
            self.belief(who).last = Some(address);
            self.last_holder.insert(address, who);
            self.assert_alone(who, address);
        }
    }

    fn renew(&mut self, who: u64) {
        let now = self.now;
        let Some((address, _)) = self.belief(who).holds.filter(|(_, until)| *until > now) else { return };
        self.belief(who).offered = Some(address);
        self.request(who);
        assert!(self.belief(who).holds.is_some_and(|(_, until)| until > now), "a holder can renew");
    }

    fn release(&mut self, who: u64) {
        let now = self.now;
        let Some((address, _)) = self.belief(who).holds.take() else { return };
        let change = self.table.release(0, hw(who), address, now);
        self.commit(change);
    }

    fn decline(&mut self, who: u64) {
        let now = self.now;
        let Some((address, until)) = self.belief(who).holds.take() else { return };
        self.belief(who).last = None;
        match self.table.decline(0, hw(who), address, now) {
            Declined::Quarantined(change) => {
                self.commit([change]);
                self.quarantined.insert(address, now.after(QUARANTINE));
            }
            Declined::Dropped(change) => self.commit(change),
            Declined::NotTheirs => assert!(until <= now, "its own lease"),
        }
    }

    /// A hostile machine asks for, gives back and declines what is not its own.
    fn guess(&mut self, who: u64) {
        let address = Ipv4Addr::new(10, 0, 0, self.below(256) as u8);
        let now = self.now;
        if self.table.holder(address, now).is_some_and(|holder| holder != hw(who)) {
            assert_eq!(self.table.release(0, hw(who), address, now), None);
            assert_eq!(self.table.decline(0, hw(who), address, now), Declined::NotTheirs);
            self.belief(who).offered = Some(address);
            self.request(who);
            assert_ne!(self.table.holder(address, now), Some(hw(who)));
        }
    }

    fn assert_alone(&self, who: u64, address: Ipv4Addr) {
        for (other, belief) in &self.beliefs {
            let same = belief.holds.is_some_and(|(held, until)| held == address && until > self.now);
            assert!(*other == who || !same, "{address} given to {who} while {other} has it");
        }
        if who >= 5 {
            assert!(!(40..45).contains(&address.octets()[3]), "a reservation was lent");
            let is_for_known = (200..210).contains(&address.octets()[3]);
            assert_eq!(is_for_known, who < KNOWN, "{address} is not for {who}");
        }
        let resting = self.quarantined.get(&address).is_some_and(|until| *until > self.now);
        assert!(!resting, "{address} was declined");
    }

    /// No address is left: none may be usable for this machine.
    fn assert_full(&mut self, who: u64) {
        let now = self.now;
        for last in 0..=255 {
            let claim = self.table.claim(0, client(&self.config, who), Ipv4Addr::new(10, 0, 0, last), now);
            assert!(claim.is_err(), "10.0.0.{last} was to be had: {claim:?}");
        }
    }
}

fn mac(who: u64) -> Mac {
    let [.., c, d] = who.to_be_bytes();
    Mac([2, 0, 0, 0, c, d])
}

fn hw(who: u64) -> HwAddr {
    mac(who).into()
}

fn client_of(who: u64) -> Client<'static> {
    Client { hw: hw(who), machine: None, share: 0, circuit: Circuit::default(), voice: Voice::Own }
}

fn client(config: &Config, who: u64) -> Client<'_> {
    let machine = config.machines.by_mac(mac(who));
    Client { machine, share: usize::from(machine.is_some()), ..client_of(who) }
}

#[test]
fn no_address_is_given_twice_and_none_is_lost() {
    for seed in 1..=5 {
        let mut world = World::new(seed * 0x9e37_79b9);
        for _ in 0..STEPS {
            world.step();
        }
        let in_memory: Vec<&Lease> = world.table.iter().collect();
        let durable: Vec<&Lease> = world.durable.values().collect();
        assert_eq!(in_memory, durable, "seed {seed}: the store says what the table says");
        assert!(world.full > 10 && world.moved > 10, "seed {seed}: {} {}", world.full, world.moved);
    }
}
