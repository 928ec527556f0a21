//! A LAN with a server, a client that can be anybody, and a relay in front of more networks.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_lab::{Daemon, Host, Lan, Namespace};
use rustix::process::Signal;
use socket2::{Domain, Protocol, Socket, Type};

use super::super::context::STEP_LIMIT;
use super::super::rawdhcp::{ACK, CLIENT_PORT, OFFER, Packet, Reply, SERVER_PORT};
use super::super::{Context, Subject};
use super::{frame, servers};

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 10);
/// A relay's address in a network with addresses enough.
pub(super) const RELAY: Ipv4Addr = Ipv4Addr::new(10, 190, 0, 1);
/// The same in a network of which a relay says more than its own address.
pub(super) const OTHER_RELAY: Ipv4Addr = Ipv4Addr::new(10, 191, 0, 1);
/// The same in a network with two addresses.
pub(super) const SMALL_RELAY: Ipv4Addr = Ipv4Addr::new(10, 192, 0, 1);
/// The machine with a reservation.
pub(super) const RESERVED: [u8; 6] = [0x02, 0xc0, 0xff, 0, 0, 1];
/// The machine with more options than a small packet holds.
pub(super) const WORDY: [u8; 6] = [0x02, 0xc0, 0xff, 0, 0, 2];

const RELAY_UPLINK: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 2);
const FENCE: [u8; 6] = [0x02, 0xc0, 0xfe, 0, 0, 1];
const RELAYED_FENCE: [u8; 6] = [0x02, 0xc0, 0xfe, 0, 0, 2];
const ETHERTYPE_IPV4: u16 = 0x0800;
/// IPPROTO_RAW: the IP header is ours.
const OWN_HEADER: i32 = 255;
/// Between two looks at the sockets.
const GLANCE: Duration = Duration::from_millis(20);
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How often a packet is sent before its answer counts as absent.
const TRIES: u32 = 6;

/// A reply and the packet around it. Through a relay only the message is known.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) reply: Reply,
    pub(super) to_mac: [u8; 6],
    pub(super) to: Ipv4Addr,
    pub(super) from_port: u16,
}

/// How a packet gets to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From nobody to everybody.
    Broadcast,
    /// From this address to the server alone.
    From(Ipv4Addr),
    /// From this address to everybody.
    FromToAll(Ipv4Addr),
    /// From the relay that the packet names.
    Relay,
}

pub(in super::super) struct World {
    pub(super) subject: Subject,
    server: Host,
    client: Host,
    _relay: Host,
    _lan: Lan,
    dir: PathBuf,
    launch: Box<dyn Fn() -> Command>,
    daemon: Option<Daemon>,
    out: Socket,
    wire: Socket,
    relays: Vec<(Ipv4Addr, UdpSocket)>,
    /// Keeps the client's kernel from telling the server that nobody listens.
    _port: UdpSocket,
    made: u32,
    has_address: bool,
    /// The server does not answer any more: what is left to check fails at once.
    silent: bool,
}

impl World {
    pub(super) fn start(context: &Context, subject: Subject) -> Result<Self> {
        let lan = Lan::new()?;
        let (server, relay) = (lan.host("server", "10.188.0.10/24")?, lan.host("relay", "10.188.0.2/24")?);
        // Without an address of its own, or the kernel would put that where the source has to be 0.0.0.0.
        let client = lan.client("client")?;
        server.namespace().links().add_default_route("eth0", RELAY_UPLINK)?;
        let mut relays = Vec::new();
        for address in [RELAY, OTHER_RELAY, SMALL_RELAY] {
            relay.namespace().links().add_addr("eth0", format!("{address}/24").parse()?)?;
            relays.push((address, udp(relay.namespace(), (address, SERVER_PORT).into())?));
        }
        // A reply may be for any machine that the client plays.
        let mut promiscuous = Command::new("ip");
        promiscuous.args(["link", "set", "eth0", "promisc", "on"]);
        let done = client.namespace().output(&mut promiscuous)?.status;
        ensure!(done.success(), "{promiscuous:?}: {done}");
        let (out, wire) = client.namespace().run(|| Ok::<_, std::io::Error>((sender()?, listener()?)))??;
        let port = udp(client.namespace(), (Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
        let dir = context.dir().join(subject.name());
        std::fs::create_dir_all(&dir)?;
        let launch = servers::prepare(context, subject, &dir)?;
        let mut world = Self {
            subject,
            server,
            client,
            _relay: relay,
            _lan: lan,
            dir,
            launch,
            daemon: None,
            out,
            wire,
            relays,
            _port: port,
            made: 0,
            has_address: false,
            silent: false,
        };
        world.revive()?;
        Ok(world)
    }

    /// Cuts the server's power.
    pub(super) fn kill(&mut self) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        daemon.signal(Signal::KILL)?;
        daemon.wait(STEP_LIMIT)?;
        Ok(())
    }

    /// Starts it (again) and waits until it answers both ways.
    pub(super) fn revive(&mut self) -> Result<()> {
        let mut command = (self.launch)();
        command.current_dir(&self.dir);
        let daemon = Daemon::start(self.server.namespace(), self.subject.name(), &self.dir, &mut command)?;
        let output = daemon.output().clone();
        self.daemon = Some(daemon);
        self.settle().with_context(|| format!("it printed:\n{}", output.text()))
    }

    fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + STEP_LIMIT;
        for (mac, way) in [(FENCE, Way::Broadcast), (RELAYED_FENCE, Way::Relay)] {
            loop {
                let discover = self.packet_by(mac, way);
                if let Some(offer) = self.wait_for(&discover, way, Instant::now() + AGAIN_AFTER)? {
                    let mut request = Packet::request(&offer.reply);
                    request.giaddr = discover.giaddr;
                    self.ask_by(&request, way)?;
                    break;
                }
                ensure!(Instant::now() < deadline, "{} does not answer", self.subject);
            }
        }
        Ok(())
    }

