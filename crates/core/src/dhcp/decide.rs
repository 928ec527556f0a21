//! The answer to a DHCP message: RFC 2131 section 4.3, with a boot file.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::dhcp::MessageType;

use super::boot_fields::{BootFields, Booting, Fetch};
use super::net::{self, Net};
use super::reply::{self, Answer, INFINITE, Reply};
use super::{
    Attributes, Circuit, Claim, Client, Declined, Found, Kind, LeaseChange, LeaseTable, Notice, Proof, Query,
    Request, Role, Voice, proxy, relays, shares,
};
use crate::boot::choose::{Choice, choose};
use crate::boot::loader::LoaderInventory;
use crate::config::{Config, Serve};
use crate::event::{ClientClass, DhcpAnswer, DhcpEvent, Given};
use crate::finding::Trail;
use crate::learn::Fact;
use crate::model::{Facts, Timestamp, Var};
use crate::oneshot::Offered;

/// The shortest lease that a client can wish for: it must outlast a boot and an installation, as no loader
/// renews. A subnet with shorter leases has its way.
const LEASE_MIN: Duration = Duration::from_secs(30 * 60);

/// What the machine's session says that matters to DHCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionView<'a> {
    /// An earlier DHCP transaction or script of this session sent the machine's iPXE into a loader of ours: what
    /// asks now is that loader. An answer of the *same* transaction does not count, or its ACK would differ
    /// from its OFFER.
    pub chained: bool,
    /// What earlier boots taught, with the last of them settled.
    pub learned: &'a [Fact],
    /// One-shots that it may get. DHCP takes none: that is done with the script.
    pub next: Offered<'a>,
}

/// What to send, what to store before that, and what to record.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Leaves only after `changes` are durable.
    pub reply: Option<Reply>,
    /// For the store.
    pub changes: Vec<LeaseChange>,
    /// For the journal, with what the packet told and why this was decided.
    pub event: DhcpEvent,
    /// The address that has to be probed before there is an answer: decide again when that is done.
    pub after_probe: Option<Ipv4Addr>,
    /// The limit that it met.
    pub notice: Option<Notice>,
}

/// Decides about one message. The table is changed as if the reply were sent.
pub fn decide(
    config: &Config,
    role: Role,
    loaders: &LoaderInventory,
    table: &mut LeaseTable,
    session: SessionView<'_>,
    query: &Query<'_>,
    now: Timestamp,
) -> Decision {
    match role {
        Role::Server => {}
        Role::Guest if has_lent(table, query, now) => {}
        Role::Proxy | Role::Guest => return proxy::decide(config, loaders, session, query, now),
        Role::Undecided => return undecided(query),
    }
    let nets = net::candidates(config, query);
    let facts = with_remembered(query, table, &nets);
    let mut choice = choose(config, session.next, &facts, None);
    let mut trail = std::mem::take(&mut choice.trail);
    // An operating system boots nothing more: of the choice only settings count.
    if query.class == ClientClass::Os {
        trail = Trail::default();
    }
    let voice = match choice.machine {
        Some(_) => Voice::Own,
        None => table.voice_of(query.hw, query.message.xid, now),
    };
    let case = Case { config, query, facts: &facts, choice: &choice, nets: &nets, voice, now };
    let verdict = match case.refused() {
        Some(refusal) => refusal,
        None => case.handle(table, &mut trail),
    };
    let (mut after_probe, mut notice) = (None, None);
    let (reply, changes, answer) = match verdict {
        Verdict::Give(gift) => {
            notice = gift.notice;
            let server = gift.net.server;
            let booting =
                Booting { config, role: Role::Server, loaders, session, query, choice: &choice, server, now };
            let boot = booting.fields(&mut trail);
            if query.class == ClientClass::HttpBoot && boot.file.is_none() && gift.kind == MessageType::Offer
            {
                // It waits for an offer with a URL: any other one it takes for broken.
                (None, gift.changes, DhcpAnswer::Silence("nothing to boot by HTTP".to_owned()))
            } else {
                let answer = Answer { config, query, net: gift.net, choice: &choice, boot: &boot };
                let reply = answer.give(gift.kind, gift.address, gift.lease);
                (Some(reply), gift.changes, given(gift.kind, gift.address, boot))
            }
        }
        Verdict::Nak { server, why } => {
            (Some(reply::nak(query, server, &why)), Vec::new(), DhcpAnswer::Nak(why))
        }
        Verdict::Note { changes, why } => (None, changes, DhcpAnswer::Silence(why)),
        Verdict::Limit { notice: met, changes, why } => {
            notice = Some(met);
            (None, changes, DhcpAnswer::Silence(why))
        }
        Verdict::Exhausted => (None, Vec::new(), DhcpAnswer::Exhausted),
        Verdict::Probe(address) => {
            after_probe = Some(address);
            (None, Vec::new(), DhcpAnswer::Silence(format!("{address} is being probed")))
        }
        Verdict::Silence(why) => (None, Vec::new(), DhcpAnswer::Silence(why.into_owned())),
    };
    Decision { reply, changes, event: event(query, answer, trail), after_probe, notice }
}

