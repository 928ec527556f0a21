//! The host's interfaces.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use bootlace_wire::Mac;

/// An IPv4 address with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: Ipv4Addr,
    /// Leading one bits of its netmask.
    pub prefix: u8,
}

/// An interface as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its hardware address, if it is an Ethernet one.
    pub mac: Option<Mac>,
    /// Its IPv4 addresses, first the kernel's first.
    pub addresses: Vec<Address>,
    /// Largest IP datagram in bytes.
    pub mtu: u32,
    /// It is up and no loopback.
    pub usable: bool,
    /// Somebody is on the other end of its cable, as far as the driver can tell (IFF_RUNNING).
    pub running: bool,
}

/// All interfaces, by name.
pub fn interfaces() -> io::Result<BTreeMap<String, Interface>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: on success the kernel's list is stored in `list`, which is freed below and not used after.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = BTreeMap::new();
    let mut at = list;
    // SAFETY: `at` is null or a node of the list, which lives until freeifaddrs.
    while let Some(node) = unsafe { at.as_ref() } {
        add(&mut found, node);
        at = node.ifa_next;
    }
    // SAFETY: `list` came from getifaddrs and nothing of it is referenced any more.
    unsafe { libc::freeifaddrs(list) };
    // One that went away meanwhile, as containers' links do, is none.
    found.retain(|name, interface| mtu(name).map(|mtu| interface.mtu = mtu).is_ok());
    Ok(found)
}

fn add(found: &mut BTreeMap<String, Interface>, node: &libc::ifaddrs) {
    // SAFETY: ifa_name is a NUL-terminated string of the list.
    let Ok(name) = (unsafe { CStr::from_ptr(node.ifa_name) }).to_str() else { return };
    let name = device(name);
    let (up, loopback) = (libc::IFF_UP.cast_unsigned(), libc::IFF_LOOPBACK.cast_unsigned());
    let usable = node.ifa_flags & up != 0 && node.ifa_flags & loopback == 0;
    let running = node.ifa_flags & libc::IFF_RUNNING.cast_unsigned() != 0;
    let interface = found.entry(name.to_owned()).or_insert_with(|| Interface {
        name: name.to_owned(),
        index: 0,
        mac: None,
        addresses: Vec::new(),
        mtu: 0,
        usable,
        running,
    });
    // SAFETY: ifa_addr is null or points at a sockaddr whose family says which struct it is.
    let Some(family) = (unsafe { node.ifa_addr.as_ref() }).map(|address| i32::from(address.sa_family)) else {
        return;
    };
    match family {
        libc::AF_PACKET => {
            // SAFETY: the family says that it is a sockaddr_ll, which ifaddrs aligns for any sockaddr.
            let link = unsafe { ptr::read_unaligned(node.ifa_addr.cast::<libc::sockaddr_ll>()) };
            interface.index = link.sll_ifindex.cast_unsigned();
            let ethernet = link.sll_hatype == libc::ARPHRD_ETHER && link.sll_halen == 6;
            interface.mac = link.sll_addr.first_chunk().filter(|_| ethernet).map(|&bytes| Mac(bytes));
        }
        libc::AF_INET => {
            let Some(ip) = ipv4(node.ifa_addr) else { return };
            let netmask = ipv4(node.ifa_netmask).unwrap_or(Ipv4Addr::BROADCAST);
            interface.addresses.push(Address { ip, prefix: u32::from(netmask).leading_ones() as u8 });
        }
        _ => {}
    }
}

/// The interface of an address's label: `eth0:1` is what ifupdown and keepalived call a further address of eth0.
fn device(label: &str) -> &str {
    label.split_once(':').map_or(label, |(device, _)| device)
}

fn ipv4(address: *const libc::sockaddr) -> Option<Ipv4Addr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller knows that it is a sockaddr_in.
    let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
    Some(u32::from_be(address.sin_addr.s_addr).into())
}

fn mtu(name: &str) -> io::Result<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: an all-zero ifreq is a valid value of this plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(room)) {
        *to = from.cast_signed();
    }
    // SAFETY: `request` is a whole ifreq with a terminated name; the kernel writes the union's mtu.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFMTU succeeded, so that the mtu is the member that was written.
    Ok(unsafe { request.ifr_ifru.ifru_mtu }.max(0).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_known_and_not_usable() {
        let all = interfaces().unwrap();
        let lo = &all["lo"];
        assert!(!lo.usable && lo.index > 0 && lo.mtu >= 1500, "{lo:?}");
    }

    #[test]
    fn labels_are_no_interfaces() {
        assert_eq!(["eth0:1", "eth0", "br0:vip"].map(device), ["eth0", "eth0", "br0"]);
    }
}
