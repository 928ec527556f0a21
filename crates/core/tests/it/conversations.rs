//! Conversations with a DHCP server, as text: `fixtures/conversations/README.md` has the language.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::config::{self, Config};
use bootlace_core::dhcp::{
    Decision, Destination, Lease, LeaseChange, LeaseState, LeaseTable, Received, Role, Service, SessionView,
    classify, decide,
};
use bootlace_core::event::{DhcpAnswer, Event, EventKind, FileEvent, FileOutcome, Peer, Protocol};
use bootlace_core::learn::Learned;
use bootlace_core::model::Timestamp;
use bootlace_core::session::{SessionId, Sessions};
use bootlace_wire::dhcp::describe::describe;
use bootlace_wire::dhcp::typed::{OptionType, option_type};
use bootlace_wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, Op};
use bootlace_wire::{HwAddr, Mac};

use crate::packets::{fixtures, inventory, packet};

/// The loaders of Debian's ipxe package, and the signed one of one architecture.
const LOADERS: [&str; 5] =
    ["undionly.kpxe", "ipxe.pxe", "snponly.efi", "ipxe.efi", "ipxe/x86_64-sb/snponly-shim.efi"];
/// Lines of the trail that are DHCP's own: the others have tests of their own.
const TRAIL: [&str; 4] = ["subnet", "address", "learned", "boot file"];

struct Server {
    config: Config,
    table: LeaseTable,
    stored: Vec<Lease>,
    sessions: Sessions,
    learned: Learned,
    role: Role,
    loaders: LoaderInventory,
    start: Timestamp,
    now: Timestamp,
    /// The interface's address.
    local: (Ipv4Addr, u8),
    /// The last address given to anybody.
    last: Ipv4Addr,
}

impl Server {
    fn new(toml: &str) -> Self {
        let source =
            config::Source { name: "bootlace.toml".into(), folder: PathBuf::new(), text: toml.into() };
        let config = match config::load(&source, &config::Files::new()) {
            Ok(loaded) => loaded.config,
            Err(findings) => panic!("{}", findings.iter().map(|f| format!("{f}\n")).collect::<String>()),
        };
        let start = Timestamp::from_secs(1_800_000_000);
        Self {
            table: LeaseTable::new(&config, Vec::new()),
            role: Role::of(&config),
            loaders: LOADERS.into_iter().collect(),
            config,
            stored: Vec::new(),
            sessions: Sessions::new(SessionId(1)),
            learned: Learned::default(),
            start,
            now: start,
            local: (Ipv4Addr::new(10, 188, 0, 10), 24),
            last: Ipv4Addr::UNSPECIFIED,
        }
    }

    fn restart(&mut self) {
        self.table = LeaseTable::new(&self.config, self.stored.clone());
        self.learned = Learned::new(self.learned.all());
    }

    fn happened(&mut self, event: &Event) {
        self.sessions.apply(event);
        self.learned.apply(event);
    }

    /// `MAC PROTOCOL NAME OUTCOME`: what became of a file.
    fn file(&mut self, text: &str) {
        let [mac, protocol, name, outcome] = words(text);
        let outcome = match outcome {
            "sent" => FileOutcome::Sent { bytes: 1, took: Duration::ZERO, retransmits: 0 },
            "stopped" => FileOutcome::Aborted { bytes: 1, of: 2, why: "the client went silent".into() },
            "absent" => FileOutcome::Absent("no such file".into()),
            "size" => FileOutcome::SizeProbe,
            _ => panic!("what is {outcome:?}?"),
        };
        let protocol = if protocol == "http" { Protocol::Http } else { Protocol::Tftp };
        let file = FileEvent { protocol, name: name.into(), outcome };
        let hw = Some(mac.parse::<Mac>().unwrap().into());
        self.happened(&Event { at: self.now, peer: Peer { hw, ip: None }, kind: EventKind::File(file) });
    }

    fn facts(&self, mac: Mac) -> String {
        let mut out = String::new();
        let since = |at: Timestamp| (at.0 - self.start.0) / 1000;
        for fact in self.learned.facts(mac.into()) {
            write!(out, "! {} {}", fact.firmware, fact.setting).unwrap();
            if let Some(failed) = fact.failed {
                let at = since(failed.at);
                write!(out, ", failed {} times, {} at {at}s", fact.failures, failed.ending).unwrap();
            }
            if let Some(open) = fact.open {
                write!(out, ", {} since {}s", open.ending, since(open.at)).unwrap();
            }
            if let Some(worked) = fact.worked {
                write!(out, ", worked at {}s", since(worked)).unwrap();
            }
            writeln!(out, "{}", if fact.pinned.is_some() { ", pinned" } else { "" }).unwrap();
        }
        if out.is_empty() { "! nothing\n".to_owned() } else { out }
    }

