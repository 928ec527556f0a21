//! Whether to be a network's DHCP server or the proxy beside it, by who else answers (`mode = "auto"`).
//!
//! Each served interface is a network of its own here: who serves one says nothing of the others.
//!
//! A server on a network that has one already does harm; a proxy on a network that has none does nothing. So the word of
//! another server counts at once, and its silence only after several questions.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Code, Message, MessageType, Op};

use super::{Kind, Query, Request, hash, net};
use crate::config::{Config, DhcpMode};
use crate::model::Timestamp;

/// Questions in a row that nobody else answers before it serves.
pub const QUIET_TRIES: u32 = 3;
/// From one question to the next before it has decided: longer than a server takes that probes its offers.
pub const ASK_AGAIN: Duration = Duration::from_secs(4);
/// From one question to the next while it serves, or while another server does.
pub const ASK_LATER: Duration = Duration::from_secs(20);
/// How much later the questions of some hosts come than those of others, so that of two servers that began together
/// one hears the other first.
const SPREAD_MAX: Duration = Duration::from_secs(5);

/// What Bootlace is on one of its networks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The DHCP server.
    Server,
    /// The proxy beside another one.
    Proxy,
    /// The same, by itself: what it has lent as a server it goes on to lend to those who have it.
    Guest,
    /// Nothing yet.
    Undecided,
}

impl Role {
    /// By the config alone: what `explain` goes by. With ranges `auto` means to be the server. Where DHCP is off nobody is
    /// heard, and `explain` tells what a server without subnets says: nothing.
    pub fn of(config: &Config) -> Self {
        match config.dhcp.mode {
            DhcpMode::Server | DhcpMode::Off => Self::Server,
            DhcpMode::Proxy => Self::Proxy,
            DhcpMode::Auto if lends(config, &[], &[]) => Self::Server,
            DhcpMode::Auto => Self::Proxy,
        }
    }
}

/// Whether there is something to lend to those who ask on an interface with the addresses `here`: from a subnet that it is
/// in, or from one that none of the other served interfaces is in (`elsewhere`), which relays ask for.
pub fn lends(config: &Config, here: &[(Ipv4Addr, u8)], elsewhere: &[(Ipv4Addr, u8)]) -> bool {
    let within = |local: &[_], cidr| local.iter().any(|own| net::touches(cidr, *own));
    let lending = config.dhcp.subnets.iter().filter(|subnet| subnet.all_ranges().next().is_some());
    lending.map(|subnet| subnet.cidr).any(|cidr| within(here, cidr) || !within(elsewhere, cidr))
}

/// Whose UDP port 67 of an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerPort {
    /// Bootlace's.
    Ours,
    /// Another program's, or nobody's as nothing is lent there.
    NotOurs,
}

/// Why the role has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nobody else answered [`QUIET_TRIES`] questions.
    Quiet,
    /// This server has.
    Heard(Ipv4Addr),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiet => write!(f, "no other DHCP server answered {QUIET_TRIES} times in a row"),
            Self::Heard(server) => write!(f, "DHCP server {server} is on this network"),
        }
    }
}

/// Watches an interface for other servers.
#[derive(Clone, Debug)]
pub struct Watch {
    role: Role,
    /// The station that asks: no card has its address.
    mac: Mac,
    /// Questions since another server was heard.
    quiet: u32,
    /// When the next question is due; none where the role cannot change.
    next: Option<Timestamp>,
}

impl Watch {
    /// Begins with `config`; `random` makes the station's address.
    ///
    /// Where the port is not Bootlace's, it is a guest and asks nobody: a server of the same host does not hear what the
    /// host sends, and its silence would mean nothing.
    pub fn new(config: &Config, port: ServerPort, random: [u8; 6], now: Timestamp) -> Self {
        let [first, rest @ ..] = random;
        let [b, c, d, e, f] = rest;
        // Locally administered, of one station.
        let mac = Mac([(first | 0x02) & 0xfe, b, c, d, e, f]);
        let role = match (config.dhcp.mode, port) {
            (DhcpMode::Auto, ServerPort::Ours) => Role::Undecided,
            (DhcpMode::Auto, ServerPort::NotOurs) => Role::Guest,
            _ => Role::of(config),
        };
        Self { role, mac, quiet: 0, next: (role == Role::Undecided).then_some(now) }
    }

