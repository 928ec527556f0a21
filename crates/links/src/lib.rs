//! Links of one network namespace: made, joined, addressed and brought up over netlink.
//!
//! About 200 lines of our own rather than the `rtnetlink` crate: the lab and `bootlace probe` need a dozen synchronous
//! requests, and the crate would bring an async runtime and some twenty packages whose interfaces break several times a
//! year. Errors are `anyhow`: whoever uses this does nothing with a failure but show it to a person.
#![forbid(unsafe_code)]

mod netlink;

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use netlink::{
    Intent, RTM_DELLINK, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, Request, Socket, attr,
};

/// Attributes of `linux/if_link.h`, `linux/if_addr.h` and `linux/veth.h`.
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_MODE_BRIDGE: u32 = 4;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const RT_SCOPE_LINK: u8 = 253;
const HOST_PREFIX: u8 = 32;
const IFF_UP: u32 = 1;
/// RFC 2863's "up", which a link is only when its queue takes packets.
const IF_OPER_UP: u8 = 6;
const AF_INET: u8 = 2;

/// The kernel takes up to a second; this is for a busy computer.
const CARRIER_LIMIT: Duration = Duration::from_secs(30);
const CARRIER_PAUSE: Duration = Duration::from_millis(1);

/// A link-layer address as six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAddr(pub [u8; 6]);

impl FromStr for LinkAddr {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().with_context(|| format!("{text} is too short for a MAC address"))?;
            *byte = u8::from_str_radix(part, 16).with_context(|| format!("{text} is no MAC address"))?;
        }
        ensure!(parts.next().is_none(), "{text} is too long for a MAC address");
        Ok(Self(bytes))
    }
}

/// An IPv4 address with the length of its network's prefix, such as `10.188.0.10/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address itself.
    pub addr: Ipv4Addr,
    /// How many of its bits name the network.
    pub prefix_len: u8,
}

impl Cidr {
    /// The address that reaches every host of the network.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        let host_bits = u32::MAX.checked_shr(u32::from(self.prefix_len)).unwrap_or(0);
        Ipv4Addr::from_bits(self.addr.to_bits() | host_bits)
    }
}

impl FromStr for Cidr {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (addr, prefix_len) =
            text.split_once('/').with_context(|| format!("{text} lacks a prefix length"))?;
        let addr = addr.parse().with_context(|| format!("{addr} is no IPv4 address"))?;
        let prefix_len = prefix_len.parse().with_context(|| format!("{prefix_len} is no prefix length"))?;
        ensure!(prefix_len <= 32, "{text}: a prefix has at most 32 bits");
        Ok(Self { addr, prefix_len })
    }
}

/// The kinds of link that sit on top of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stacked {
    /// A further address on the lower link, used by the host.
    Macvlan,
    /// The same, but its frames go to whoever opens `/dev/tapINDEX`.
    Macvtap,
}

impl Stacked {
    /// What the kernel calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Macvtap => "macvtap",
        }
    }
}

/// The links of one namespace.
#[derive(Debug)]
pub struct Links(Socket);

impl Links {
    /// For the namespace that the calling thread is in.
    pub fn of_this_thread() -> Result<Self> {
        Ok(Self(Socket::open()?))
    }

    /// The index of the link called `name`.
    pub fn index(&self, name: &str) -> Result<u32> {
        self.0.index(name)
    }

