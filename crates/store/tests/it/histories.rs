//! Short histories of a subnet, its server and the server's disk, of which each seed makes one: machines that boot
//! and renew, give back and refuse, a clock that is set back, and power that fails between any two steps of the disk.
//! The messages, the decisions and the store are the real ones.
//!
//! `BOOTLACE_HISTORIES=FIRST..END` chooses the seeds: one to replay a failure, a million for the long proof.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::config::{self, Config};
use bootlace_core::dhcp::{
    Client, LeaseChange, LeaseState, LeaseTable, Received, Service, SessionView, classify, decide,
};
use bootlace_core::event::DhcpAnswer;
use bootlace_core::model::Timestamp;
use bootlace_store::Store;
use bootlace_wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, Op};
use bootlace_wire::{HwAddr, Mac};

use crate::disk::{DISK, Disk, Random, Sync, vfs};

/// More machines than addresses, so that the subnet is full now and then.
const MACHINES: u64 = 7;
const CONFIG: &str = "default = \"local\"\n[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.0.0.0/24\"\n\
    ranges = [\"10.0.0.100-10.0.0.104\"]\nlease = \"1h\"\n\
    [[machine]]\nname = \"two-cards\"\nmac = [\"02:00:00:00:00:00\", \"02:00:00:00:00:01\"]\naddress = \"10.0.0.9\"\n";
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// What the gate runs.
const GATE: std::ops::Range<u64> = 0..1000;

/// What a network card knows.
#[derive(Clone, Debug, Default)]
struct Card {
    offered: Option<Ipv4Addr>,
    holds: Option<Grant>,
    boots: u64,
}

/// What an ACK said.
#[derive(Clone, Copy, Debug)]
struct Grant {
    address: Ipv4Addr,
    /// In true time.
    until: i64,
}

struct History<'a> {
    config: &'a Config,
    random: Random,
    store: Option<Store>,
    table: LeaseTable,
    /// Changes of a batch that is being decided.
    changes: Vec<LeaseChange>,
    replies: Vec<Message>,
    cards: Vec<Card>,
    /// Milliseconds of true time, and how far the server's clock is behind.
    now: i64,
    behind: i64,
    losses: u32,
    acks: u32,
}

fn config() -> Config {
    let source = config::Source { name: "bootlace.toml".into(), folder: PathBuf::new(), text: CONFIG.into() };
    match config::load(&source, &config::Files::new()) {
        Ok(loaded) => loaded.config,
        Err(findings) => panic!("{}", findings.iter().map(|f| format!("{f}\n")).collect::<String>()),
    }
}

/// What one history came to.
#[derive(Debug, Default)]
struct Told {
    losses: u32,
    acks: u32,
}

/// Lives through the history of a seed; the error says what must not be.
fn live(config: &Config, fresh: &Disk, seed: u64, ignores: Option<Sync>) -> Result<Told, String> {
    let mut random = Random::new(seed);
    // Some begin with an empty disk, most with a store that is there already.
    let mut disk = if random.below(4) == 0 { Disk::default() } else { fresh.clone() };
    disk.ignores = ignores;
    DISK.set(disk);
    let mut history = History {
        config,
        random,
        store: None,
        table: LeaseTable::new(config, Vec::new()),
        changes: Vec::new(),
        replies: Vec::new(),
        cards: vec![Card::default(); MACHINES as usize],
        now: 1_800_000_000_000,
        behind: 0,
        losses: 0,
        acks: 0,
    };
    history.start()?;
    for step in 0..20 + history.random.below(40) {
        history.step().map_err(|error| format!("seed {seed}, step {step}: {error}"))?;
    }
    Ok(Told { losses: history.losses, acks: history.acks })
}