    fn command(&mut self, line: &str) -> String {
        if let Some(secs) = line.strip_prefix('+') {
            self.now = Timestamp(self.now.0 + secs.trim_end_matches('s').parse::<i64>().unwrap() * 1000);
        } else if let Some(role) = line.strip_prefix("role ") {
            self.role = match role {
                "server" => Role::Server,
                "guest" => Role::Guest,
                "undecided" => Role::Undecided,
                _ => panic!("which role is {role:?}?"),
            };
        } else if let Some(names) = line.strip_prefix("loaders ") {
            self.loaders = inventory(names);
        } else if line == "restart" {
            self.restart();
        } else if let Some(local) = line.strip_prefix("interface ") {
            let (address, prefix) = local.split_once('/').unwrap();
            self.local = (address.parse().unwrap(), prefix.parse().unwrap());
        } else if let Some(file) = line.strip_prefix("file ") {
            self.file(file);
        } else if let Some(mac) = line.strip_prefix("learned ") {
            return self.facts(mac.parse().unwrap());
        } else if let Some(pin) = line.strip_prefix("pin ") {
            let [mac, firmware, setting] = words(pin);
            let hw = HwAddr::from(mac.parse::<Mac>().unwrap());
            self.learned.pin(hw, firmware.parse().unwrap(), setting.parse().unwrap(), self.now);
        } else if let Some(mac) = line.strip_prefix("clear ") {
            assert!(self.learned.clear(mac.parse::<Mac>().unwrap().into()));
        } else if let Some(request) = line.strip_prefix("> ") {
            return self.request(request);
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "what is {line:?}?");
        }
        String::new()
    }

    fn request(&mut self, text: &str) -> String {
        let mut received = Received {
            interface: "eth0".into(),
            local: vec![self.local],
            mtu: 1500,
            source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT),
            destination: Ipv4Addr::BROADCAST,
            service: Service::Dhcp,
        };
        let message = self.message(text, &mut received);
        let query = match classify(&message, &received) {
            Ok(query) => query,
            Err(why) => return format!("= not served: {why}\n"),
        };
        let session = self.sessions.current(query.hw, self.now);
        let view = session.map_or_else(SessionView::default, |session| session.dhcp_view(&query, self.now));
        let learned = self.learned.view(&query);
        let view = SessionView { learned: &learned, ..view };
        let decision =
            decide(&self.config, self.role, &self.loaders, &mut self.table, view, &query, self.now);
        let event = Event {
            at: self.now,
            peer: Peer { hw: Some(query.hw), ip: None },
            kind: EventKind::Dhcp(decision.event.clone()),
        };
        self.happened(&event);
        self.commit(&decision.changes);
        self.render(&decision)
    }

    fn message(&self, text: &str, received: &mut Received) -> Message {
        let mut words = text.split_whitespace();
        let mut message = match words.next().unwrap() {
            "packet" => Message::decode(&packet(words.next().unwrap())).unwrap(),
            kind => empty(kind),
        };
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                match word.strip_prefix('-') {
                    Some(option) => drop(message.options.remove(code(option))),
                    None if word == "broadcast" => message.broadcast = true,
                    None if word == "infiniband" => message.hw = HwAddr::new(32, &[]).unwrap(),
                    None => panic!("what is {word:?}?"),
                }
                continue;
            };
            let ip = || if value == "last" { self.last } else { value.parse().unwrap() };
            match key {
                "mac" => message.hw = value.parse::<Mac>().unwrap().into(),
                "xid" => message.xid = value.parse().unwrap(),
                "hops" => message.hops = value.parse().unwrap(),
                "ciaddr" => message.ciaddr = ip(),
                "giaddr" => message.giaddr = ip(),
                "from" => received.source = SocketAddrV4::new(ip(), CLIENT_PORT),
                "port" => received.source.set_port(value.parse().unwrap()),
                "to" => received.destination = ip(),
                "service" if value == "4011" => received.service = Service::BootServer,
                option if option_type(code(option)) == OptionType::Ip => {
                    message.options.set_ip(code(option), ip());
                }
                option => message.options.set(code(option), bytes(code(option), value)),
            }
        }
        message
    }

    fn commit(&mut self, changes: &[LeaseChange]) {
        for change in changes {
            let address = match change {
                LeaseChange::Put(lease) => lease.address,
                LeaseChange::Remove(address) => *address,
            };
            self.stored.retain(|lease| lease.address != address);
            if let LeaseChange::Put(lease) = change {
                self.stored.push(lease.clone());
            }
        }
    }

    fn render(&mut self, decision: &Decision) -> String {
        let mut out = String::new();
        if let Some(reply) = &decision.reply {
            let encoded = reply.message.encode(reply.limit);
            let sent = Message::decode(&encoded.bytes).unwrap();
            let to = match reply.destination {
                Destination::Relay(relay) => format!("relay {relay}"),
                Destination::Broadcast => "everybody".into(),
                Destination::UnicastHw { ip, hw } => format!("{ip} at {hw}"),
                Destination::UnicastIp(address) => address.to_string(),
            };
            writeln!(out, "< to {to}, {} bytes of {}", encoded.bytes.len(), reply.limit).unwrap();
            for line in describe(&sent).lines() {
                writeln!(out, "<   {line}").unwrap();
            }
            if !sent.yiaddr.is_unspecified() {
                self.last = sent.yiaddr;
            }
        }
        let event = &decision.event;
        let (answer, why) = match &event.answer {
            DhcpAnswer::Offer(_) => ("offer", None),
            DhcpAnswer::Ack(_) => ("ack", None),
            DhcpAnswer::Nak(why) => ("nak", Some(why.as_str())),
            DhcpAnswer::Elsewhere { .. } => ("elsewhere", None),
            silent @ (DhcpAnswer::Exhausted | DhcpAnswer::Silence(_)) => ("silence", silent.silence()),
        };
        write!(out, "= {} {}: {answer}", event.client.name(), event.message.name()).unwrap();
        writeln!(out, "{}", why.map(|why| format!(", {why}")).unwrap_or_default()).unwrap();
        for step in event.trail.0.iter().filter(|step| TRAIL.iter().any(|own| step.what.starts_with(own))) {
            writeln!(out, "=   {}: {}", step.what, step.result).unwrap();
        }
        for change in &decision.changes {
            writeln!(out, "! {}", self.change(change)).unwrap();
        }
        out
    }

    fn change(&self, change: &LeaseChange) -> String {
        match change {
            LeaseChange::Remove(address) => format!("remove {address}"),
            LeaseChange::Put(lease) => {
                let state = match lease.state {
                    LeaseState::Bound => "bound",
                    LeaseState::Released => "released",
                    LeaseState::Declined => "declined",
                    LeaseState::Conflict => "conflict",
                };
                let until = (lease.until.0 - self.start.0) / 1000;
                let mut out = format!("put {} {} {state} until {until}s", lease.address, lease.hw);
                if !lease.hostname.is_empty() {
                    write!(out, ", {:?}", lease.hostname.as_str()).unwrap();
                }
                if let Some(uuid) = lease.uuid {
                    write!(out, ", uuid {uuid}").unwrap();
                }
                out
            }
        }
    }
}

