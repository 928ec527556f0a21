//! Network cards: what they send, and what they make of the answers.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::dhcp::{
    Circuit, Client, LeaseChange, OFFER_HOLD, QUARANTINE, Received, Role, Service, SessionView, Voice,
    classify, decide,
};
use bootlace_core::event::DhcpAnswer;
use bootlace_core::model::Uuid;
use bootlace_wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, Op};
use bootlace_wire::{HwAddr, Mac};

use super::host::{HOUR, Host};

const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 1, 1)];
/// The last numbers of the addresses in the ranges.
const RANGES: [std::ops::RangeInclusive<u8>; 2] = [100..=104, 100..=102];
/// How long the leases of each subnet last.
pub(super) const LEASE: [Duration; 2] =
    [Duration::from_millis(HOUR as u64), Duration::from_millis(2 * HOUR as u64)];
/// The reservation of the machine that is known by its UUID.
const REPAIRED: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
const UUID: Uuid =
    Uuid([0x4c, 0x4c, 0x45, 0x44, 0, 0x51, 0x35, 0x10, 0x80, 0x53, 0xb7, 0xc0, 0x4f, 0x4e, 0x32, 0x33]);

/// Who a card belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Nobody that the config knows.
    Anybody,
    /// The machine with two cards.
    TwoCards,
    /// The machine that is known by its UUID.
    Repaired,
}

/// What a network card knows.
#[derive(Clone, Debug)]
pub(super) struct Card {
    /// Its last byte.
    pub(super) number: u64,
    pub(super) holds: Option<Grant>,
    owner: Owner,
    subnet: usize,
    offered: Option<Ipv4Addr>,
    boots: u64,
}

/// What an ACK said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) address: Ipv4Addr,
    /// In true time.
    pub(super) until: i64,
}

/// A message, and from and to where.
struct Sent {
    card: usize,
    message: Message,
    from: Ipv4Addr,
    to: Ipv4Addr,
    /// The address that the card holds and asks to keep.
    keeps: Option<Ipv4Addr>,
}

pub(super) fn all() -> Vec<Card> {
    let card = |number| {
        let owner = match number {
            0 | 1 => Owner::TwoCards,
            7 => Owner::Repaired,
            _ => Owner::Anybody,
        };
        Card { number, holds: None, owner, subnet: usize::from(number > 6), offered: None, boots: 0 }
    };
    (0..12).map(card).collect()
}

impl Card {
    pub(super) fn hw(&self) -> HwAddr {
        Mac([2, 0, 0, 0, 0, self.number as u8]).into()
    }

    /// Whether `address` is of the subnet that it is plugged into.
    fn is_here(&self, address: Ipv4Addr) -> bool {
        address.octets()[..3] == SERVERS[self.subnet].octets()[..3]
    }

    /// What it has where it is.
    fn held(&self, now: i64) -> Option<Ipv4Addr> {
        let held = self.holds.filter(|grant| grant.until > now && self.is_here(grant.address));
        held.map(|grant| grant.address)
    }

    /// Firmware, iPXE and systems each call one machine something else.
    fn client_id(&self) -> Vec<u8> {
        let number = self.number as u8;
        match self.boots % 3 {
            0 => vec![1, 2, 0, 0, 0, 0, number],
            1 => vec![0, number, 7, 7],
            _ => vec![255, 0, 0, 0, number, 0, 1],
        }
    }
}

