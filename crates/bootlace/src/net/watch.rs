//! Being told when links and addresses change, and following an interface that was made anew.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use socket2::SockRef;

use super::icmp6;

/// `RTMGRP_LINK` and `RTMGRP_IPV4_IFADDR` of `linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10;

/// A non-blocking netlink socket that is readable whenever a link or an IPv4 address was added, changed or removed.
/// What its messages say is not of interest: [`super::interfaces`] tells what is there now, which is also true when
/// the kernel had no room for a message.
pub fn link_events() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol: NETLINK_ROUTE is number 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    Ok(socket)
}

/// Binds a socket that was bound to an interface to the one that now has this name. The kernel holds interfaces by
/// index, so that a socket of one that was deleted and made again hears nothing. The port, the options and what
/// waits in the buffer stay. Needs CAP_NET_RAW.
pub fn follow_interface(socket: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    SockRef::from(&socket).bind_device(Some(interface.as_bytes()))
}

/// The same for a socket of [`super::solicitations`], whose membership went with the old interface.
pub fn follow_with_solicitations(socket: BorrowedFd<'_>, interface: &str, ifindex: u32) -> io::Result<()> {
    follow_interface(socket, interface)?;
    icmp6::hear_solicitations(&SockRef::from(&socket), ifindex)
}