    fn packet_by(&mut self, mac: [u8; 6], way: Way) -> Packet {
        let mut packet = Packet::discover(mac, self.xid());
        if way == Way::Relay {
            packet.giaddr = RELAY;
        }
        packet
    }

    /// A machine that nobody has seen before.
    pub(super) fn machine(&mut self) -> [u8; 6] {
        self.made += 1;
        let [_, a, b, c] = self.made.to_be_bytes();
        [0x02, 0xc0, 0, a, b, c]
    }

    /// A transaction id that nobody has used before.
    pub(super) fn xid(&mut self) -> u32 {
        self.made += 1;
        0x5eed_0000 + self.made
    }

    /// A DISCOVER of a new machine.
    pub(super) fn newcomer(&mut self) -> Packet {
        let mac = self.machine();
        Packet::discover(mac, self.xid())
    }

    /// The same behind a relay.
    pub(super) fn relayed(&mut self, giaddr: Ipv4Addr) -> Packet {
        let mut packet = self.newcomer().unicast();
        packet.giaddr = giaddr;
        packet.hops = 1;
        packet
    }

    /// Gives the client's kernel an address, so that it answers ARP for it.
    pub(super) fn configure(&mut self, address: Ipv4Addr) -> Result<()> {
        self.client.namespace().links().add_addr("eth0", format!("{address}/32").parse()?)?;
        self.has_address = true;
        Ok(())
    }

    /// Takes it away again.
    pub(super) fn forget_address(&mut self) -> Result<()> {
        if std::mem::take(&mut self.has_address) {
            let mut flush = Command::new("ip");
            let status =
                self.client.namespace().output(flush.args(["address", "flush", "dev", "eth0"]))?.status;
            ensure!(status.success(), "{flush:?}: {status}");
        }
        Ok(())
    }

    /// The MAC that stands in the client's frames, whoever it plays.
    pub(super) fn own_mac(&self) -> [u8; 6] {
        self.client.mac().0
    }

    /// The answer to a packet, which is sent again while none comes.
    pub(super) fn ask(&mut self, packet: &Packet) -> Result<Heard> {
        let way = if packet.giaddr.is_unspecified() { Way::Broadcast } else { Way::Relay };
        self.ask_by(packet, way)
    }

    pub(super) fn ask_by(&mut self, packet: &Packet, way: Way) -> Result<Heard> {
        ensure!(!self.silent, "the server stopped answering");
        for _ in 0..TRIES {
            if let Some(heard) = self.wait_for(packet, way, Instant::now() + AGAIN_AFTER)? {
                return Ok(heard);
            }
        }
        bail!("no answer")
    }

    /// The same, of this kind.
    pub(super) fn ask_for(&mut self, kind: u8, packet: &Packet) -> Result<Heard> {
        let heard = self.ask(packet)?;
        ensure!(heard.reply.kind == kind, "message type {} instead of {kind}", heard.reply.kind);
        Ok(heard)
    }

    /// DISCOVER, OFFER, REQUEST, ACK: the offer and the ACK. The options of the DISCOVER are repeated.
    pub(super) fn lease(&mut self, discover: &Packet) -> Result<(Heard, Heard)> {
        let offer = self.ask_for(OFFER, discover)?;
        let request = self.accept(discover, &offer.reply);
        let ack = self.ask_for(ACK, &request)?;
        Ok((offer, ack))
    }

    /// The REQUEST that takes an offer.
    pub(super) fn accept(&mut self, discover: &Packet, offer: &Reply) -> Packet {
        let mut request = Packet::request(offer);
        request.giaddr = discover.giaddr;
        request.hops = discover.hops;
        request.flags = discover.flags;
        let repeated = discover.options.iter().filter(|(code, _)| *code != 50);
        request.options.extend(repeated.cloned());
        request
    }

