//! The option list.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Range;

use super::Code;

/// Room for what most messages hold, so that a list is allocated once.
const USUAL_OPTIONS: usize = 16;
const USUAL_BYTES: usize = 128;

/// Options in the order in which they were set or received, each code once.
///
/// Reading is liberal: the fixed-size readers take the leading bytes of what is there, since some ROMs send
/// an option twice and RFC 3396 then joins the two.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Each code, and where its value ends in `values`; it begins where the one before ends.
    index: Vec<(Code, usize)>,
    /// All values in one piece: an allocation for each option would cost more than the rest of decoding.
    values: Vec<u8>,
}

impl Options {
    /// The bytes of an option.
    pub fn get(&self, code: Code) -> Option<&[u8]> {
        self.place(code).map(|at| &self.values[self.span(at)])
    }

    /// Replaces an option in its place, or appends it.
    pub fn set(&mut self, code: Code, bytes: impl AsRef<[u8]>) {
        match self.place(code) {
            Some(at) => self.replace(at, self.span(at), bytes.as_ref()),
            None => self.push(code, bytes.as_ref()),
        }
    }

    /// Adds bytes to an option: how RFC 3396 reads one that arrived in pieces.
    pub(super) fn join(&mut self, code: Code, bytes: &[u8]) {
        match self.place(code) {
            Some(at) => {
                let end = self.span(at).end;
                self.replace(at, end..end, bytes);
            }
            None => self.push(code, bytes),
        }
    }

    /// Takes an option out.
    pub fn remove(&mut self, code: Code) -> Option<Vec<u8>> {
        let at = self.place(code)?;
        let span = self.span(at);
        let value = self.values[span.clone()].to_vec();
        self.replace(at, span, &[]);
        self.index.remove(at);
        Some(value)
    }

    /// All options in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Code, &[u8])> {
        let option = |(at, (code, _)): (usize, &(Code, usize))| (*code, &self.values[self.span(at)]);
        self.index.iter().enumerate().map(option)
    }

    /// How many options there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// No option at all.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn place(&self, code: Code) -> Option<usize> {
        self.index.iter().position(|(c, _)| *c == code)
    }

    /// Where the value of the option at this place is.
    fn span(&self, at: usize) -> Range<usize> {
        let start = at.checked_sub(1).map_or(0, |before| self.index[before].1);
        start..self.index[at].1
    }

    fn push(&mut self, code: Code, bytes: &[u8]) {
        if self.index.capacity() == 0 {
            self.index.reserve(USUAL_OPTIONS);
            self.values.reserve(USUAL_BYTES);
        }
        self.values.extend_from_slice(bytes);
        self.index.push((code, self.values.len()));
    }

    /// Puts other bytes for a part of the value at this place; what is behind it moves.
    fn replace(&mut self, at: usize, part: Range<usize>, bytes: &[u8]) {
        let removed = part.len();
        self.values.splice(part, bytes.iter().copied());
        for (_, end) in &mut self.index[at..] {
            *end = *end + bytes.len() - removed;
        }
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

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_changed_option_stays() {
        let mut options = Options::default();
        options.set(Code::HOSTNAME, "pc1");
        options.set(Code::DOMAIN, "example.com");
        options.set(Code::ROUTER, [10, 0, 0, 1]);
        let rest = |options: &Options| {
            assert_eq!(options.get(Code::DOMAIN), Some(b"example.com".as_slice()));
            assert_eq!(options.ip(Code::ROUTER), Some(Ipv4Addr::new(10, 0, 0, 1)));
        };
        for (longer, shorter) in [("workstation", "x"), ("pc2", "")] {
            options.set(Code::HOSTNAME, longer);
            rest(&options);
            options.set(Code::HOSTNAME, shorter);
            rest(&options);
            assert_eq!(options.get(Code::HOSTNAME), Some(shorter.as_bytes()));
        }
        options.join(Code::HOSTNAME, b"a");
        options.join(Code::HOSTNAME, b"b");
        rest(&options);
        assert_eq!(options.remove(Code::HOSTNAME).as_deref(), Some(b"ab".as_slice()));
        rest(&options);
        assert_eq!(options.get(Code::HOSTNAME), None);
        let mut same = Options::default();
        same.set(Code::DOMAIN, "example.com");
        same.set_ip(Code::ROUTER, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(options, same, "however it came to be");
    }

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
