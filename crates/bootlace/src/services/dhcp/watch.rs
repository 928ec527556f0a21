//! The questions that find another DHCP server, and what their answers change.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_core::config::Config;
use bootlace_core::dhcp::{Change, QUIET_TRIES, Query, Role, ServerPort, Watch, foreign_server};
use bootlace_core::model::Timestamp;
use bootlace_wire::Mac;
use bootlace_wire::dhcp::{CLIENT_PORT, Message, SERVER_PORT};
use bootlace_wire::frame::udp_frame;
use rustix::rand::{GetRandomFlags, getrandom};

use super::alarm::Alarm;
use super::port::Port;
use crate::net::{Frame, PacketSocket};

/// What Bootlace is on its networks, and who else is there.
pub struct Neighbourhood {
    /// One for each interface.
    links: Vec<Link>,
    /// The link of each port.
    link_of: Vec<usize>,
}

/// One interface.
struct Link {
    interface: String,
    watch: Watch,
    /// A foreign server beside `mode = "server"` is told again and again, though not with each of its clients.
    alarm: Alarm,
}

impl Neighbourhood {
    /// Begins as `config` says, behind `ports`.
    pub fn new(config: &Config, ports: &[Port], now: Timestamp) -> io::Result<Self> {
        let (mut links, mut link_of) = (Vec::<Link>::new(), Vec::new());
        for Port { interface, .. } in ports {
            let known = links.iter().position(|link| link.interface == interface.name);
            link_of.push(known.unwrap_or(links.len()));
            if known.is_some() {
                continue;
            }
            let mut random = [0; 6];
            getrandom(&mut random, GetRandomFlags::empty())?;
            let serves = |port: &Port| port.interface.name == interface.name && port.is_server();
            let port = if ports.iter().any(serves) { ServerPort::Ours } else { ServerPort::NotOurs };
            let watch = Watch::new(config, port, random, now);
            links.push(Link { interface: interface.name.clone(), watch, alarm: Alarm::default() });
        }
        Ok(Self { links, link_of })
    }

    /// Ports have come or gone. Returns those that are on its interfaces.
    pub(super) fn follow(&mut self, mut ports: Vec<Port>) -> Vec<Port> {
        let link =
            |links: &[Link], port: &Port| links.iter().position(|link| link.interface == port.interface.name);
        ports.retain(|port| link(&self.links, port).is_some());
        self.link_of = ports.iter().filter_map(|port| link(&self.links, port)).collect();
        ports
    }

    /// What Bootlace is where this port is.
    pub(super) fn role(&self, port: usize) -> Role {
        self.links[self.link_of[port]].watch.role()
    }

    /// How long nothing is to be done.
    pub(super) fn pause(&self, now: Timestamp) -> Option<Duration> {
        self.links.iter().filter_map(|link| link.watch.pause(now)).min()
    }

    /// Sends the questions that are due.
    pub(super) fn ask(&mut self, ports: &[Port], frames: &PacketSocket, now: Timestamp) {
        for link in &mut self.links {
            let Some((question, change)) = link.watch.ask(now) else { continue };
            change.into_iter().for_each(|change| tell(change, &link.interface));
            let own = ports.iter().find(|port| port.interface.name == link.interface);
            let (Some(mac), Some(port)) = (question.hw.mac(), own) else { continue };
            let bytes = question.encode(question.payload_limit(u16::MAX)).bytes;
            let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
            let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
            let frame = udp_frame(Mac::BROADCAST, mac, from, to, &bytes);
            if let Err(error) = frames.send(&[Frame { bytes: &frame, ifindex: port.interface.index }]) {
                tracing::debug!(%error, interface = link.interface, "cannot ask for other DHCP servers");
            }
        }
    }

    /// An answer to one, on the port of this number.
    pub(super) fn answered(&mut self, config: &Config, ports: &[Port], port: usize, reply: &Message) {
        let link = &mut self.links[self.link_of[port]];
        if let Some(server) = link.watch.answered(config, &addresses(ports), reply) {
            link.watch.heard(server).into_iter().for_each(|change| tell(change, &link.interface));
        }
    }

    /// A client on the link of the port of this number may take another server's offer.
    pub(super) fn overheard(
        &mut self,
        config: &Config,
        ports: &[Port],
        port: usize,
        query: &Query<'_>,
        now: Timestamp,
    ) {
        let Some(server) = foreign_server(config, query) else { return };
        // Two interfaces may be on one network, where clients take the offer that came by either.
        if addresses(ports).iter().any(|(own, _)| *own == server) {
            return;
        }
        let Link { interface, watch, alarm } = &mut self.links[self.link_of[port]];
        if let Some(change) = watch.heard(server) {
            tell(change, interface);
        } else if watch.role() == Role::Server
            && let Some(requests) = alarm.ring(now)
        {
            let mac = query.hw;
            tracing::warn!(
                code = "foreign-dhcp-server", %server, %mac, interface, requests,
                "another DHCP server gives out addresses here: stop one of the two, or write mode = \"proxy\""
            );
        }
    }
}

/// Those of all served interfaces.
fn addresses(ports: &[Port]) -> Vec<(Ipv4Addr, u8)> {
    ports.iter().flat_map(|port| &port.interface.addresses).map(|own| (own.ip, own.prefix)).collect()
}

fn tell(change: Change, interface: &str) {
    match change {
        Change::Quiet => tracing::info!(
            interface,
            tries = QUIET_TRIES,
            "no other DHCP server answers: this one gives out addresses now"
        ),
        Change::Heard(server) => tracing::warn!(
            code = "foreign-dhcp-server", %server, interface,
            "another DHCP server is there: this one is its proxy now, and extends only the leases that it gave"
        ),
    }
}