impl History<'_> {
    fn clock(&self) -> Timestamp {
        Timestamp(self.now - self.behind)
    }

    /// Starts the server, as often as the power fails while it does.
    fn start(&mut self) -> Result<(), String> {
        loop {
            match Store::open_on(vfs::NAME, Path::new("/state")) {
                Ok(store) => {
                    let leases = store.leases().map_err(|error| error.to_string())?;
                    self.table = LeaseTable::new(self.config, leases);
                    self.store = Some(store);
                    return self.check_promises();
                }
                Err(error) if DISK.with_borrow(Disk::has_power) => return Err(error.to_string()),
                Err(_) => self.power_up(),
            }
        }
    }

    fn power_up(&mut self) {
        self.losses += 1;
        DISK.with_borrow_mut(|disk| disk.power_up(&mut self.random));
        if self.random.below(4) == 0 {
            // A second failure while it starts.
            let after = self.random.below(12);
            DISK.with_borrow_mut(|disk| disk.fail_after(after));
        }
    }

    /// The power failed: what is left of the disk, and the server on it.
    fn recover(&mut self) -> Result<(), String> {
        (self.changes, self.replies) = Default::default();
        self.store = None;
        self.power_up();
        self.start()
    }

    /// What was acknowledged is in the store, whatever happened to the disk.
    fn check_promises(&self) -> Result<(), String> {
        for (number, card) in self.cards.iter().enumerate() {
            let Some(grant) = card.holds.filter(|grant| grant.until > self.now) else { continue };
            let lease = self.table.get(grant.address).filter(|lease| {
                lease.hw == hw(number as u64)
                    && lease.state == LeaseState::Bound
                    && lease.until.0 >= grant.until - self.behind
            });
            if lease.is_none() {
                return Err(format!(
                    "{grant:?} of card {number} is lost: {:?}",
                    self.table.get(grant.address)
                ));
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += 1 + self.random.below(600_000) as i64;
        match self.random.below(24) {
            0 => {
                let after = self.random.below(8);
                DISK.with_borrow_mut(|disk| disk.fail_after(after));
            }
            1 => {
                // A clean stop, which moves the log into the database; the power may fail meanwhile.
                self.store = None;
                if !DISK.with_borrow(Disk::has_power) {
                    self.power_up();
                }
                return self.start();
            }
            2 => {
                DISK.with_borrow_mut(|disk| disk.fail_after(0));
                return self.recover();
            }
            3 if self.random.below(4) == 0 => self.behind += YEAR.as_millis() as i64,
            _ => {}
        }
        // A batch has one packet of a card: none sends again before it has its answer.
        let first = self.random.below(MACHINES);
        for next in 0..1 + self.random.below(3) {
            self.act((first + next) % MACHINES)?;
        }
        self.settle()
    }

    /// One card sends something.
    fn act(&mut self, card: u64) -> Result<(), String> {
        let known = self.cards[card as usize].clone();
        let held = known.holds.filter(|grant| grant.until > self.now).map(|grant| grant.address);
        let mut message = Message::new(Op::Request, hw(card), self.random.below(1 << 30) as u32);
        message.options.set(Code::CLIENT_ID, client_id(card, known.boots));
        let what = self.random.below(20);
        let kind = match (what, known.offered, held) {
            (0..11, Some(address), _) => {
                // Who takes the offer of another address uses its former one no more.
                let card = &mut self.cards[card as usize];
                card.holds = card.holds.filter(|grant| grant.address == address);
                message.options.set_ip(Code::REQUESTED_IP, address);
                message.options.set_ip(Code::SERVER_ID, SERVER);
                MessageType::Request
            }
            (0..11, None, _) => MessageType::Discover,
            (11..15, _, Some(address)) => {
                // Renews, rebinds, or asks after a restart.
                match what {
                    11 | 12 => message.ciaddr = address,
                    _ => message.options.set_ip(Code::REQUESTED_IP, address),
                }
                MessageType::Request
            }
            (15, _, Some(address)) => {
                self.cards[card as usize].holds = None;
                message.ciaddr = address;
                MessageType::Release
            }
            (16, _, Some(address)) => {
                self.cards[card as usize].holds = None;
                message.options.set_ip(Code::REQUESTED_IP, address);
                MessageType::Decline
            }
            (17, _, _) => return self.meddle(card),
            // The next stage of its boot names itself otherwise, and knows nothing of an offer.
            _ => {
                let card = &mut self.cards[card as usize];
                (card.boots, card.offered) = (card.boots + 1, None);
                return Ok(());
            }
        };
        message.options.set_u8(Code::MESSAGE_TYPE, kind.code());
        let to = if what == 11 || kind == MessageType::Release { SERVER } else { Ipv4Addr::BROADCAST };
        let from = message.ciaddr;
        self.deliver(card, &message, from, to)
    }

    /// Gives back what is another's.
    fn meddle(&mut self, card: u64) -> Result<(), String> {
        let other = self.random.below(MACHINES);
        let Some(grant) =
            self.cards[other as usize].holds.filter(|grant| other != card && grant.until > self.now)
        else {
            return Ok(());
        };
        let holder = self.table.holder(grant.address, self.clock());
        let mut message = Message::new(Op::Request, hw(card), 1);
        message.ciaddr = grant.address;
        message.options.set(Code::CLIENT_ID, client_id(other, 0));
        message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Release.code());
        self.deliver(card, &message, grant.address, SERVER)?;
        if holder.is_some_and(|holder| holder != hw(card))
            && self.table.holder(grant.address, self.clock()) != holder
        {
            return Err(format!("card {card} gave back {grant:?} of card {other}"));
        }
        Ok(())
    }

    fn deliver(&mut self, card: u64, message: &Message, from: Ipv4Addr, to: Ipv4Addr) -> Result<(), String> {
        let bytes = message.encode(1500).bytes;
        let message = Message::decode(&bytes).map_err(|error| format!("{error:?}"))?;
        let received = Received {
            interface: "eth0".into(),
            local: vec![(SERVER, 24)],
            mtu: 1500,
            source: SocketAddrV4::new(from, CLIENT_PORT),
            destination: to,
            service: Service::Dhcp,
        };
        let query = classify(&message, &received).map_err(|why| why.to_string())?;
        let now = self.clock();
        let loaders = LoaderInventory::default();
        let decision = decide(self.config, &loaders, &mut self.table, SessionView::default(), &query, now);
        self.changes.extend(decision.changes);
        self.replies.extend(decision.reply.map(|reply| reply.message));
        if decision.event.answer == DhcpAnswer::Exhausted { self.check_exhausted(card) } else { Ok(()) }
    }

    /// No address is left: none may be usable. Not looked at once the clock was set back: a lease that was given
    /// back before then counts as held until the clock is there again, which the table does not mend yet.
    fn check_exhausted(&mut self, card: u64) -> Result<(), String> {
        if self.behind > 0 {
            return Ok(());
        }
        let (now, client) = (self.clock(), Client { hw: hw(card), machine: None, share: 0 });
        for last in 100..=104 {
            let address = Ipv4Addr::new(10, 0, 0, last);
            if self.table.claim(0, client, address, now).is_ok() {
                return Err(format!("nothing for card {card}, yet {address} was to be had"));
            }
        }
        Ok(())
    }

    /// One commit, then the answers: what the service does.
    fn settle(&mut self) -> Result<(), String> {
        let changes = std::mem::take(&mut self.changes);
        let replies = std::mem::take(&mut self.replies);
        if let Err(error) = self.store.as_mut().ok_or("no store")?.commit(&changes) {
            let has_power = DISK.with_borrow(Disk::has_power);
            return if has_power { Err(error.to_string()) } else { self.recover() };
        }
        for reply in replies {
            self.answer(&reply)?;
        }
        Ok(())
    }

    fn answer(&mut self, reply: &Message) -> Result<(), String> {
        let number = (0..MACHINES).find(|card| hw(*card) == reply.hw).ok_or("an answer to nobody")?;
        let (address, now) = (reply.yiaddr, self.now);
        let card = &mut self.cards[number as usize];
        match reply.message_type() {
            Some(MessageType::Offer) => {
                let kept = card.holds.filter(|grant| grant.until > now && grant.address != address);
                card.offered = Some(address);
                // Of two cards of one machine, one may move to the machine's reservation.
                match kept {
                    Some(grant) if number > 1 => {
                        Err(format!("card {number} was offered {address}, has {grant:?}"))
                    }
                    _ => Ok(()),
                }
            }
            Some(MessageType::Ack) => {
                let lease = i64::from(reply.lease_time().ok_or("an ACK without a time")?) * 1000;
                card.holds = Some(Grant { address, until: now + lease });
                card.offered = None;
                self.acks += 1;
                self.check_alone()
            }
            _ => {
                (card.offered, card.holds) = (None, None);
                Ok(())
            }
        }
    }

    fn check_alone(&self) -> Result<(), String> {
        let mut holders: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
        for (number, card) in self.cards.iter().enumerate() {
            let Some(grant) = card.holds.filter(|grant| grant.until > self.now) else { continue };
            if let Some(other) = holders.insert(grant.address, number) {
                return Err(format!("{} is card {other}'s and card {number}'s", grant.address));
            }
        }
        Ok(())
    }
}

