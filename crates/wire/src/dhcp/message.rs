//! The fixed fields of a message.

use std::net::Ipv4Addr;

use super::{DATAGRAM_MIN, IP_UDP_HEADERS, Options};
use crate::HwAddr;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A client, `BOOTREQUEST`.
    Request,
    /// A server, `BOOTREPLY`.
    Reply,
}

/// A BOOTP or DHCP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request or reply.
    pub op: Op,
    /// `htype`, `hlen` and `chaddr`.
    pub hw: HwAddr,
    /// Relays passed so far; see [`super::HOPS_MAX`].
    pub hops: u8,
    /// Chosen by the client, and by GRUB badly: it is the time of day, so it tells clients apart only
    /// together with `hw`.
    pub xid: u32,
    /// Seconds since the client started, says the RFC; iPXE keeps its state in here, GRUB the time of day.
    pub secs: u16,
    /// The client cannot take unicast before it has an address.
    pub broadcast: bool,
    /// The address that the client has and uses.
    pub ciaddr: Ipv4Addr,
    /// The address that the server gives.
    pub yiaddr: Ipv4Addr,
    /// The server to load the boot file from, which need not be the DHCP server.
    pub siaddr: Ipv4Addr,
    /// The relay's address on the client's network.
    pub giaddr: Ipv4Addr,
    /// Server name, up to its NUL; at most 63 bytes are sent.
    pub sname: Vec<u8>,
    /// Boot file name, up to its NUL; at most 127 bytes are sent.
    pub file: Vec<u8>,
    /// Everything else. Empty for a BOOTP message without options.
    pub options: Options,
}

impl Message {
    /// A message with nothing set but who it is about.
    pub fn new(op: Op, hw: HwAddr, xid: u32) -> Self {
        Self {
            op,
            hw,
            hops: 0,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            sname: Vec::new(),
            file: Vec::new(),
            options: Options::default(),
        }
    }

    /// An empty reply with the fields that any reply copies from its request (RFC 2131 table 3).
    pub fn reply(&self) -> Self {
        Self { broadcast: self.broadcast, giaddr: self.giaddr, ..Self::new(Op::Reply, self.hw, self.xid) }
    }

    /// How many bytes of UDP payload the client can take on a link with this MTU: the `limit` of
    /// [`Message::encode`].
    ///
    /// Option 57 counts the whole datagram. EDK2 says 65280 in its REQUEST and then drops what exceeds its
    /// frame, others say less than a host must take: both ends are clamped. Without it the minimum holds.
    pub fn payload_limit(&self, mtu: u16) -> usize {
        let wish = self.max_size().unwrap_or(DATAGRAM_MIN);
        usize::from(wish.min(mtu).max(DATAGRAM_MIN) - IP_UDP_HEADERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mac;
    use crate::dhcp::Code;

    #[test]
    fn payload_limit_clamps_what_clients_claim() {
        let mut message = Message::new(Op::Request, Mac([2, 0, 0, 0, 0, 1]).into(), 1);
        assert_eq!(message.payload_limit(1500), 548);
        for (claim, mtu, limit) in [
            (1472, 1500, 1444),
            (0xff00, 1500, 1472),
            (0xff00, 9000, 8972),
            (64, 1500, 548),
            (1472, 100, 548),
        ] {
            message.options.set_u16(Code::MAX_SIZE, claim);
            assert_eq!(message.payload_limit(mtu), limit, "{claim} {mtu}");
        }
    }

    #[test]
    fn reply_copies_what_the_table_says() {
        let mut request = Message::new(Op::Request, Mac([2, 0, 0, 0, 0, 1]).into(), 7);
        request.broadcast = true;
        request.giaddr = Ipv4Addr::new(10, 0, 0, 1);
        request.secs = 4;
        request.file = b"wish".to_vec();
        let reply = request.reply();
        assert_eq!((reply.op, reply.xid, reply.hw, reply.broadcast), (Op::Reply, 7, request.hw, true));
        assert_eq!((reply.giaddr, reply.secs, reply.file.len()), (request.giaddr, 0, 0));
    }
}