    /// Makes a bridge. It floods multicast rather than snooping, since nobody on a lab network sends the
    /// queries that snooping depends on.
    pub fn add_bridge(&self, name: &str) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, Intent::Create, &ifinfo(0, Flags::Keep))
            .attr_str(IFLA_IFNAME, name)
            .nested(IFLA_LINKINFO, &[], |info| {
                info.attr_str(IFLA_INFO_KIND, "bridge")
                    .nested(IFLA_INFO_DATA, &[], |data| data.attr(IFLA_BR_MCAST_SNOOPING, &[0]))
            });
        self.0.request(request).with_context(|| format!("make bridge {name}"))
    }

    /// Makes a pair of joined links: `name` here, `peer` with its address in the namespace `peer_ns`.
    pub fn add_veth(
        &self,
        name: &str,
        peer: &str,
        peer_mac: LinkAddr,
        peer_ns: BorrowedFd<'_>,
    ) -> Result<()> {
        let ns_fd = u32::try_from(peer_ns.as_raw_fd()).expect("an open descriptor is not negative");
        let request = Request::new(RTM_NEWLINK, Intent::Create, &ifinfo(0, Flags::Keep))
            .attr_str(IFLA_IFNAME, name)
            .nested(IFLA_LINKINFO, &[], |info| {
                info.attr_str(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, &[], |data| {
                    data.nested(VETH_INFO_PEER, &ifinfo(0, Flags::Keep), |far| {
                        far.attr_str(IFLA_IFNAME, peer)
                            .attr(IFLA_ADDRESS, &peer_mac.0)
                            .attr_u32(IFLA_NET_NS_FD, ns_fd)
                    })
                })
            });
        self.0.request(request).with_context(|| format!("make veth pair {name} and {peer}"))
    }

    /// Makes a macvlan or macvtap (bridge mode) on `lower`.
    pub fn add_stacked(&self, kind: Stacked, name: &str, lower: &str, mac: LinkAddr) -> Result<()> {
        self.stack(kind, name, lower, mac, |request| request)
    }

    /// The same for the namespace `ns`. There it goes away with the namespace.
    pub fn add_stacked_in(
        &self,
        kind: Stacked,
        name: &str,
        lower: &str,
        mac: LinkAddr,
        ns: BorrowedFd<'_>,
    ) -> Result<()> {
        let ns_fd = u32::try_from(ns.as_raw_fd()).expect("an open descriptor is not negative");
        self.stack(kind, name, lower, mac, |request| request.attr_u32(IFLA_NET_NS_FD, ns_fd))
    }

    fn stack(
        &self,
        kind: Stacked,
        name: &str,
        lower: &str,
        mac: LinkAddr,
        place: impl FnOnce(Request) -> Request,
    ) -> Result<()> {
        let kind_name = kind.name();
        let request = Request::new(RTM_NEWLINK, Intent::Create, &ifinfo(0, Flags::Keep))
            .attr_str(IFLA_IFNAME, name)
            .attr(IFLA_ADDRESS, &mac.0)
            .attr_u32(IFLA_LINK, self.index(lower)?);
        let request = place(request).nested(IFLA_LINKINFO, &[], |info| {
            info.attr_str(IFLA_INFO_KIND, kind_name)
                .nested(IFLA_INFO_DATA, &[], |data| data.attr_u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE))
        });
        self.0.request(request).with_context(|| format!("make {kind_name} {name} on {lower}"))
    }

    /// What `name` is and the index of the link that it sits on, if it is such a link and both are in this namespace.
    pub fn stacked(&self, name: &str) -> Result<Option<(Stacked, u32)>> {
        let look = Request::new(RTM_GETLINK, Intent::Look, &ifinfo(self.index(name)?, Flags::Keep));
        let link = self.0.link(look).with_context(|| format!("look at {name}"))?;
        let kind = attr(&link, IFLA_LINKINFO).and_then(|info| attr(info, IFLA_INFO_KIND)).and_then(|kind| {
            let kind = kind.strip_suffix(&[0]).unwrap_or(kind);
            [Stacked::Macvlan, Stacked::Macvtap].into_iter().find(|known| known.name().as_bytes() == kind)
        });
        let lower = attr(&link, IFLA_LINK).and_then(|index| Some(u32::from_ne_bytes(*index.first_chunk()?)));
        Ok(kind.zip(lower).filter(|_| attr(&link, IFLA_LINK_NETNSID).is_none()))
    }

    /// Puts `name` under a bridge.
    pub fn join(&self, name: &str, bridge: &str) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, Intent::Change, &ifinfo(self.index(name)?, Flags::Keep))
            .attr_u32(IFLA_MASTER, self.index(bridge)?);
        self.0.request(request).with_context(|| format!("put {name} under {bridge}"))
    }

    /// Brings `name` up.
    pub fn up(&self, name: &str) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, Intent::Change, &ifinfo(self.index(name)?, Flags::Up));
        self.0.request(request).with_context(|| format!("bring {name} up"))
    }

    /// Waits until `name` carries packets. The kernel hears of a carrier on a thread of its own, and until then
    /// it drops what is sent, which costs a DHCP client its first offer.
    pub fn wait_running(&self, name: &str) -> Result<()> {
        let index = self.index(name)?;
        let deadline = Instant::now() + CARRIER_LIMIT;
        loop {
            let look = Request::new(RTM_GETLINK, Intent::Look, &ifinfo(index, Flags::Keep));
            let state = self.0.link_attr(look, IFLA_OPERSTATE).with_context(|| format!("look at {name}"))?;
            if state == [IF_OPER_UP] {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{name} has no carrier");
            thread::sleep(CARRIER_PAUSE);
        }
    }

    /// Takes `name` down: what a pulled cable looks like to the other end.
    pub fn down(&self, name: &str) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, Intent::Change, &ifinfo(self.index(name)?, Flags::Down));
        self.0.request(request).with_context(|| format!("take {name} down"))
    }

    /// Sets the longest packet that `name` carries.
    pub fn set_mtu(&self, name: &str, mtu: u32) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, Intent::Change, &ifinfo(self.index(name)?, Flags::Keep))
            .attr_u32(IFLA_MTU, mtu);
        self.0.request(request).with_context(|| format!("set the MTU of {name} to {mtu}"))
    }

    /// Removes `name`.
    pub fn delete(&self, name: &str) -> Result<()> {
        let request = Request::new(RTM_DELLINK, Intent::Change, &ifinfo(self.index(name)?, Flags::Keep));
        self.0.request(request).with_context(|| format!("remove {name}"))
    }

    /// Gives `name` an address.
    pub fn add_addr(&self, name: &str, cidr: Cidr) -> Result<()> {
        // struct ifaddrmsg: family, prefix length, flags, scope (0: universe), index.
        let mut fixed = vec![AF_INET, cidr.prefix_len, 0, 0];
        fixed.extend(self.index(name)?.to_ne_bytes());
        let request = Request::new(RTM_NEWADDR, Intent::Create, &fixed)
            .attr_ipv4(IFA_LOCAL, cidr.addr)
            .attr_ipv4(IFA_ADDRESS, cidr.addr)
            .attr_ipv4(IFA_BROADCAST, cidr.broadcast());
        self.0.request(request).with_context(|| format!("give {name} the address {}", cidr.addr))
    }

    /// Makes `addr` a neighbour on `name`, whatever network it is of. Goes away with the link.
    pub fn add_host_route(&self, name: &str, addr: Ipv4Addr) -> Result<()> {
        // struct rtmsg, as below.
        let fixed = [
            AF_INET,
            HOST_PREFIX,
            0,
            0,
            RT_TABLE_MAIN,
            RTPROT_STATIC,
            RT_SCOPE_LINK,
            RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        let request = Request::new(RTM_NEWROUTE, Intent::Create, &fixed)
            .attr_ipv4(RTA_DST, addr)
            .attr_u32(RTA_OIF, self.index(name)?);
        self.0.request(request).with_context(|| format!("route {addr} to {name}"))
    }

    /// Sends everything that has no better route to `gateway` by way of `name`.
    pub fn add_default_route(&self, name: &str, gateway: Ipv4Addr) -> Result<()> {
        // struct rtmsg: family, destination and source prefix, TOS, table, protocol, scope, type, flags.
        let fixed = [AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, RTN_UNICAST, 0, 0, 0, 0];
        let request = Request::new(RTM_NEWROUTE, Intent::Create, &fixed)
            .attr_u32(RTA_OIF, self.index(name)?)
            .attr_ipv4(RTA_GATEWAY, gateway);
        self.0.request(request).with_context(|| format!("route everything to {gateway}"))
    }
}