fn hw(card: u64) -> HwAddr {
    Mac([2, 0, 0, 0, 0, card as u8]).into()
}

/// Firmware, iPXE and systems each call one machine something else.
fn client_id(card: u64, boots: u64) -> Vec<u8> {
    match boots % 3 {
        0 => vec![1, 2, 0, 0, 0, 0, card as u8],
        1 => vec![0, card as u8, 7, 7],
        _ => vec![255, 0, 0, 0, card as u8, 0, 1],
    }
}

/// A disk with an empty store.
fn fresh() -> Disk {
    vfs::register();
    DISK.set(Disk::default());
    drop(Store::open_on(vfs::NAME, Path::new("/state")).unwrap());
    DISK.take()
}

fn seeds() -> std::ops::Range<u64> {
    let Some(range) = std::env::var("BOOTLACE_HISTORIES").ok() else { return GATE };
    let (first, end) = range.split_once("..").expect("FIRST..END");
    first.parse().unwrap()..end.parse().unwrap()
}

#[test]
fn every_promise_outlives_a_power_loss() {
    let (config, fresh, seeds) = (config(), fresh(), seeds());
    let mut sum = Told::default();
    for seed in seeds.clone() {
        match live(&config, &fresh, seed, None) {
            Ok(told) => sum = Told { losses: sum.losses + told.losses, acks: sum.acks + told.acks },
            Err(violation) => {
                panic!("{violation}\nreplay it alone with BOOTLACE_HISTORIES={seed}..{}", seed + 1)
            }
        }
    }
    println!("seeds {seeds:?}: {sum:?}");
    assert!(seeds.end - seeds.start < 1000 || (sum.losses > 1000 && sum.acks > 5000), "{sum:?}");
}

/// The proof of the proof: without any one kind of sync some promise is broken.
#[test]
fn without_any_one_sync_a_promise_is_broken() {
    let (config, fresh) = (config(), fresh());
    for ignored in [Sync::Log, Sync::Database, Sync::Names] {
        let violation = (0..2000).find_map(|seed| {
            let broken = live(&config, &fresh, seed, Some(ignored)).err()?;
            // The same history on an honest disk keeps every promise.
            live(&config, &fresh, seed, None).ok().map(|_| broken)
        });
        println!("{ignored:?}: {violation:?}");
        assert!(violation.is_some(), "nobody misses {ignored:?}");
    }
}
