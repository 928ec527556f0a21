//! The interface that machines are played on, and the namespace that has their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bootlace_links::{Cidr, LinkAddr, Links, Stacked};
use bootlace_probe::Address;
use bootlace_wire::{Mac, arp};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::Place;
use crate::net::{self, FrameSocket, Interface};
use crate::services::stand_in::STAND_IN_LINK;

/// The link in the namespace.
const LINK: &str = "probe";
/// How long a MAC or a name that is taken is tried for. The kernel takes a namespace down within a second.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Its MAC when no machine gives it one: locally administered.
const DEFAULT_MAC: Mac = Mac([0x02, 0xb0, 0x07, 0x1a, 0xce, 0xff]);

/// The calling thread's network.
pub(super) struct Network {
    frames: FrameSocket,
    /// The station's.
    mac: Mac,
    links: Links,
    /// What the host itself has.
    host: BTreeSet<Ipv4Addr>,
    /// Where the server is on a link with this host alone.
    local: Option<Local>,
    out_of_reach: BTreeSet<Ipv4Addr>,
    has_route: bool,
    buffer: Vec<u8>,
}

/// This host's end of the pair, with the server on it.
struct Local {
    links: Links,
    /// It serves the link until this is closed.
    _served: UnixStream,
}

/// Room for any datagram, and for as much of a stream as is read at once.
const BUFFER_LEN: usize = 64 << 10;

impl Network {
    /// Takes the calling thread out of the host's network for good.
    pub(super) fn open(place: Place<'_>, mac: Option<Mac>) -> Result<Self> {
        let mac = mac.unwrap_or(DEFAULT_MAC);
        let all = net::interfaces().context("cannot look at the interfaces")?;
        let host = all.values().flat_map(|one| one.addresses.iter().map(|address| address.ip)).collect();
        let (frames, links, local) = match place {
            Place::Network(interface) => {
                let (frames, links) = on_network(interface, &all, mac)?;
                (frames, links, None)
            }
            Place::Local(serve) => {
                let (frames, links, local) = on_local_link(serve, mac)?;
                (frames, links, Some(local))
            }
        };
        let (out_of_reach, buffer) = (BTreeSet::new(), Vec::new());
        Ok(Self { frames, mac, links, host, local, out_of_reach, has_route: false, buffer })
    }

    /// Takes the link away now. Otherwise the kernel does so with the namespace, at its leisure.
    pub(super) fn close(self) -> BTreeSet<Ipv4Addr> {
        let _ = self.links.delete(LINK);
        self.out_of_reach
    }

    /// Room to receive into, which is used again.
    pub(super) fn lend_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BUFFER_LEN, 0);
        buffer
    }

    pub(super) fn take_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    pub(super) fn frames(&self) -> &FrameSocket {
        &self.frames
    }

    /// Gives a machine its address. One that it had already, as after a second DHCP, stays.
    pub(super) fn add(&mut self, address: Address) {
        if let Some(local) = &self.local {
            // Otherwise this host would look for the machine on the network that the address is of.
            let _ = local.links.add_host_route(STAND_IN_LINK, address.ip);
        }
        let cidr = Cidr { addr: address.ip, prefix_len: address.prefix.min(32) };
        // What cannot be set shows at the next fetch.
        let _ = self.links.add_addr(LINK, cidr);
        // A crowd shares one station, while a server may have noted each machine's own beside its address.
        let _ = self.frames.send(&arp::announcement(self.mac, address.ip));
        if let Some(router) = address.router.filter(|_| !self.has_route) {
            self.has_route = self.links.add_default_route(LINK, router).is_ok();
        }
    }

    /// Notes that a machine wants to reach `to`.
    pub(super) fn note(&mut self, to: SocketAddrV4) {
        if self.host.contains(to.ip()) == self.local.is_none() {
            self.out_of_reach.insert(*to.ip());
        }
    }
}