#[derive(Clone, Copy)]
enum Flags {
    Keep,
    Up,
    Down,
}

/// `struct ifinfomsg`: family, padding, device type, index, flags, mask of the flags to change.
fn ifinfo(index: u32, flags: Flags) -> [u8; 16] {
    let (value, mask) = match flags {
        Flags::Keep => (0, 0),
        Flags::Up => (IFF_UP, IFF_UP),
        Flags::Down => (0, IFF_UP),
    };
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&value.to_ne_bytes());
    fixed[12..16].copy_from_slice(&mask.to_ne_bytes());
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse_and_wrong_ones_do_not() {
        let cidr: Cidr = "10.188.0.10/24".parse().unwrap();
        assert_eq!(cidr.broadcast(), Ipv4Addr::new(10, 188, 0, 255));
        assert_eq!("10.0.0.1/32".parse::<Cidr>().unwrap().broadcast(), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!("10.0.0.1/0".parse::<Cidr>().unwrap().broadcast(), Ipv4Addr::BROADCAST);
        for wrong in ["10.0.0.1", "10.0.0.1/33", "10.0.0/8", "/8"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
        assert_eq!("00:12:34:56:78:9a".parse::<LinkAddr>().unwrap().0, [0, 0x12, 0x34, 0x56, 0x78, 0x9a]);
        for wrong in ["00:12:34:56:78", "00:12:34:56:78:90:11", "00:12:34:56:78:zz"] {
            assert!(wrong.parse::<LinkAddr>().is_err(), "{wrong}");
        }
    }
}
