//! DISCOVER to ACK, and port 4011 where it must be asked.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_wire::Mac;
use bootlace_wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, Op, PXE_PORT, SERVER_PORT};
use bootlace_wire::frame::{Checksum, parse_udp_frame, udp_frame};

use super::{BootServer, Choice, Collect, Identity, NeedsNetmask, Offer, Profile, Silence, name_of};
use crate::action::{Action, Address};
use crate::finding::{Finding, FindingCode};
use crate::limits::OFFERS_MAX;
use crate::random::Random;
use crate::report::StepKind;

/// What a client has from DHCP.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) address: Address,
    pub(crate) ack: Message,
    pub(crate) proxy: Option<Message>,
    /// Port 4011's answer.
    pub(crate) boot_server: Option<Message>,
}

impl Lease {
    pub(crate) fn dns(&self) -> Option<Ipv4Addr> {
        self.ack.options.ip(Code::DNS)
    }
}

/// What comes of an exchange.
#[derive(Debug)]
pub(crate) enum Event {
    Step(StepKind, String),
    Done(Box<Lease>),
    Failed(Finding),
}

#[derive(Debug)]
enum State {
    Discovering,
    Requesting { choice: Choice },
    AskingBootServer { lease: Box<Lease>, server: Ipv4Addr, how: BootServer },
    Ended,
}

/// An exchange under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    profile: Profile,
    who: Identity,
    xid: u32,
    started: Duration,
    state: State,
    tries: usize,
    until: Duration,
    offers: Vec<Offer>,
}

type Events = Vec<Event>;

/// What a message may carry; no client's comes near.
const PAYLOAD_MAX: usize = 1472;

