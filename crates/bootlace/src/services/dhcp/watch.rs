//! The questions that find another DHCP server, and what their answers change.

use std::io;

use bootlace_core::config::Config;
use bootlace_core::dhcp::{Change, QUIET_TRIES, Query, Role, Watch, foreign_server};
use bootlace_core::model::Timestamp;
use bootlace_wire::Mac;
use bootlace_wire::dhcp::{CLIENT_PORT, Message, SERVER_PORT};
use bootlace_wire::frame::udp_frame;
use rustix::rand::{GetRandomFlags, getrandom};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::alarm::Alarm;
use super::port::{Ear, Port};
use crate::net::{Frame, PacketSocket};

/// What Bootlace is on its networks, and who else is there.
pub struct Neighbourhood {
    watch: Watch,
    /// A foreign server beside `mode = "server"` is told again and again, though not with each of its clients.
    alarm: Alarm,
}

impl Neighbourhood {
    /// Begins as `config` says.
    pub fn new(config: &Config, now: Timestamp) -> io::Result<Self> {
        let mut random = [0; 6];
        getrandom(&mut random, GetRandomFlags::empty())?;
        Ok(Self { watch: Watch::new(config, random, now), alarm: Alarm::default() })
    }

    pub(super) fn role(&self) -> Role {
        self.watch.role()
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Sends the question that is due.
    pub(super) fn ask(&mut self, ports: &[Port], frames: &PacketSocket, now: Timestamp) {
        let Some((question, change)) = self.watch.ask(now) else { return };
        change.into_iter().for_each(tell);
        let Some(mac) = question.hw.mac() else { return };
        let bytes = question.encode(question.payload_limit(u16::MAX)).bytes;
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
        let frame = udp_frame(Mac::BROADCAST, mac, from, to, &bytes);
        for port in ports.iter().filter(|port| matches!(port.ear, Ear::Watch(_))) {
            if let Err(error) = frames.send(&[Frame { bytes: &frame, ifindex: port.interface.index }]) {
                tracing::debug!(%error, interface = port.interface.name, "cannot ask for other DHCP servers");
            }
        }
    }

    /// An answer to it.
    pub(super) fn answered(&mut self, config: &Config, port: &Port, reply: &Message) {
        let local: Vec<_> = port.interface.addresses.iter().map(|own| (own.ip, own.prefix)).collect();
        if let Some(server) = self.watch.answered(config, &local, reply) {
            self.watch.heard(server).into_iter().for_each(tell);
        }
    }

    /// A client on the link may take another server's offer.
    pub(super) fn overheard(&mut self, config: &Config, query: &Query<'_>, now: Timestamp) {
        let Some(server) = foreign_server(config, query) else { return };
        if let Some(change) = self.watch.heard(server) {
            tell(change);
        } else if self.role() == Role::Server
            && let Some(requests) = self.alarm.ring(now)
        {
            let (mac, interface) = (query.hw, &query.received.interface);
            tracing::warn!(
                code = "foreign-dhcp-server", %server, %mac, interface, requests,
                "another DHCP server gives out addresses here: stop one of the two, or write mode = \"proxy\""
            );
        }
    }
}

fn tell(change: Change) {
    match change {
        Change::Quiet => tracing::info!(
            tries = QUIET_TRIES,
            "no other DHCP server answers: this one gives out addresses now"
        ),
        Change::Heard(server) => tracing::warn!(
            code = "foreign-dhcp-server", %server,
            "another DHCP server is there: this one is its proxy now, and extends only the leases that it gave"
        ),
    }
}
