//! A client that does what a test tells it.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use bootlace_wire::tftp::{ErrorCode, Mode, Packet, Request, TransferOptions};

use super::LIMIT;

/// A window may lose its end, which only a wait can tell; far less than the server's own second.
const WINDOW_PATIENCE: Duration = Duration::from_millis(20);

pub(super) struct Client {
    socket: UdpSocket,
    server: SocketAddrV4,
}

/// What came, from which port.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) from: SocketAddrV4,
}

impl Answer {
    pub(super) fn packet(&self) -> Packet<'_> {
        Packet::decode(&self.bytes).unwrap()
    }

    /// Number and text of an ERROR.
    pub(super) fn error(&self) -> (u16, String) {
        match self.packet() {
            Packet::Error { code, text } => (code.number(), String::from_utf8(text.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn oack(&self) -> TransferOptions {
        match self.packet() {
            Packet::Oack(options) => options,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn data(&self) -> (u16, &[u8]) {
        match self.packet() {
            Packet::Data { block, bytes } => (block, bytes),
            other => panic!("{other:?}"),
        }
    }
}

/// Options that ask for a block size and a window.
pub(super) fn options(blksize: u16, windowsize: u16) -> TransferOptions {
    TransferOptions { blksize: Some(blksize), windowsize: Some(windowsize), ..Default::default() }
}

/// Options that ask for the size.
pub(super) fn tsize() -> TransferOptions {
    TransferOptions { tsize: Some(0), ..Default::default() }
}

impl Client {
    pub(super) fn new(server: SocketAddrV4, own: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((own, 0)).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, server }
    }

    /// Sends bytes to the request port.
    pub(super) fn ask(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).unwrap();
    }

    pub(super) fn read(&self, name: &[u8], options: TransferOptions) {
        self.ask(&Packet::Rrq(Request { name, mode: Mode::Octet, options }).to_vec());
    }

    pub(super) fn send(&self, packet: &Packet<'_>, to: SocketAddrV4) {
        self.socket.send_to(&packet.to_vec(), to).unwrap();
    }

    pub(super) fn ack(&self, block: u16, to: SocketAddrV4) {
        self.send(&Packet::Ack(block), to);
    }

    pub(super) fn abort(&self, code: ErrorCode, to: SocketAddrV4) {
        self.send(&Packet::Error { code, text: b"User aborted" }, to);
    }

    pub(super) fn receive(&self) -> Answer {
        self.try_receive().expect("an answer")
    }

    /// Nothing waits to be received.
    pub(super) fn has_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.try_receive().is_none();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }

    fn try_receive(&self) -> Option<Answer> {
        let mut bytes = vec![0; 65_536];
        let (len, from) = self.socket.recv_from(&mut bytes).ok()?;
        bytes.truncate(len);
        let std::net::SocketAddr::V4(from) = from else { panic!("{from}") };
        Some(Answer { bytes, from })
    }

    /// Fetches a whole file.
    pub(super) fn get(&self, name: &[u8], options: TransferOptions) -> Vec<u8> {
        self.read(name, options);
        let first = self.receive();
        self.go_on(&first, |_| true)
    }

    /// Receives what comes after the `first` answer, but for the packets that the network loses: those for which
    /// `arrives` says no.
    pub(super) fn go_on(&self, first: &Answer, mut arrives: impl FnMut(u16) -> bool) -> Vec<u8> {
        let (granted, mut waiting) = match first.packet() {
            Packet::Oack(granted) => (granted, None),
            Packet::Data { .. } => (TransferOptions::default(), Some(first.bytes.clone())),
            other => panic!("{other:?}"),
        };
        let blksize = usize::from(granted.blksize.unwrap_or(512));
        let (mut file, mut last, mut in_window) = (Vec::new(), 0_u16, 0);
        self.socket.set_read_timeout(Some(WINDOW_PATIENCE)).unwrap();
        if waiting.is_none() {
            self.ack(0, first.from);
        }
        let mut silent = 0;
        loop {
            let Some(bytes) = waiting.take().or_else(|| Some(self.try_receive()?.bytes)) else {
                silent += 1;
                assert!(WINDOW_PATIENCE * silent < LIMIT, "the server went silent after block {last}");
                self.ack(last, first.from);
                continue;
            };
            silent = 0;
            let Packet::Data { block, bytes } = Packet::decode(&bytes).unwrap() else { panic!("no DATA") };
            if !arrives(block) {
                continue;
            }
            if block != last.wrapping_add(1) {
                if in_window > 0 {
                    in_window = 0;
                    self.ack(last, first.from);
                }
                continue;
            }
            last = block;
            in_window += 1;
            file.extend_from_slice(bytes);
            let end = bytes.len() < blksize;
            if end || in_window == granted.windowsize.unwrap_or(1) {
                in_window = 0;
                self.ack(last, first.from);
            }
            if end {
                self.socket.set_read_timeout(Some(LIMIT)).unwrap();
                return file;
            }
        }
    }
}
