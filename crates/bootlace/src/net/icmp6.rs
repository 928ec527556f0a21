//! Router solicitations: heard and answered.

use std::io;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;

use bootlace_wire::ndp::ROUTER_SOLICITATION;
use socket2::{Domain, Protocol, Socket, Type};

use super::sockopt;

/// `ICMP6_FILTER` of `netinet/icmp6.h`: a bit set for each ICMPv6 type that is not delivered.
const ICMP6_FILTER: i32 = 1;
/// All routers on the link.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Neighbour discovery is for the link only: receivers drop whatever crossed a router (RFC 4861, 6.1.2).
const HOPS: u32 = 255;

/// A socket that receives the router solicitations of one interface. It is a raw ICMPv6 socket in the clothes of
/// a datagram one, since all that is done with it is `recvfrom` and `sendto`. Needs CAP_NET_RAW.
pub fn solicitations(interface: &str, ifindex: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    sockopt::set_bytes(socket.as_fd(), libc::IPPROTO_ICMPV6, ICMP6_FILTER, &filter())?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_unicast_hops_v6(HOPS)?;
    hear_solicitations(&socket, ifindex)?;
    Ok(socket.into())
}

/// Joins the group that solicitations are sent to. An interface that is still a member is fine.
pub(super) fn hear_solicitations(socket: &Socket, ifindex: u32) -> io::Result<()> {
    match socket.join_multicast_v6(&ALL_ROUTERS, ifindex) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
        joined => joined,
    }
}

/// Blocks every type but solicitations: eight words, one bit a type.
fn filter() -> [u8; 32] {
    let mut words = [u32::MAX; 8];
    words[usize::from(ROUTER_SOLICITATION) / 32] &= !(1 << (ROUTER_SOLICITATION % 32));
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}