    /// What is answered to a packet before the server answers another one that came after it.
    pub(super) fn answers(&mut self, packet: &Packet, way: Way) -> Result<Vec<Heard>> {
        self.answers_to(&packet.encode(), packet.giaddr, packet.xid, way)
    }

    /// A packet that must not be answered, and whether the server still lives.
    pub(super) fn unanswered(&mut self, packet: &Packet, way: Way) -> Result<()> {
        let heard = self.answers(packet, way)?;
        match heard.first() {
            None => Ok(()),
            Some(heard) => bail!("answered by message type {}", heard.reply.kind),
        }
    }

    /// The same for bytes that are no packet.
    pub(super) fn answers_to_bytes(&mut self, bytes: &[u8], xid: u32) -> Result<Vec<Heard>> {
        self.answers_to(bytes, Ipv4Addr::UNSPECIFIED, xid, Way::Broadcast)
    }

    fn answers_to(&mut self, bytes: &[u8], giaddr: Ipv4Addr, xid: u32, way: Way) -> Result<Vec<Heard>> {
        ensure!(!self.silent, "the server stopped answering");
        let relayed = way == Way::Relay;
        let (mac, fence_way) = if relayed { (RELAYED_FENCE, way) } else { (FENCE, Way::Broadcast) };
        let mut answers = Vec::new();
        self.send(bytes, giaddr, way)?;
        for _ in 0..TRIES {
            let fence = self.packet_by(mac, fence_way);
            self.send(&fence.encode(), fence.giaddr, fence_way)?;
            let deadline = Instant::now() + AGAIN_AFTER;
            while let Some(heard) = self.next(deadline)? {
                if heard.reply.xid == fence.xid {
                    return Ok(answers);
                }
                if heard.reply.xid == xid {
                    answers.push(heard);
                }
            }
        }
        self.silent = true;
        bail!("the server answers nobody any more")
    }

    fn wait_for(&mut self, packet: &Packet, way: Way, deadline: Instant) -> Result<Option<Heard>> {
        self.send(&packet.encode(), packet.giaddr, way)?;
        while let Some(heard) = self.next(deadline)? {
            if (heard.reply.xid, heard.reply.mac) == (packet.xid, packet.mac) {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    fn send(&self, bytes: &[u8], giaddr: Ipv4Addr, way: Way) -> Result<()> {
        let (source, destination) = match way {
            Way::Broadcast => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
            Way::From(source) => (source, SERVER),
            Way::FromToAll(source) => (source, Ipv4Addr::BROADCAST),
            Way::Relay => {
                let (_, socket) =
                    self.relays.iter().find(|(address, _)| *address == giaddr).context("a relay")?;
                socket.send_to(bytes, (SERVER, SERVER_PORT)).context("send as a relay")?;
                return Ok(());
            }
        };
        let packet = frame::ip_packet(source, destination, bytes);
        let to = SocketAddr::from((destination, SERVER_PORT));
        self.out.send_to(&packet, &to.into()).context("send a packet")?;
        Ok(())
    }

    /// The next reply, on the wire or at a relay.
    fn next(&self, deadline: Instant) -> Result<Option<Heard>> {
        let mut buffer = [0; 2048];
        while Instant::now() < deadline {
            for (address, socket) in &self.relays {
                let Some((len, SocketAddr::V4(from))) = ready(socket.recv_from(&mut buffer))? else {
                    continue;
                };
                if let Some(heard) = at_relay(*address, from, &buffer[..len]) {
                    return Ok(Some(heard));
                }
            }
            let Some(len) = ready((&self.wire).read(&mut buffer))? else { continue };
            if let Some(heard) = frame::parse(&buffer[..len]) {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }
}

fn at_relay(relay: Ipv4Addr, from: SocketAddrV4, bytes: &[u8]) -> Option<Heard> {
    let reply = Reply::decode(bytes)?;
    Some(Heard { reply, to_mac: [0; 6], to: relay, from_port: from.port() })
}

fn ready<T>(result: std::io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error).context("receive a packet"),
    }
}

fn udp(ns: &Namespace, at: SocketAddr) -> Result<UdpSocket> {
    let socket = ns.run(|| UdpSocket::bind(at))?.with_context(|| format!("open {at}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sends packets whose IP header is ours: a client has no address to send from.
fn sender() -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(OWN_HEADER)))?;
    socket.bind_device(Some(b"eth0"))?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

/// Hears every frame that comes by, whoever it is for.
fn listener() -> std::io::Result<Socket> {
    let protocol = Protocol::from(i32::from(ETHERTYPE_IPV4.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(GLANCE))?;
    Ok(socket)
}