impl Host<'_> {
    /// A card is replaced, or plugged into the other subnet.
    pub(super) fn move_card(&mut self) {
        self.told.moves += 1;
        if self.random.below(2) == 0 {
            let card = if self.random.below(2) == 0 { 6 } else { 11 };
            let card = &mut self.cards[card];
            (card.subnet, card.offered) = (1 - card.subnet, None);
        } else {
            // The former card is never seen again.
            let newest = self.cards.iter().map(|card| card.number).max().unwrap_or(0).max(19);
            let card = &mut self.cards[7];
            (card.number, card.holds, card.offered) = (newest + 1, None, None);
        }
    }

    /// Some cards send something: one packet each, since none sends again before it has its answer.
    pub(super) fn act(&mut self) -> Result<(), String> {
        let count = self.cards.len() as u64;
        let first = self.random.below(count);
        for next in 0..1 + self.random.below(3) {
            self.act_one(((first + next) % count) as usize)?;
        }
        Ok(())
    }

    fn act_one(&mut self, at: usize) -> Result<(), String> {
        let what = self.random.below(20);
        let card = &mut self.cards[at];
        let server = SERVERS[card.subnet];
        let held = card.held(self.now);
        let mut message = Message::new(Op::Request, card.hw(), self.random.below(1 << 30) as u32);
        message.options.set(Code::CLIENT_ID, card.client_id());
        if card.owner == Owner::Repaired {
            message.options.set(Code::UUID, [&[0][..], &UUID.swapped().0].concat());
        }
        let kind = match (what, card.offered, held) {
            (0..11, Some(address), _) => {
                // Who takes the offer of another address uses its former one no more.
                card.holds = card.holds.filter(|grant| grant.address == address);
                message.options.set_ip(Code::REQUESTED_IP, address);
                message.options.set_ip(Code::SERVER_ID, server);
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
                card.holds = None;
                message.ciaddr = address;
                MessageType::Release
            }
            (16, _, Some(address)) => {
                card.holds = None;
                message.options.set_ip(Code::REQUESTED_IP, address);
                MessageType::Decline
            }
            (17, _, _) => return self.meddle(at),
            // The next stage of its boot names itself otherwise, and knows nothing of an offer.
            _ => {
                (card.boots, card.offered) = (card.boots + 1, None);
                return Ok(());
            }
        };
        message.options.set_u8(Code::MESSAGE_TYPE, kind.code());
        let to = if what == 11 || kind == MessageType::Release { server } else { Ipv4Addr::BROADCAST };
        let keeps = held.filter(|_| matches!(what, 11..15) && self.cards[at].owner == Owner::Anybody);
        let from = message.ciaddr;
        self.deliver(&Sent { card: at, message, from, to, keeps })
    }

    /// Gives back what is another's.
    fn meddle(&mut self, at: usize) -> Result<(), String> {
        let other = self.random.below(self.cards.len() as u64) as usize;
        let Some(address) = self.cards[other].held(self.now).filter(|_| other != at) else { return Ok(()) };
        let (hw, server) = (self.cards[at].hw(), SERVERS[self.cards[other].subnet]);
        let holder = self.table.holder(address, self.lease_now());
        let mut message = Message::new(Op::Request, hw, 1);
        message.ciaddr = address;
        message.options.set(Code::CLIENT_ID, self.cards[other].client_id());
        message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Release.code());
        self.deliver(&Sent { card: other, message, from: address, to: server, keeps: None })?;
        if holder.is_some_and(|holder| holder != hw) && self.table.holder(address, self.lease_now()) != holder
        {
            return Err(format!("{hw} gave back {address} of {holder:?}"));
        }
        Ok(())
    }

    fn deliver(&mut self, sent: &Sent) -> Result<(), String> {
        let message =
            Message::decode(&sent.message.encode(1500).bytes).map_err(|error| format!("{error:?}"))?;
        let subnet = self.cards[sent.card].subnet;
        let received = Received {
            interface: format!("eth{subnet}"),
            local: vec![(SERVERS[subnet], 24)],
            mtu: 1500,
            source: SocketAddrV4::new(sent.from, CLIENT_PORT),
            destination: sent.to,
            service: Service::Dhcp,
        };
        let query = classify(&message, &received).map_err(|why| why.to_string())?;
        let now = self.lease_now();
        let loaders = LoaderInventory::default();
        let decision =
            decide(self.config, Role::Server, &loaders, &mut self.table, SessionView::default(), &query, now);
        if let Some(address) = sent.keeps
            && decision.reply.as_ref().is_none_or(|reply| reply.message.yiaddr != address)
        {
            return Err(format!("card {} may not keep {address}: {:?}", sent.card, decision.event.answer));
        }
        if let Some(reply) = &decision.reply {
            // Who takes an offer gets what was offered.
            if message.server_id().is_none() {
                self.check_repaired(sent.card, reply.message.yiaddr)?;
            }
            self.take(reply.message.yiaddr, OFFER_HOLD);
        }
        for change in &decision.changes {
            match change {
                LeaseChange::Put(lease) => self.take(lease.address, lease.until.since(now)),
                LeaseChange::Remove(_) => {}
            }
        }
        self.changes.extend(decision.changes);
        self.replies.extend(decision.reply.map(|reply| reply.message));
        if decision.event.answer == DhcpAnswer::Exhausted { self.check_exhausted(sent.card) } else { Ok(()) }
    }

    /// From now on the server may keep an address from others.
    fn take(&mut self, address: Ipv4Addr, span: Duration) {
        let until = self.now + i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let taken = self.taken.entry(address).or_insert(until);
        *taken = until.max(*taken);
    }

    /// Its machine's reservation follows the machine when its card is replaced: at the latest when the former card has
    /// been silent for as long as its last lease was.
    fn check_repaired(&self, at: usize, given: Ipv4Addr) -> Result<(), String> {
        let Card { owner, subnet, .. } = self.cards[at];
        if owner != Owner::Repaired || given == REPAIRED || given.is_unspecified() {
            return Ok(());
        }
        let rest = LEASE[subnet].max(QUARANTINE).as_millis() as i64;
        match self.taken.get(&REPAIRED) {
            Some(until) if until + rest > self.now => Ok(()),
            until => Err(format!("the repaired machine is given {given}; its own was taken until {until:?}")),
        }
    }

    /// No address is left: none may be usable, and somebody must have had each of them not long ago.
    fn check_exhausted(&mut self, at: usize) -> Result<(), String> {
        let Card { subnet, number, .. } = self.cards[at];
        let (now, hw) = (self.lease_now(), self.cards[at].hw());
        let client = Client { hw, machine: None, share: 0, circuit: Circuit::default(), voice: Voice::Own };
        for last in RANGES[subnet].clone() {
            let address = Ipv4Addr::new(10, 0, subnet as u8, last);
            let taken = self.taken.get(&address).is_some_and(|until| *until >= self.now);
            if !taken || self.table.claim(subnet, client, address, now).is_ok() {
                return Err(format!("nothing for card {number}, yet {address} was to be had"));
            }
        }
        Ok(())
    }

    /// An answer arrives: what it promises is on stable storage.
    pub(super) fn hear(&mut self, reply: &Message) -> Result<(), String> {
        let (address, now) = (reply.yiaddr, self.now);
        let Some(card) = self.cards.iter_mut().find(|card| card.hw() == reply.hw) else {
            return Err("an answer to nobody".into());
        };
        let held = card.held(now);
        match reply.message_type() {
            Some(MessageType::Offer | MessageType::Ack) if !card.is_here(address) => {
                Err(format!("card {} is given {address} in another subnet", card.number))
            }
            Some(MessageType::Offer) => {
                card.offered = Some(address);
                // Machines may move to their reservation.
                match held.filter(|held| *held != address && card.owner == Owner::Anybody) {
                    Some(held) => Err(format!("card {} was offered {address}, has {held}", card.number)),
                    None => Ok(()),
                }
            }
            Some(MessageType::Ack) => {
                let lease = i64::from(reply.lease_time().ok_or("an ACK without a time")?) * 1000;
                card.holds = Some(Grant { address, until: now + lease });
                card.offered = None;
                self.told.acks += 1;
                Ok(())
            }
            _ if held.is_some() && card.owner == Owner::Anybody => {
                Err(format!("card {} may not use {held:?}, which it has", card.number))
            }
            _ => {
                (card.offered, card.holds) = (None, None);
                Ok(())
            }
        }
    }
}