fn words<const N: usize>(text: &str) -> [&str; N] {
    text.split(' ').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{text:?} has not {N} words"))
}

fn empty(kind: &str) -> Message {
    let mut message = Message::new(Op::Request, HwAddr::from(Mac([2, 0, 0, 0, 0, 1])), 1);
    let message_type = match kind {
        "discover" => MessageType::Discover,
        "request" => MessageType::Request,
        "decline" => MessageType::Decline,
        "release" => MessageType::Release,
        "inform" => MessageType::Inform,
        "leasequery" => MessageType::Other(10),
        "bootp" => return message,
        _ => panic!("what is {kind:?}?"),
    };
    message.options.set_u8(Code::MESSAGE_TYPE, message_type.code());
    message
}

fn code(option: &str) -> Code {
    let number = option.parse().ok().map(Code);
    number.or_else(|| Code::by_name(option)).unwrap_or_else(|| panic!("which option is {option:?}?"))
}

fn bytes(code: Code, value: &str) -> Vec<u8> {
    if let Some(hex) = value.strip_prefix("0x") {
        return (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
    }
    match option_type(code) {
        OptionType::U16 => value.parse::<u16>().unwrap().to_be_bytes().to_vec(),
        OptionType::U32 => value.parse::<u32>().unwrap().to_be_bytes().to_vec(),
        _ => value.as_bytes().to_vec(),
    }
}

/// The whole file again, with what the server answers now.
fn replay(text: &str) -> String {
    let (toml, script) = text.split_once("\n---\n").expect("a config, then a line ---");
    let mut server = Server::new(toml);
    let mut out = format!("{toml}\n---\n");
    let commands = script.lines().filter(|line| !line.starts_with(['<', '=', '!']));
    for line in commands {
        writeln!(out, "{line}").unwrap();
        out.push_str(&server.command(line));
    }
    out
}

#[test]
fn conversations_go_as_written() {
    let folder = fixtures().join("conversations");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 10, "found only {}", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let written = fs::read_to_string(&path).unwrap();
        let now = replay(&written);
        if now != written {
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, &now).unwrap();
            } else {
                let at = now.lines().zip(written.lines()).position(|(a, b)| a != b).unwrap_or(0);
                let line = |text: &str| text.lines().nth(at).unwrap_or_default().to_owned();
                wrong.push(format!(
                    "{}:{}\n  written {}\n  now     {}",
                    path.display(),
                    at + 1,
                    line(&written),
                    line(&now)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
