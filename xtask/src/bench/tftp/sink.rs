//! A TFTP client that throws away what it gets, as cheaply as it can: the server is what is measured.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Silence after which the last packet is sent again: no server on this computer needs longer.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES_MAX: u32 = 5;
/// Room for the largest block.
const PACKET_BYTES_MAX: usize = 4 + 65464;

const DATA: u8 = 3;
const ERROR: u8 = 5;
const OACK: u8 = 6;

/// One file, please.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Fetch<'a> {
    pub(in crate::bench) server: SocketAddrV4,
    pub(in crate::bench) name: &'a str,
    pub(in crate::bench) blksize: u16,
    pub(in crate::bench) windowsize: u16,
}

/// Fetches a file and returns its size.
pub(in crate::bench) fn fetch(fetch: &Fetch<'_>) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    let request = request(fetch);
    let (len, from) = patiently(|| {
        socket.send_to(&request, fetch.server)?;
        socket.recv_from(&mut buffer)
    })?;
    // From here on the kernel drops what others send.
    socket.connect(from)?;
    let mut incoming = Incoming::new(&buffer[..len])?;
    if incoming.blksize != usize::from(fetch.blksize) {
        bail!("the server made blksize {} of {}", incoming.blksize, fetch.blksize);
    }
    let mut next = Next::Ack;
    while next != Next::Done {
        if next == Next::Ack {
            socket.send(&ack(incoming.block))?;
        }
        let len = match socket.recv(&mut buffer) {
            Err(error) if is_timeout(&error) => patiently(|| {
                socket.send(&ack(incoming.block))?;
                socket.recv(&mut buffer)
            })?,
            received => received?,
        };
        next = incoming.take(&buffer[..len])?;
    }
    socket.send(&ack(incoming.block))?;
    Ok(incoming.bytes)
}

/// Asks again as long as nothing comes.
fn patiently<T>(mut ask: impl FnMut() -> io::Result<T>) -> Result<T> {
    for _ in 0..TRIES_MAX {
        match ask() {
            Err(error) if is_timeout(&error) => {}
            answer => return Ok(answer?),
        }
    }
    bail!("the server does not answer")
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn request(fetch: &Fetch<'_>) -> Vec<u8> {
    let Fetch { name, blksize, windowsize, .. } = fetch;
    // A window of 1 is what a client has that does not know windows.
    let window = if *windowsize > 1 { format!("windowsize\0{windowsize}\0") } else { String::new() };
    format!("\0\x01{name}\0octet\0blksize\0{blksize}\0{window}").into_bytes()
}

fn ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

/// What the client does after a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    Ack,
    Done,
}

/// The receiving side of a transfer (RFC 1350, 7440).
#[derive(Debug)]
struct Incoming {
    blksize: usize,
    windowsize: u16,
    /// The last block that came in order.
    block: u16,
    /// Blocks since the last ACK.
    in_window: u16,
    bytes: u64,
}

impl Incoming {
    /// Starts with the first answer, which has to grant options.
    fn new(oack: &[u8]) -> Result<Self> {
        let Some(options) = oack.strip_prefix(&[0, OACK]) else { bail!("{}", describe(oack)) };
        let text = String::from_utf8_lossy(options);
        let fields: Vec<&str> = text.split_terminator('\0').collect();
        let granted = |wanted: &str| {
            let pair = fields.chunks_exact(2).find(|pair| pair[0].eq_ignore_ascii_case(wanted))?;
            pair[1].parse::<u16>().ok()
        };
        let blksize = usize::from(granted("blksize").context("the server grants no blksize")?);
        Ok(Self { blksize, windowsize: granted("windowsize").unwrap_or(1), block: 0, in_window: 0, bytes: 0 })
    }

    fn take(&mut self, packet: &[u8]) -> Result<Next> {
        let [0, DATA, high, low, payload @ ..] = packet else { bail!("{}", describe(packet)) };
        if u16::from_be_bytes([*high, *low]) != self.block.wrapping_add(1) {
            // A gap is reported once, by its first packet; the server starts anew behind `block`.
            let report = self.in_window > 0;
            self.in_window = 0;
            return Ok(if report { Next::Ack } else { Next::Wait });
        }
        self.block = self.block.wrapping_add(1);
        self.in_window += 1;
        self.bytes += payload.len() as u64;
        if payload.len() < self.blksize {
            return Ok(Next::Done);
        }
        if self.in_window < self.windowsize {
            return Ok(Next::Wait);
        }
        self.in_window = 0;
        Ok(Next::Ack)
    }
}

fn describe(packet: &[u8]) -> String {
    match packet {
        [0, ERROR, _, code, text @ ..] => format!("error {code}: {}", text.escape_ascii()),
        _ => format!("unexpected packet: {}", packet.get(..16).unwrap_or(packet).escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(block: u16, len: usize) -> Vec<u8> {
        let [high, low] = block.to_be_bytes();
        [vec![0, DATA, high, low], vec![7; len]].concat()
    }

    #[test]
    fn a_window_gets_one_ack_and_a_short_block_is_the_end() {
        let mut incoming = Incoming::new(b"\0\x06blksize\x008\0WindowSize\x002\0").unwrap();
        assert_eq!(incoming.take(&data(1, 8)).unwrap(), Next::Wait);
        assert_eq!(incoming.take(&data(2, 8)).unwrap(), Next::Ack);
        assert_eq!(incoming.take(&data(3, 3)).unwrap(), Next::Done);
        assert_eq!((incoming.block, incoming.bytes), (3, 19));
    }

    #[test]
    fn a_gap_is_reported_once_and_copies_do_not_count() {
        let mut incoming = Incoming::new(b"\0\x06blksize\x008\0windowsize\x004\0").unwrap();
        assert_eq!(incoming.take(&data(1, 8)).unwrap(), Next::Wait);
        assert_eq!(incoming.take(&data(3, 8)).unwrap(), Next::Ack);
        assert_eq!(incoming.take(&data(4, 8)).unwrap(), Next::Wait);
        assert_eq!(incoming.take(&data(1, 8)).unwrap(), Next::Wait);
        assert_eq!((incoming.block, incoming.bytes), (1, 8));
    }

    #[test]
    fn block_numbers_wrap() {
        let mut incoming = Incoming::new(b"\0\x06blksize\x008\0").unwrap();
        incoming.block = u16::MAX;
        assert_eq!(incoming.take(&data(0, 8)).unwrap(), Next::Ack);
        assert_eq!(incoming.block, 0);
    }

    #[test]
    fn errors_are_told() {
        assert_eq!(Incoming::new(b"\0\x05\0\x01none\0").unwrap_err().to_string(), "error 1: none\\x00");
        assert!(Incoming::new(b"\0\x06tsize\x001\0").is_err(), "without a blksize");
    }

    #[test]
    fn a_window_of_one_is_not_asked_for() {
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 69);
        let mut fetch = Fetch { server, name: "x", blksize: 1432, windowsize: 16 };
        assert_eq!(request(&fetch), b"\0\x01x\0octet\0blksize\x001432\0windowsize\x0016\0");
        fetch.windowsize = 1;
        assert_eq!(request(&fetch), b"\0\x01x\0octet\0blksize\x001432\0");
    }
}