/// The client goes on with a lease of ours.
fn has_lent(table: &LeaseTable, query: &Query<'_>, now: Timestamp) -> bool {
    let address = match query.kind {
        Kind::Request(
            Request::Selecting { address, .. }
            | Request::InitReboot(address)
            | Request::Renewing(address)
            | Request::Rebinding(address),
        )
        | Kind::Release(address)
        | Kind::Decline(address) => address,
        Kind::Discover | Kind::Inform(_) | Kind::Bootp | Kind::BootServer(_) => return false,
    };
    table.holder(address, now) == Some(query.hw)
}

/// Whoever asks now asks again soon.
fn undecided(query: &Query<'_>) -> Decision {
    let why = "this server looks for another DHCP server first".to_owned();
    Decision {
        reply: None,
        changes: Vec::new(),
        event: event(query, DhcpAnswer::Silence(why), Trail::default()),
        after_probe: None,
        notice: None,
    }
}

/// What a message told and what came of it.
pub(super) fn event(query: &Query<'_>, answer: DhcpAnswer, trail: Trail) -> DhcpEvent {
    DhcpEvent {
        message: query.kind.message(),
        client: query.class,
        firmware: query.firmware,
        interface: query.received.interface.clone(),
        xid: query.message.xid,
        facts: query.facts.clone(),
        features: query.features.clone(),
        answer,
        trail,
    }
}

/// A machine that is known by its UUID or client identifier stays known at a stage of its boot that does not send it.
fn with_remembered<'a>(query: &'a Query<'_>, table: &LeaseTable, nets: &[Net<'_>]) -> Cow<'a, Facts> {
    let lease = nets.iter().find_map(|net| table.lease_of(net.index, query.hw));
    match lease.and_then(|lease| lease.told().missing_in(&query.facts)) {
        None => Cow::Borrowed(&query.facts),
        Some(told) => {
            let mut facts = query.facts.clone();
            told.tell(&mut facts);
            Cow::Owned(facts)
        }
    }
}

fn given(kind: MessageType, address: Ipv4Addr, boot: BootFields) -> DhcpAnswer {
    let next_server = boot.next_server.filter(|_| boot.by == Fetch::Tftp);
    let BootFields { file: boot_file, boot, chained, setting, .. } = boot;
    let given = Given { address, boot_file, next_server, boot, chained, setting };
    if kind == MessageType::Offer { DhcpAnswer::Offer(given) } else { DhcpAnswer::Ack(given) }
}