    /// What Bootlace is now.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How long nothing is to be done.
    pub fn pause(&self, now: Timestamp) -> Option<Duration> {
        let pause = self.next?.since(now);
        // Longer than any: the clock was set back since, and nobody would ask until it is as late again.
        Some(if pause > ASK_LATER + SPREAD_MAX { Duration::ZERO } else { pause })
    }

    /// The question that is due, if one is, and what the silence after the former ones means. It is a DISCOVER that no
    /// REQUEST follows: no server lends an address for it.
    pub fn ask(&mut self, now: Timestamp) -> Option<(Message, Option<Change>)> {
        if !self.pause(now)?.is_zero() {
            return None;
        }
        let change = (self.quiet >= QUIET_TRIES && self.role != Role::Server).then(|| {
            self.role = Role::Server;
            Change::Quiet
        });
        self.quiet = self.quiet.saturating_add(1);
        let pause = if self.role == Role::Undecided { ASK_AGAIN } else { ASK_LATER + self.spread() };
        self.next = Some(now.after(pause));
        Some((question(self.mac), change))
    }

    fn spread(&self) -> Duration {
        let millis = SPREAD_MAX.as_millis() as u64;
        Duration::from_millis(hash::of(self.mac.into()) % millis)
    }

    /// An answer on the client's port: the server that offers this watch an address. A proxy's offer has none. `own` are
    /// the addresses of all served interfaces: two of them may be on one network.
    pub fn answered(&self, config: &Config, own: &[(Ipv4Addr, u8)], reply: &Message) -> Option<Ipv4Addr> {
        let ours = reply.op == Op::Reply && reply.xid == transaction(self.mac) && reply.hw == self.mac.into();
        let server = reply.server_id().filter(|_| ours && !reply.yiaddr.is_unspecified())?;
        (!net::is_own(config, own, server)).then_some(server)
    }

    /// Another server is there. What that changes, if anything.
    pub fn heard(&mut self, server: Ipv4Addr) -> Option<Change> {
        self.quiet = 0;
        if self.next.is_none() || self.role == Role::Guest {
            return None;
        }
        self.role = Role::Guest;
        Some(Change::Heard(server))
    }
}

/// A DISCOVER of this station that no REQUEST follows: who answers it has addresses to give.
pub fn question(mac: Mac) -> Message {
    let mut message = Message::new(Op::Request, mac.into(), transaction(mac));
    message.broadcast = true;
    message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Discover.code());
    message.options.set(Code::PARAMETER_LIST, [Code::SUBNET_MASK.0, Code::ROUTER.0]);
    message
}

fn transaction(mac: Mac) -> u32 {
    let [_, _, c, d, e, f] = mac.0;
    u32::from_be_bytes([c, d, e, f])
}

