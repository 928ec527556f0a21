//! Relay agent information (option 82, RFC 3046).

use std::net::Ipv4Addr;

use super::{Code, Message};
use crate::cursor::Cursor;

/// The sub-options that a relay added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayInfo<'a> {
    subs: Vec<(u8, &'a [u8])>,
}

impl<'a> RelayInfo<'a> {
    const CIRCUIT_ID: u8 = 1;
    const REMOTE_ID: u8 = 2;
    const LINK_SELECTION: u8 = 5;
    const FLAGS: u8 = 10;
    const SERVER_ID_OVERRIDE: u8 = 11;
    const SOURCE_PORT: u8 = 19;
    /// RFC 5010 section 3.
    const FLAG_UNICAST: u8 = 0x80;

    /// Reads the bytes of option 82, which knows no padding and no end mark; a bad length ends it.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let mut from = Cursor::new(bytes);
        let subs = std::iter::from_fn(|| {
            let [code, len] = from.array()?;
            Some((code, from.take(usize::from(len))?))
        });
        Self { subs: subs.collect() }
    }

    /// A sub-option by number.
    pub fn get(&self, code: u8) -> Option<&'a [u8]> {
        self.subs.iter().find(|(c, _)| *c == code).map(|(_, bytes)| *bytes)
    }

    /// All sub-options in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        self.subs.iter().copied()
    }

    /// The port or circuit that the request came from.
    pub fn circuit_id(&self) -> Option<&'a [u8]> {
        self.get(Self::CIRCUIT_ID)
    }

    /// The host or modem at the end of that circuit.
    pub fn remote_id(&self) -> Option<&'a [u8]> {
        self.get(Self::REMOTE_ID)
    }

    /// The subnet that the client shall be in, when it is not that of `giaddr` (RFC 3527).
    pub fn link_selection(&self) -> Option<Ipv4Addr> {
        self.address(Self::LINK_SELECTION)
    }

    /// The address that the client shall see as its server (RFC 5107).
    pub fn server_id_override(&self) -> Option<Ipv4Addr> {
        self.address(Self::SERVER_ID_OVERRIDE)
    }

    /// The client sent this one to the relay alone (RFC 5010); `None` when the relay does not say.
    pub fn client_unicast(&self) -> Option<bool> {
        self.get(Self::FLAGS)?.first().map(|flags| flags & Self::FLAG_UNICAST != 0)
    }

    /// The relay wants its answers at the port that it sent from, which is not 67 (RFC 8357 section 5.1).
    pub fn uses_source_port(&self) -> bool {
        self.get(Self::SOURCE_PORT).is_some()
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.get(code)?).ok().map(Ipv4Addr::from)
    }

    pub(super) fn name(code: u8) -> Option<&'static str> {
        Some(match code {
            Self::CIRCUIT_ID => "circuit-id",
            Self::REMOTE_ID => "remote-id",
            Self::LINK_SELECTION => "link-selection",
            6 => "subscriber-id",
            9 => "vendor",
            Self::FLAGS => "flags",
            Self::SERVER_ID_OVERRIDE => "server-id-override",
            Self::SOURCE_PORT => "source-port",
            _ => return None,
        })
    }
}

impl Message {
    /// What the relay added. Trust it only where `giaddr` is set: a client could send it too.
    pub fn relay_info(&self) -> Option<RelayInfo<'_>> {
        self.options.get(Code::RELAY_INFO).map(RelayInfo::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_sub_options_that_matter() {
        let info = RelayInfo::parse(
            b"\x01\x04eth3\x02\x02ab\x05\x04\x0a\x00\x01\x00\x0a\x01\x80\x0b\x04\x0a\x00\x01\x01\x00\x00",
        );
        assert_eq!(info.circuit_id(), Some(&b"eth3"[..]));
        assert_eq!(info.remote_id(), Some(&b"ab"[..]));
        assert_eq!(info.link_selection(), Some(Ipv4Addr::new(10, 0, 1, 0)));
        assert_eq!(info.server_id_override(), Some(Ipv4Addr::new(10, 0, 1, 1)));
        assert_eq!(info.client_unicast(), Some(true));
        assert_eq!(info.get(0), Some(&[][..]), "0 is a sub-option here, not padding");
    }

    #[test]
    fn a_bad_length_ends_it() {
        let info = RelayInfo::parse(b"\x01\x01a\x05\x04\x0a\x00");
        assert_eq!(info.iter().count(), 1);
        assert_eq!(info.link_selection(), None);
        assert_eq!(RelayInfo::parse(b"\x05\x03abc").link_selection(), None);
    }
}
