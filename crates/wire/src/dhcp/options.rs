//! The option list.

use std::net::Ipv4Addr;

use super::Code;

/// Options in the order in which they were set or received, each code once.
///
/// Reading is liberal: the fixed-size readers take the leading bytes of what is there, since some ROMs send
/// an option twice and RFC 3396 then joins the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(Code, Vec<u8>)>);

impl Options {
    /// The bytes of an option.
    pub fn get(&self, code: Code) -> Option<&[u8]> {
        self.0.iter().find(|(c, _)| *c == code).map(|(_, bytes)| bytes.as_slice())
    }

    /// Replaces an option in its place, or appends it.
    pub fn set(&mut self, code: Code, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        match self.0.iter_mut().find(|(c, _)| *c == code) {
            Some((_, old)) => *old = bytes,
            None => self.0.push((code, bytes)),
        }
    }

    /// Adds bytes to an option: how RFC 3396 reads one that arrived in pieces.
    pub(super) fn join(&mut self, code: Code, bytes: &[u8]) {
        match self.0.iter_mut().find(|(c, _)| *c == code) {
            Some((_, old)) => old.extend_from_slice(bytes),
            None => self.0.push((code, bytes.to_vec())),
        }
    }

    /// Takes an option out.
    pub fn remove(&mut self, code: Code) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(c, _)| *c == code)?;
        Some(self.0.remove(at).1)
    }

    /// All options in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Code, &[u8])> {
        self.0.iter().map(|(code, bytes)| (*code, bytes.as_slice()))
    }

    /// How many options there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No option at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn leading<const N: usize>(&self, code: Code) -> Option<[u8; N]> {
        self.get(code)?.first_chunk().copied()
    }

    /// An option of one byte.
    pub fn u8(&self, code: Code) -> Option<u8> {
        self.leading(code).map(u8::from_be_bytes)
    }

    /// An option of two bytes.
    pub fn u16(&self, code: Code) -> Option<u16> {
        self.leading(code).map(u16::from_be_bytes)
    }

    /// An option of four bytes.
    pub fn u32(&self, code: Code) -> Option<u32> {
        self.leading(code).map(u32::from_be_bytes)
    }

    /// An address, or the first of several.
    pub fn ip(&self, code: Code) -> Option<Ipv4Addr> {
        self.leading::<4>(code).map(Ipv4Addr::from)
    }

    /// All addresses of an option; none when it is absent.
    pub fn ips(&self, code: Code) -> impl Iterator<Item = Ipv4Addr> {
        let (quads, _) = self.get(code).unwrap_or_default().as_chunks::<4>();
        quads.iter().copied().map(Ipv4Addr::from)
    }

    /// Text up to the first NUL, which some clients send and count.
    pub fn text(&self, code: Code) -> Option<&[u8]> {
        self.get(code)?.split(|&b| b == 0).next()
    }

    /// Sets one byte.
    pub fn set_u8(&mut self, code: Code, value: u8) {
        self.set(code, [value]);
    }

    /// Sets two bytes.
    pub fn set_u16(&mut self, code: Code, value: u16) {
        self.set(code, value.to_be_bytes());
    }

    /// Sets four bytes.
    pub fn set_u32(&mut self, code: Code, value: u32) {
        self.set(code, value.to_be_bytes());
    }

    /// Sets one address.
    pub fn set_ip(&mut self, code: Code, address: Ipv4Addr) {
        self.set(code, address.octets());
    }

    /// Sets a list of addresses.
    pub fn set_ips(&mut self, code: Code, addresses: &[Ipv4Addr]) {
        self.set(code, addresses.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>());
    }

    /// Sets text, without a NUL.
    pub fn set_text(&mut self, code: Code, text: &str) {
        self.set(code, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_in_place_and_keeps_the_order() {
        let mut options = Options::default();
        options.set_ip(Code::ROUTER, Ipv4Addr::new(10, 0, 0, 1));
        options.set_u32(Code::LEASE_TIME, 3600);
        options.set_ips(Code::ROUTER, &[Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)]);
        let codes: Vec<Code> = options.iter().map(|(code, _)| code).collect();
        assert_eq!(codes, [Code::ROUTER, Code::LEASE_TIME]);
        assert_eq!(options.ips(Code::ROUTER).count(), 2);
        assert_eq!(options.ip(Code::ROUTER), Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(options.remove(Code::ROUTER).map(|bytes| bytes.len()), Some(8));
        assert_eq!(options.get(Code::ROUTER), None);
    }

    #[test]
    fn readers_take_leading_bytes_and_refuse_short_options() {
        let mut options = Options::default();
        options.set(Code::MESSAGE_TYPE, [1, 1]);
        options.set(Code::MAX_SIZE, [5]);
        options.set(Code::HOSTNAME, *b"pc1\0\0");
        assert_eq!(options.u8(Code::MESSAGE_TYPE), Some(1));
        assert_eq!(options.u16(Code::MAX_SIZE), None);
        assert_eq!(options.text(Code::HOSTNAME), Some(b"pc1".as_slice()));
        assert_eq!(options.ips(Code::DNS).count(), 0);
    }
}
