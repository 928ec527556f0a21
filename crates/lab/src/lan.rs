//! One Ethernet segment and what hangs on it.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::capture::{self, Capture};
use crate::daemon::Daemon;
use crate::ns::Namespace;
use bootlace_links::{Cidr, LinkAddr};

const BRIDGE: &str = "lan";
/// The name of a host's only link, the one that the documentation's examples use.
const HOST_LINK: &str = "eth0";
/// Locally administered, and none that QEMU or a test would choose.
const HOST_MAC_PREFIX: [u8; 5] = [0x02, 0xb0, 0x07, 0x1a, 0xce];

/// A bridge in a namespace of its own.
#[derive(Debug)]
pub struct Lan {
    ns: Namespace,
    ports: Cell<u8>,
}

/// A computer on a LAN, as far as the network can tell: a namespace with an `eth0`.
#[derive(Debug)]
pub struct Host {
    name: String,
    cidr: Cidr,
    mac: LinkAddr,
    ns: Namespace,
}

impl Lan {
    /// Makes an empty segment.
    pub fn new() -> Result<Self> {
        let ns = Namespace::new()?;
        // The segment itself is a wire, not a participant: it must not send router solicitations.
        ns.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        ns.links().add_bridge(BRIDGE)?;
        ns.links().up(BRIDGE)?;
        Ok(Self { ns, ports: Cell::new(0) })
    }

    /// The namespace of the bridge; machines' taps live here too.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.ns
    }

    /// Adds a host with a static address such as `10.188.0.10/24`.
    pub fn host(&self, name: &str, cidr: &str) -> Result<Host> {
        let cidr: Cidr = cidr.parse()?;
        let host = self.host_without_address(name, cidr)?;
        host.ns.links().add_addr(HOST_LINK, cidr)?;
        Ok(host)
    }

    /// Adds a host that has yet to ask for its address, for DHCP clients.
    pub fn client(&self, name: &str) -> Result<Host> {
        self.host_without_address(name, Cidr { addr: std::net::Ipv4Addr::UNSPECIFIED, prefix_len: 0 })
    }

    /// Makes a tap for a virtual machine and returns its name.
    pub fn tap(&self) -> Result<String> {
        let name = format!("tap{}", self.next_port());
        let made = self.ns.output(Command::new("ip").args(["tuntap", "add", "dev", &name, "mode", "tap"]))?;
        ensure!(made.status.success(), "make {name}: {}", String::from_utf8_lossy(&made.stderr).trim());
        self.attach(&name)?;
        Ok(name)
    }

    /// Captures everything that the segment carries to `DIR/NAME.pcap`.
    pub fn capture(&self, dir: &Path, name: &str) -> Result<Capture> {
        Capture::start(&self.ns, BRIDGE, dir, name)
    }

    /// Prints every packet that `filter` lets through, in the order in which they pass, to be waited for.
    pub fn print(&self, dir: &Path, name: &str, filter: &str) -> Result<Daemon> {
        capture::print(&self.ns, BRIDGE, dir, name, filter)
    }

    /// Takes a host's `eth0` away. Its addresses go with it.
    pub fn unplug(&self, host: &Host) -> Result<()> {
        host.ns.links().delete(HOST_LINK)
    }

    /// Gives a host an `eth0` again after [`Lan::unplug`]: another link with the former's MAC, and no address yet.
    pub fn plug(&self, host: &Host) -> Result<()> {
        self.connect(&host.ns, HOST_LINK, host.mac, self.next_port())
    }

    fn host_without_address(&self, name: &str, cidr: Cidr) -> Result<Host> {
        let ns = Namespace::new()?;
        // Without other IPv6 hosts, duplicate address detection would only delay the link.
        ns.sysctl("ipv6/conf/default/accept_dad", "0")?;
        let mac = self.connect_new(&ns, HOST_LINK)?;
        Ok(Host { name: name.to_owned(), cidr, mac, ns })
    }

    /// Gives a host of another LAN a second link, to this one: it becomes a router or a relay.
    pub fn join(&self, host: &Host, link: &str, cidr: &str) -> Result<()> {
        self.connect_new(&host.ns, link)?;
        host.ns.links().add_addr(link, cidr.parse()?)
    }

    fn connect_new(&self, ns: &Namespace, link: &str) -> Result<LinkAddr> {
        let port = self.next_port();
        let [a, b, c, d, e] = HOST_MAC_PREFIX;
        let mac = LinkAddr([a, b, c, d, e, port]);
        self.connect(ns, link, mac, port)?;
        Ok(mac)
    }

    fn connect(&self, ns: &Namespace, link: &str, mac: LinkAddr, port: u8) -> Result<()> {
        let port_name = format!("port{port}");
        self.ns.links().add_veth(&port_name, link, mac, std::os::fd::AsFd::as_fd(ns))?;
        self.attach(&port_name)?;
        ns.links().up(link)?;
        ns.links().wait_running(link)?;
        self.ns.links().wait_running(&port_name)
    }

    fn attach(&self, port: &str) -> Result<()> {
        self.ns.links().join(port, BRIDGE)?;
        self.ns.links().up(port)
    }

    fn next_port(&self) -> u8 {
        let port = self.ports.get() + 1;
        self.ports.set(port);
        port
    }
}

impl Host {
    /// Its name, for logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its static address; `0.0.0.0/0` for a client.
    #[must_use]
    pub fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// The link-layer address of its `eth0`.
    #[must_use]
    pub fn mac(&self) -> LinkAddr {
        self.mac
    }

    /// Where its processes run.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.ns
    }
}