/// What a message comes to.
enum Verdict<'a> {
    Give(Gift<'a>),
    Nak {
        server: Ipv4Addr,
        why: String,
    },
    /// No answer, but something changed.
    Note {
        changes: Vec<LeaseChange>,
        why: String,
    },
    /// The same, as a limit was met.
    Limit {
        notice: Notice,
        changes: Vec<LeaseChange>,
        why: String,
    },
    /// Every address of the client's subnets is lent.
    Exhausted,
    /// Not before it is known that nobody is on this address.
    Probe(Ipv4Addr),
    Silence(Cow<'static, str>),
}

struct Gift<'a> {
    net: Net<'a>,
    kind: MessageType,
    address: Ipv4Addr,
    lease: Option<u32>,
    changes: Vec<LeaseChange>,
    notice: Option<Notice>,
}

fn silence<'a>(why: impl Into<Cow<'static, str>>) -> Verdict<'a> {
    Verdict::Silence(why.into())
}

struct Case<'a> {
    config: &'a Config,
    query: &'a Query<'a>,
    facts: &'a Facts,
    choice: &'a Choice<'a>,
    nets: &'a [Net<'a>],
    /// Machines of the config are spoken for by it.
    voice: Voice,
    now: Timestamp,
}

impl<'a> Case<'a> {
    /// Why this message gets no answer, whatever it asks.
    fn refused(&self) -> Option<Verdict<'a>> {
        if let Some(why) = relays::refusal(&self.config.dhcp, self.query) {
            return Some(Verdict::Limit { notice: Notice::ForeignRelay, changes: Vec::new(), why });
        }
        if self.choice.settings.ignore {
            return Some(silence("the config says to ignore this machine"));
        }
        let known_only = |net: &Net<'_>| net.subnet.serve == Serve::Known;
        let all_closed = !self.nets.is_empty() && self.nets.iter().all(known_only);
        if all_closed && self.choice.machine.is_none() {
            return Some(silence("this subnet serves only machines of the config"));
        }
        None
    }

    fn handle(&self, table: &mut LeaseTable, trail: &mut Trail) -> Verdict<'a> {
        match self.query.kind {
            Kind::Discover => self.discover(table, trail),
            Kind::Request(Request::Selecting { server, address }) => {
                self.selecting(table, trail, server, address)
            }
            Kind::Request(Request::InitReboot(address)) => self.init_reboot(table, trail, address),
            Kind::Request(Request::Renewing(address)) => self.renewing(table, trail, address),
            Kind::Request(Request::Rebinding(address)) => self.rebinding(table, trail, address),
            Kind::Decline(address) => self.decline(table, address),
            Kind::Release(address) => self.release(table, address),
            Kind::Inform(address) => self.inform(address),
            Kind::Bootp => self.bootp(table, trail),
            Kind::BootServer(_) => silence("port 4011 is a proxy's"),
        }
    }

    fn client(&self) -> Client<'a> {
        let circuit = Circuit::of(self.query);
        Client { hw: self.query.hw, machine: self.choice.machine, share: 0, circuit, voice: self.voice }
    }

    /// The same when it needs an address, and the reason for its ranges, where there are several.
    fn client_in(&self, net: Net<'_>) -> (Client<'a>, Option<String>) {
        let client = self.client();
        if net.subnet.ranges_for.is_empty() {
            return (client, None);
        }
        let (share, why) = shares::choose(net.subnet, client.standing(), self.facts);
        (Client { share, ..client }, Some(why))
    }

    fn net_of(&self, address: Ipv4Addr) -> Option<Net<'a>> {
        self.open_nets().find(|net| net.contains(address))
    }

    /// Without those that serve known machines only, if this is none.
    fn open_nets(&self) -> impl Iterator<Item = Net<'a>> {
        let is_known = self.choice.machine.is_some();
        self.nets.iter().copied().filter(move |net| is_known || net.subnet.serve == Serve::All)
    }

    fn no_subnet(&self) -> Verdict<'a> {
        let (message, received) = (self.query.message, self.query.received);
        if message.giaddr.is_unspecified() {
            silence(format!("no [[dhcp.subnet]] for interface {}", received.interface))
        } else {
            let (relay, link) = (message.giaddr, relays::link(message));
            silence(format!("no [[dhcp.subnet]] with {link}, which relay {relay} selects"))
        }
    }

    /// The subnet where the client's machine has its reservation, else where it has a lease, else the first
    /// with an address.
    fn discover(&self, table: &mut LeaseTable, trail: &mut Trail) -> Verdict<'a> {
        let mut nets: Vec<Net<'a>> = self.open_nets().collect();
        if nets.is_empty() {
            return self.no_subnet();
        }
        let reserved = self.choice.machine.and_then(|machine| machine.address);
        nets.sort_by_key(|net| {
            let has_reservation = reserved.is_some_and(|address| net.contains(address));
            let has_lease = table.lease_of(net.index, self.query.hw).is_some();
            (!has_reservation, !has_lease)
        });
        let wish = self.query.message.requested_ip();
        for net in nets.iter().copied() {
            let (client, share) = self.client_in(net);
            let found = table.offer(net.index, client, wish, self.now);
            let is_new = |found: &Found| matches!(found.claim, Claim::Free | Claim::Lapsed(_));
            if let Some(why) = share.filter(|_| found.as_ref().is_none_or(is_new)) {
                trail.add(format!("subnet {}", net.subnet.cidr), why);
            }
            let Some(found) = found else {
                trail.add(format!("subnet {}", net.subnet.cidr), "no address is left");
                continue;
            };
            return self.found(net, found, trail);
        }
        // Every address is lent or promised. A promise that nobody has taken up yet is the lesser harm.
        for net in &nets {
            let (client, _) = self.client_in(*net);
            if let Some(found) = table.supersede(net.index, client, self.now) {
                return self.found(*net, found, trail);
            }
        }
        if self.voice == Voice::Another && nets.iter().any(|net| table.is_their_share_used_up(net.index)) {
            let why = "another station speaks for this machine, as for too many".to_owned();
            return Verdict::Limit { notice: Notice::SpokenFor, changes: Vec::new(), why };
        }
        Verdict::Exhausted
    }

    /// Offers an address, unless it has to be probed before.
    fn found(&self, net: Net<'a>, found: Found, trail: &mut Trail) -> Verdict<'a> {
        for (address, refusal) in &found.refused {
            trail.add(format!("address {address}"), refusal.to_string());
        }
        self.note(trail, found.address, found.claim);
        if found.proof == Proof::Awaited {
            return Verdict::Probe(found.address);
        }
        Verdict::Give(Gift {
            net,
            kind: MessageType::Offer,
            address: found.address,
            lease: Some(self.lease_secs(net)),
            changes: Vec::new(),
            notice: matches!(found.claim, Claim::Superseded(_)).then_some(Notice::OfferSuperseded),
        })
    }

    fn selecting(
        &self,
        table: &mut LeaseTable,
        trail: &mut Trail,
        server: Ipv4Addr,
        address: Ipv4Addr,
    ) -> Verdict<'a> {
        if !net::is_us(self.config, self.query, server) {
            for net in self.nets {
                table.withdraw(net.index, self.query.hw);
            }
            return silence(format!("it takes the offer of server {server}"));
        }
        match self.net_of(address) {
            Some(net) => self.grant(table, trail, net, address),
            None if self.nets.is_empty() => self.no_subnet(),
            None => self.nak(server, format!("{address} is not of this network")),
        }
    }

    fn init_reboot(&self, table: &mut LeaseTable, trail: &mut Trail, address: Ipv4Addr) -> Verdict<'a> {
        let Some(first) = self.nets.first() else { return self.no_subnet() };
        let own = |net: &Net<'_>| table.lease_of(net.index, self.query.hw).map(|lease| lease.address);
        let is_known = self.nets.iter().any(|net| own(net).is_some()) || self.has_moved(table, address);
        let Some(net) = self.net_of(address) else {
            let why = format!("{address} is not of this network");
            return self.nak_if(is_known || self.config.dhcp.authoritative, first.id, why);
        };
        match own(&net) {
            Some(own) if own == address => self.extend(table, trail, net, address),
            Some(own) => self.nak(net.id, format!("this machine's address is {own}")),
            None => match table.claim(net.index, self.client(), address, self.now) {
                Ok(Claim::Reservation | Claim::Offer | Claim::InUse) => {
                    self.grant(table, trail, net, address)
                }
                _ => {
                    let why = format!("{address} is not known to be this machine's");
                    self.nak_if(self.config.dhcp.authoritative, net.id, why)
                }
            },
        }
    }

    /// It asked us alone, so a NAK disturbs no other server; and an address that nobody has is granted even when
    /// its lease was lost.
    fn renewing(&self, table: &mut LeaseTable, trail: &mut Trail, address: Ipv4Addr) -> Verdict<'a> {
        match self.net_of(address) {
            Some(net) => self.extend(table, trail, net, address),
            None if self.query.message.giaddr.is_unspecified() => self
                .nak(self.query.received.destination, format!("{address} is not of a network served here")),
            None => match self.nets.first() {
                Some(first) => self.nak(first.id, format!("{address} is not of this network")),
                None => self.no_subnet(),
            },
        }
    }

    /// The address is one that we gave to this machine on another link: no other server can have meant it here.
    fn has_moved(&self, table: &LeaseTable, address: Ipv4Addr) -> bool {
        table.get(address).is_some_and(|lease| lease.hw == self.query.hw)
    }

    fn rebinding(&self, table: &mut LeaseTable, trail: &mut Trail, address: Ipv4Addr) -> Verdict<'a> {
        let authoritative = self.config.dhcp.authoritative;
        let Some(first) = self.nets.first() else { return self.no_subnet() };
        let Some(net) = self.net_of(address) else {
            let may = authoritative || self.has_moved(table, address);
            return self.nak_if(may, first.id, format!("{address} is not of this network"));
        };
        match table.claim(net.index, self.client(), address, self.now) {
            Ok(Claim::Lease | Claim::Reservation) => self.extend(table, trail, net, address),
            Ok(_) => silence(format!("the lease of {address} is not ours")),
            Err(refusal) => {
                let own = table.lease_of(net.index, self.query.hw).is_some_and(|l| l.address == address);
                self.nak_if(authoritative || own, net.id, format!("{address}: {refusal}"))
            }
        }
    }

    /// More time on the same address, unless the machine has a reservation to move to.
    fn extend(
        &self,
        table: &mut LeaseTable,
        trail: &mut Trail,
        net: Net<'a>,
        address: Ipv4Addr,
    ) -> Verdict<'a> {
        match table.better(net.index, self.client(), self.now) {
            Some(reserved) => self.nak(net.id, format!("{reserved} is reserved for this machine")),
            None => self.grant(table, trail, net, address),
        }
    }

    fn grant(
        &self,
        table: &mut LeaseTable,
        trail: &mut Trail,
        net: Net<'a>,
        address: Ipv4Addr,
    ) -> Verdict<'a> {
        let secs = self.lease_secs(net);
        let until = match secs {
            INFINITE => Timestamp::NEVER,
            secs => self.now.after(Duration::from_secs(secs.into())),
        };
        let said = Attributes {
            client_id: self.query.message.client_id(),
            uuid: self.query.uuid,
            hostname: self.query.facts.get(Var::Hostname).unwrap_or_default(),
        };
        match table.bind(net.index, self.client(), address, until, self.now, said) {
            Ok((claim, changes)) => {
                self.note(trail, address, claim);
                let kind = MessageType::Ack;
                let notice = table.almost_full(net.index).map(Notice::AlmostFull);
                Verdict::Give(Gift { net, kind, address, lease: Some(secs), changes, notice })
            }
            Err(refusal) => self.nak(net.id, format!("{address}: {refusal}")),
        }
    }

    fn decline(&self, table: &mut LeaseTable, address: Ipv4Addr) -> Verdict<'a> {
        if let Some(verdict) = self.meant_for_another() {
            return verdict;
        }
        let Some(net) = self.net_of(address) else { return silence(format!("{address} is not lent here")) };
        match table.decline(net.index, self.query.hw, address, self.now) {
            Declined::Quarantined(change) => Verdict::Note {
                changes: vec![change],
                why: format!("{address} is in use by somebody else: put in quarantine"),
            },
            Declined::Dropped(change) => Verdict::Limit {
                notice: Notice::QuarantineFull,
                changes: change.into_iter().collect(),
                why: format!("{address} is in use by somebody else, but too much is in quarantine already"),
            },
            Declined::NotTheirs => silence(format!("{address} is not this machine's to decline")),
        }
    }

    fn release(&self, table: &mut LeaseTable, address: Ipv4Addr) -> Verdict<'a> {
        if let Some(verdict) = self.meant_for_another() {
            return verdict;
        }
        let source = *self.query.received.source.ip();
        let relayed = !self.query.message.giaddr.is_unspecified();
        // Who gives back an address still has it, and sends from it (RFC 2131 section 4.4.6): anything else can be
        // sent by somebody who knows no more than the machine's MAC.
        if !relayed && source != address {
            return silence(format!("a release of {address} that came from {source}"));
        }
        let released =
            self.net_of(address).and_then(|net| table.release(net.index, self.query.hw, address, self.now));
        match released {
            Some(change) => Verdict::Note { changes: vec![change], why: format!("{address} is given back") },
            None => silence(format!("{address} is not this machine's to give back")),
        }
    }

    /// The message names another server.
    fn meant_for_another(&self) -> Option<Verdict<'a>> {
        let server = self.query.message.server_id()?;
        (!net::is_us(self.config, self.query, server)).then(|| silence(format!("it is for server {server}")))
    }

    fn inform(&self, address: Ipv4Addr) -> Verdict<'a> {
        let Some(net) = self.net_of(address) else {
            return silence(format!("{address} is not of a network served here"));
        };
        let (kind, unchanged) = (MessageType::Ack, Vec::new());
        let address = Ipv4Addr::UNSPECIFIED;
        Verdict::Give(Gift { net, kind, address, lease: None, changes: unchanged, notice: None })
    }

    /// BOOTP knows no end of a lease: only what is reserved anyway can be given. It is not stored as a lease without
    /// end: the reservation in the config keeps all others off already, also after a restart, and a stored lease
    /// would go on to do so when the reservation is gone.
    fn bootp(&self, table: &mut LeaseTable, trail: &mut Trail) -> Verdict<'a> {
        let reserved = self.choice.machine.and_then(|machine| machine.address);
        let Some((address, net)) = reserved.and_then(|address| Some((address, self.net_of(address)?))) else {
            return silence("BOOTP gets reserved addresses only");
        };
        match table.claim(net.index, self.client(), address, self.now) {
            Ok(claim) => {
                self.note(trail, address, claim);
                let kind = MessageType::Ack;
                Verdict::Give(Gift { net, kind, address, lease: None, changes: Vec::new(), notice: None })
            }
            Err(refusal) => silence(format!("{address}: {refusal}")),
        }
    }

    /// The client's wish, if that is shorter than what the subnet gives.
    fn lease_secs(&self, net: Net<'_>) -> u32 {
        let most = reply::seconds(net.subnet.lease);
        let least = most.min(reply::seconds(LEASE_MIN));
        self.query.message.lease_time().map_or(most, |wish| wish.clamp(least, most))
    }

    fn note(&self, trail: &mut Trail, address: Ipv4Addr, claim: Claim) {
        trail.add(format!("address {address}"), claim.words());
    }

    fn nak(&self, server: Ipv4Addr, why: String) -> Verdict<'a> {
        Verdict::Nak { server, why }
    }

    fn nak_if(&self, may: bool, server: Ipv4Addr, why: String) -> Verdict<'a> {
        if may { self.nak(server, why) } else { silence(why) }
    }
}