/// Frames on the interface itself, since a machine has no address yet, and a macvlan on it in a namespace.
fn on_network(interface: &str, all: &BTreeMap<String, Interface>, mac: Mac) -> Result<(FrameSocket, Links)> {
    let lower = all.get(interface).with_context(|| {
        let names: Vec<_> = all.keys().map(String::as_str).collect();
        format!("there is no interface {interface}: use one of {}", names.join(", "))
    })?;
    ensure!(lower.usable, "{interface} is down or a loopback: machines are played on an Ethernet that is up");
    let frames = FrameSocket::bind(lower.index).with_context(|| {
        format!("cannot open a packet socket on {interface} (as root, or with CAP_NET_RAW)")
    })?;
    let outside = Links::of_this_thread()?;
    let (links, inside) = enter_namespace()?;
    add_macvlan(&outside, interface, mac, &links, &inside)?;
    links.wait_running(LINK)?;
    Ok((frames, links))
}

/// A pair of links, one in a namespace, the other one here and served.
fn on_local_link(
    serve: &(dyn Fn() -> Result<UnixStream> + Sync),
    mac: Mac,
) -> Result<(FrameSocket, Links, Local)> {
    let outside = Links::of_this_thread()?;
    let (links, inside) = enter_namespace()?;
    add_pair(&outside, mac, &inside)?;
    links.up(LINK)?;
    outside.up(STAND_IN_LINK)?;
    links.wait_running(LINK)?;
    outside.wait_running(STAND_IN_LINK)?;
    let frames = FrameSocket::bind(links.index(LINK)?).context("cannot open a packet socket")?;
    let served = serve().inspect_err(|_| {
        // Now, and not when the kernel comes to it: whoever looks next shall find nothing.
        let _ = links.delete(LINK);
    })?;
    Ok((frames, links, Local { links: outside, _served: served }))
}

/// The links of the namespace that the calling thread is in from now on, and the namespace.
fn enter_namespace() -> Result<(Links, File)> {
    let inside = net::enter_new_network()
        .context("cannot make a network namespace (as root, or with CAP_SYS_ADMIN)")?;
    // Played machines speak IPv4 only; the kernel would greet the network by IPv6 for them.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let links = Links::of_this_thread()?;
    links.up("lo")?;
    Ok((links, inside))
}

/// Makes the pair. That of a probe that was ended just now may still be there.
fn add_pair(outside: &Links, mac: Mac, inside: &File) -> Result<()> {
    let give_up = Instant::now() + BUSY_LIMIT;
    loop {
        let added = outside.add_veth(STAND_IN_LINK, LINK, LinkAddr(mac.0), inside.as_fd());
        let Err(error) = added else { return Ok(()) };
        let is_taken = error.root_cause().downcast_ref() == Some(&Errno::EXIST);
        if !is_taken {
            return Err(error.context("cannot make a pair of links (as root, or with CAP_NET_ADMIN)"));
        }
        if Instant::now() >= give_up {
            bail!("there is a link {STAND_IN_LINK} already: another probe with --local is under way");
        }
        thread::sleep(BUSY_PAUSE);
    }
}

/// Makes the macvlan and brings it up. That of a probe that was ended just now may still be there; the kernel looks at
/// MACs that are taken when a link is made, and again when it goes up.
fn add_macvlan(outside: &Links, interface: &str, mac: Mac, links: &Links, inside: &File) -> Result<()> {
    let give_up = Instant::now() + BUSY_LIMIT;
    loop {
        let added =
            outside.add_stacked_in(Stacked::Macvlan, LINK, interface, LinkAddr(mac.0), inside.as_fd());
        let is_added = added.is_ok();
        let Err(error) = added.and_then(|()| links.up(LINK)) else { return Ok(()) };
        let is_busy = error.root_cause().downcast_ref() == Some(&Errno::ADDRINUSE);
        if is_added {
            links.delete(LINK)?;
        }
        if is_busy && Instant::now() < give_up {
            thread::sleep(BUSY_PAUSE);
            continue;
        }
        return Err(error.context(if is_busy {
            format!("{mac} is taken: {interface} or another program's link on it has it")
        } else {
            format!("{interface} takes no macvlan (as root, or with CAP_NET_ADMIN)")
        }));
    }
}

/// A UDP socket of a machine.
pub(super) fn udp(at: Ipv4Addr, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(at, port).into())?;
    Ok(socket)
}

/// A TCP connection of a machine, under way.
pub(super) fn tcp(at: Ipv4Addr, to: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(at, 0).into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => Ok(socket),
        Err(error) => Err(error),
        Ok(()) => Ok(socket),
    }
}