impl Exchange {
    pub(crate) fn start(
        profile: Profile,
        who: Identity,
        random: &mut Random,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> (Self, Events) {
        let mut exchange = Self {
            profile,
            who,
            xid: random.u32(),
            started: now,
            state: State::Discovering,
            tries: 0,
            until: now,
            offers: Vec::new(),
        };
        let mut events = Vec::new();
        exchange.discover(now, out, &mut events);
        (exchange, events)
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.until
    }

    fn message(&self, kind: MessageType, now: Duration) -> Message {
        let mut message = Message::new(Op::Request, self.who.mac.into(), self.xid);
        message.secs = u16::try_from((now - self.started).as_secs()).unwrap_or(u16::MAX);
        message.options.set_u8(Code::MESSAGE_TYPE, kind.code());
        message
    }

    fn broadcast(&self, message: &Message, out: &mut Vec<Action>) {
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
        let bytes = message.encode(PAYLOAD_MAX).bytes;
        out.push(Action::SendFrame(udp_frame(Mac::BROADCAST, self.who.mac, from, to, &bytes)));
    }

    /// The wait of the try that begins; `None` after the last.
    fn next_try(&mut self, waits: &[Duration], now: Duration) -> Option<()> {
        let wait = *waits.get(self.tries)?;
        self.tries += 1;
        self.until = now + wait;
        Some(())
    }

    fn discover(&mut self, now: Duration, out: &mut Vec<Action>, events: &mut Events) {
        if self.next_try(self.profile.discover_waits, now).is_none() {
            return self.fail(self.nobody(), events);
        }
        let mut message = self.message(MessageType::Discover, now);
        (self.profile.fill)(&self.who, MessageType::Discover, &mut message);
        self.broadcast(&message, out);
        events.push(Event::Step(StepKind::Sent, format!("DISCOVER, try {}", self.tries)));
    }

    /// What it means that no offer could be taken.
    fn nobody(&self) -> Finding {
        match self.offers.first() {
            None => Finding::new(
                FindingCode::NoOffer,
                "no DHCP server answers",
                format!("{} DISCOVERs within {} s", self.tries, (self.until - self.started).as_secs()),
            ),
            Some(offer) => Finding::new(
                FindingCode::NoAddress,
                "only offers without an address came",
                format!("from {}: {}", offer.from.ip(), offer.summary()),
            ),
        }
    }

    fn fail(&mut self, finding: Finding, events: &mut Events) {
        self.state = State::Ended;
        events.push(Event::Failed(finding));
    }

    pub(crate) fn frame(&mut self, frame: &[u8], now: Duration, out: &mut Vec<Action>) -> Events {
        let mut events = Vec::new();
        let Ok(datagram) = parse_udp_frame(frame) else { return events };
        let for_us = datagram.dst_mac == self.who.mac || datagram.dst_mac == Mac::BROADCAST;
        if !for_us || datagram.dst.port() != CLIENT_PORT || datagram.checksum == Checksum::Bad {
            return events;
        }
        let Some(message) = self.ours(datagram.payload) else { return events };
        match (&self.state, message.message_type()) {
            (State::Discovering, Some(MessageType::Offer)) => {
                self.offer(datagram.src, message, now, out, &mut events);
            }
            (State::Requesting { .. }, Some(MessageType::Ack)) => {
                self.acknowledged(message, now, out, &mut events);
            }
            (State::Requesting { choice }, Some(MessageType::Nak)) => {
                let offer = self.offers.get(choice.take);
                // Another server's refusal is none of ours.
                if offer.is_some_and(|offer| message.server_id().is_none_or(|id| id == offer.server())) {
                    let finding = Finding::new(
                        FindingCode::Refused,
                        "the server refuses the address that it offered",
                        format!("NAK from {}", datagram.src.ip()),
                    );
                    self.fail(finding, &mut events);
                }
            }
            _ => {}
        }
        events
    }

    /// A reply to this exchange.
    fn ours(&self, payload: &[u8]) -> Option<Message> {
        let message = Message::decode(payload).ok()?;
        let fits =
            message.op == Op::Reply && message.xid == self.xid && message.hw.mac() == Some(self.who.mac);
        fits.then_some(message)
    }

    fn offer(
        &mut self,
        from: SocketAddrV4,
        message: Message,
        now: Duration,
        out: &mut Vec<Action>,
        events: &mut Events,
    ) {
        let offer = Offer { from, message };
        events
            .push(Event::Step(StepKind::Received, format!("OFFER from {}: {}", from.ip(), offer.summary())));
        let again = self
            .offers
            .iter()
            .any(|known| known.from == from && known.message.yiaddr == offer.message.yiaddr);
        // A repetition brings nothing new.
        if !again && self.offers.len() < OFFERS_MAX {
            self.offers.push(offer);
        }
        if self.is_enough(now) {
            self.choose(now, out, events);
        }
    }

    fn is_enough(&self, now: Duration) -> bool {
        let mut offers = self.offers.iter();
        match self.profile.collect {
            Collect::First => offers.any(Offer::has_address),
            Collect::Window => false,
            Collect::Complete => offers.any(|offer| offer.has_address() && offer.file_at_once()),
            Collect::ProxyWithin(limit) => {
                let has_proxy = offers.clone().any(|offer| offer.class_begins(b"PXEClient"));
                offers.clone().any(Offer::has_address)
                    && (has_proxy || offers.any(says_no_proxy) || now - self.started > limit)
            }
        }
    }

    fn choose(&mut self, now: Duration, out: &mut Vec<Action>, events: &mut Events) {
        match (self.profile.choose)(&self.offers) {
            Err(finding) => self.fail(finding, events),
            Ok(choice) => {
                self.state = State::Requesting { choice };
                self.tries = 0;
                self.request(now, out, events);
            }
        }
    }

    fn request(&mut self, now: Duration, out: &mut Vec<Action>, events: &mut Events) {
        let State::Requesting { choice } = &self.state else { return };
        let Some(offer) = self.offers.get(choice.take) else { return };
        let (ip, server) = (offer.message.yiaddr, offer.server());
        if self.next_try(self.profile.request_waits, now).is_none() {
            let evidence = format!("{} REQUESTs for {ip} to server {server}", self.tries);
            return self.fail(
                Finding::new(FindingCode::NoAck, "the server does not commit to its offer", evidence),
                events,
            );
        }
        let mut message = self.message(MessageType::Request, now);
        message.options.set_ip(Code::SERVER_ID, server);
        message.options.set_ip(Code::REQUESTED_IP, ip);
        (self.profile.fill)(&self.who, MessageType::Request, &mut message);
        self.broadcast(&message, out);
        events.push(Event::Step(StepKind::Sent, format!("REQUEST for {ip} to server {server}")));
    }

    fn acknowledged(&mut self, ack: Message, now: Duration, out: &mut Vec<Action>, events: &mut Events) {
        let State::Requesting { choice } = &self.state else { return };
        let Some(offer) = self.offers.get(choice.take) else { return };
        let offered = offer.message.yiaddr;
        if ack.yiaddr != offered {
            let evidence = format!("offered {offered}, acknowledged {}", ack.yiaddr);
            let finding = Finding::new(
                FindingCode::AckDiffers,
                "the ACK gives another address than the offer",
                evidence,
            );
            return self.fail(finding, events);
        }
        let mask = ack.options.ip(Code::SUBNET_MASK);
        if mask.is_none() && self.profile.needs_netmask == NeedsNetmask::Yes {
            let finding =
                Finding::new(FindingCode::NoNetmask, "the ACK has no netmask", format!("address {offered}"));
            return self.fail(finding, events);
        }
        let prefix =
            mask.map_or_else(|| classful_prefix(offered), |mask| u32::from(mask).leading_ones() as u8);
        let address = Address { ip: offered, prefix, router: ack.options.ip(Code::ROUTER) };
        let proxy = choice.proxy.and_then(|at| self.offers.get(at)).map(|offer| offer.message.clone());
        let ask = choice.ask.and_then(|at| self.offers.get(at)).map(boot_server_of);
        let lease = Box::new(Lease { address, ack, proxy, boot_server: None });
        out.push(Action::SetAddress(address));
        events.push(Event::Step(StepKind::Lease, format!("has {offered}/{prefix}")));
        match (self.profile.boot_server, ask) {
            (Some(how), Some(server)) => {
                self.state = State::AskingBootServer { lease, server, how };
                self.tries = 0;
                out.push(Action::OpenUdp { port: how.from_port });
                self.ask_boot_server(now, out, events);
            }
            _ => self.finish(lease, events),
        }
    }

    fn ask_boot_server(&mut self, now: Duration, out: &mut Vec<Action>, events: &mut Events) {
        let State::AskingBootServer { lease, server, how } = &self.state else { return };
        let (server, how, ip) = (*server, *how, lease.address.ip);
        if self.next_try(how.waits, now).is_none() {
            return self.boot_server_is_silent("no answer", events);
        }
        let mut message = self.message(MessageType::Request, now);
        message.ciaddr = ip;
        (self.profile.fill)(&self.who, MessageType::Request, &mut message);
        message.broadcast = false;
        let to = SocketAddrV4::new(server, PXE_PORT);
        out.push(Action::SendUdp { to, bytes: message.encode(PAYLOAD_MAX).bytes });
        events.push(Event::Step(StepKind::Sent, format!("REQUEST to the boot server {to}")));
    }

    fn boot_server_is_silent(&mut self, why: &str, events: &mut Events) {
        let State::AskingBootServer { lease, server, how } = std::mem::replace(&mut self.state, State::Ended)
        else {
            return;
        };
        let finding = Finding::new(
            FindingCode::BootServerSilent,
            format!("the boot server {server} does not answer on port {PXE_PORT}"),
            format!("{} REQUESTs, {why}", self.tries),
        );
        match how.silence {
            Silence::Ends => self.fail(finding, events),
            Silence::GoesOn => {
                events.push(Event::Step(StepKind::Trouble, finding.to_string()));
                self.finish(lease, events);
            }
        }
    }

    /// A datagram to the socket that asks the boot server.
    pub(crate) fn datagram(&mut self, from: SocketAddrV4, bytes: &[u8]) -> Events {
        let mut events = Vec::new();
        let Some(message) = self.ours(bytes) else { return events };
        let kind = message.message_type();
        if !matches!(self.state, State::AskingBootServer { .. })
            || !matches!(kind, Some(MessageType::Ack | MessageType::Offer))
            || from.port() != PXE_PORT
        {
            return events;
        }
        let State::AskingBootServer { mut lease, .. } = std::mem::replace(&mut self.state, State::Ended)
        else {
            return events;
        };
        let file = name_of(&message).unwrap_or_else(|| "none".to_owned());
        events.push(Event::Step(StepKind::Received, format!("the boot server {from} answers: file {file}")));
        lease.boot_server = Some(message);
        self.finish(lease, &mut events);
        events
    }

    /// What was sent to the boot server came back as refused.
    pub(crate) fn refused(&mut self) -> Events {
        let mut events = Vec::new();
        if matches!(self.state, State::AskingBootServer { .. }) {
            self.boot_server_is_silent("port closed", &mut events);
        }
        events
    }

    fn finish(&mut self, lease: Box<Lease>, events: &mut Events) {
        self.state = State::Ended;
        events.push(Event::Done(lease));
    }

    pub(crate) fn timeout(&mut self, now: Duration, out: &mut Vec<Action>) -> Events {
        let mut events = Vec::new();
        match self.state {
            State::Discovering => {
                let any = self.offers.iter().any(Offer::has_address);
                let waits_on =
                    matches!(self.profile.collect, Collect::ProxyWithin(_)) && !self.is_enough(now);
                if any && !waits_on {
                    self.choose(now, out, &mut events);
                } else {
                    self.discover(now, out, &mut events);
                }
            }
            State::Requesting { .. } => self.request(now, out, &mut events),
            State::AskingBootServer { .. } => self.ask_boot_server(now, out, &mut events),
            State::Ended => {}
        }
        events
    }
}

/// iPXE's `no-pxedhcp` (option 175, tag 176): the server says that no proxy is to be waited for.
fn says_no_proxy(offer: &Offer) -> bool {
    const NO_PXEDHCP: u8 = 176;
    let block = offer.message.options.get(Code::IPXE).unwrap_or_default();
    let mut from = bootlace_wire::cursor::Cursor::new(block);
    while let Some(tag) = from.u8().filter(|tag| *tag != 255) {
        if tag == 0 {
            continue;
        }
        let Some(value) = from.u8().and_then(|len| from.take(usize::from(len))) else { break };
        if tag == NO_PXEDHCP {
            return value.iter().any(|&byte| byte != 0);
        }
    }
    false
}

/// Whom port 4011 is asked at: siaddr, else who sent the offer (PXE 2.1 section 2.2.2; so EDK2).
fn boot_server_of(offer: &Offer) -> Ipv4Addr {
    let next = offer.message.siaddr;
    if next.is_unspecified() { offer.server() } else { next }
}

/// Without a netmask the old classes count (RFC 791 section 3.2).
fn classful_prefix(ip: Ipv4Addr) -> u8 {
    match ip.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}