/// The server that a client on the link takes the offer of, if it is another one than this: a relay may name itself.
pub fn foreign_server(config: &Config, query: &Query<'_>) -> Option<Ipv4Addr> {
    let Kind::Request(Request::Selecting { server, .. }) = query.kind else { return None };
    let on_link = query.message.giaddr.is_unspecified() && query.received.is_broadcast();
    (on_link && !net::is_us(config, query, server)).then_some(server)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Files, Source, load};

    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 1);
    const LOCAL: [(Ipv4Addr, u8); 1] = [(Ipv4Addr::new(10, 188, 0, 10), 24)];

    fn config(ranges: &str) -> Config {
        let text = format!(
            "[dhcp]\nmode = \"auto\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\nranges = [{ranges}]\n"
        );
        load(&Source { name: "x".into(), folder: PathBuf::new(), text }, &Files::new()).unwrap().config
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).after(Duration::from_secs(secs))
    }

    /// Lets the time come to each question until then; says what changed and when.
    fn pass(watch: &mut Watch, from: u64, to: u64) -> Vec<(u64, Change)> {
        (from..to).filter_map(|secs| Some((secs, watch.ask(at(secs))?.1?))).collect()
    }

    #[test]
    fn silence_counts_after_some_questions_and_a_word_at_once() {
        let config = config("\"10.188.0.60-10.188.0.70\"");
        let mut watch = Watch::new(&config, ServerPort::Ours, [7; 6], at(0));
        assert_eq!(watch.role(), Role::Undecided);
        assert_eq!(pass(&mut watch, 0, 12), []);
        assert_eq!(pass(&mut watch, 12, 13), [(12, Change::Quiet)]);
        assert_eq!(watch.role(), Role::Server);
        assert_eq!(watch.heard(OTHER), Some(Change::Heard(OTHER)));
        assert_eq!((watch.role(), watch.heard(OTHER)), (Role::Guest, None));
        // It goes: three questions that nobody answers, and it is over at the next.
        let back = pass(&mut watch, 13, 200);
        assert!(matches!(back[..], [(60..=120, Change::Quiet)]), "{back:?}");
    }

    #[test]
    fn who_was_heard_at_the_start_never_meets_a_second_server() {
        let config = config("\"10.188.0.60-10.188.0.70\"");
        let mut watch = Watch::new(&config, ServerPort::Ours, [7; 6], at(0));
        let (question, _) = watch.ask(at(0)).unwrap();
        let mut offer = question.reply();
        offer.yiaddr = Ipv4Addr::new(10, 188, 0, 200);
        offer.options.set_ip(Code::SERVER_ID, OTHER);
        assert_eq!(watch.answered(&config, &LOCAL, &offer), Some(OTHER));
        let mut own = offer.clone();
        own.options.set_ip(Code::SERVER_ID, LOCAL[0].0);
        assert_eq!(watch.answered(&config, &LOCAL, &own), None, "an offer of this server");
        let proxy = Message { yiaddr: Ipv4Addr::UNSPECIFIED, ..offer.clone() };
        assert_eq!(watch.answered(&config, &LOCAL, &proxy), None, "a proxy gives no addresses");
        let another = Message { xid: offer.xid ^ 1, ..offer };
        assert_eq!(watch.answered(&config, &LOCAL, &another), None, "an answer to somebody else");
        for secs in 1..100 {
            drop(watch.ask(at(secs)));
            watch.heard(OTHER);
            assert_eq!(watch.role(), Role::Guest);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_it_from_nothing() {
        let config = config("\"10.188.0.60-10.188.0.70\"");
        let mut watch = Watch::new(&config, ServerPort::Ours, [7; 6], at(1_000_000));
        assert_eq!(pass(&mut watch, 1_000_000, 1_000_005), []);
        assert!(matches!(pass(&mut watch, 0, 20)[..], [(4, Change::Quiet)]));
        assert!(watch.pause(at(20)).is_some_and(|pause| pause <= ASK_LATER + SPREAD_MAX));
    }

    #[test]
    fn where_the_port_is_not_its_own_it_is_a_guest_and_asks_nobody() {
        let config = config("\"10.188.0.60-10.188.0.70\"");
        let mut watch = Watch::new(&config, ServerPort::NotOurs, [7; 6], at(0));
        assert_eq!((watch.role(), watch.pause(at(0))), (Role::Guest, None));
        assert!(watch.ask(at(100)).is_none() && watch.heard(OTHER).is_none());
        assert_eq!(watch.role(), Role::Guest);
    }

    #[test]
    fn an_interface_lends_from_its_own_subnets_and_from_those_behind_relays() {
        let config = config("\"10.188.0.60-10.188.0.70\"");
        let other = [(Ipv4Addr::new(10, 189, 0, 10), 24)];
        assert!(lends(&config, &LOCAL, &other));
        assert!(!lends(&config, &other, &LOCAL), "the subnet is the other interface's");
        assert!(lends(&config, &other, &[]), "no interface is in it: relays ask for it");
        assert!(!lends(&self::config(""), &LOCAL, &[]), "there are no ranges");
    }
}
