//! An initiator of PDUs over a real socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bootlace_wire::iscsi::{Algorithm, Digests, Pdu, Secret};
use socket2::{Domain, Socket, Type};

/// Only ends what hangs.
const HANG: Duration = Duration::from_secs(60);
pub(crate) const GOOD: u8 = 0;
pub(crate) const CHECK_CONDITION: u8 = 2;

pub(crate) struct Answer {
    pub(crate) header: [u8; 48],
    pub(crate) data: Vec<u8>,
}

pub(crate) struct Initiator {
    stream: TcpStream,
    unread: Vec<u8>,
    pub(crate) number: u32,
}

impl Initiator {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST, to)
    }

    pub(crate) fn connect_from(source: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(HANG)).unwrap();
        Self { stream, unread: Vec::new(), number: 1 }
    }

    pub(crate) fn send(&mut self, mut header: [u8; 48], data: &[u8]) {
        header[5..8].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
        header[24..28].copy_from_slice(&self.number.to_be_bytes());
        let mut bytes = [&header[..], data].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next answer; `None` when the server has closed the connection.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        loop {
            let pdu = Pdu::parse(&self.unread, Digests::default(), u32::MAX).unwrap();
            if let Some(pdu) = pdu {
                let answer = Answer { header: pdu.header.0, data: pdu.data.to_vec() };
                let used = pdu.bytes;
                self.unread.drain(..used);
                return Some(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Logs in and tells the status.
    pub(crate) fn login(&mut self, isid: u8, keys: &str) -> u16 {
        let mut header = [0; 48];
        (header[0], header[1], header[13]) = (0x43, 0x87, isid);
        self.send(header, keys.as_bytes());
        let answer = self.answer().expect("an answer").header;
        u16::from_be_bytes([answer[36], answer[37]])
    }

    /// Logs in by CHAP and tells the status.
    pub(crate) fn login_by_chap(&mut self, isid: u8, keys: &str, (name, secret): (&str, &str)) -> u16 {
        let mut step = |flags: u8, keys: &str| {
            let mut header = [0; 48];
            (header[0], header[1], header[13]) = (0x43, flags, isid);
            self.send(header, keys.as_bytes());
            let answer = self.answer().expect("an answer");
            let text = String::from_utf8(answer.data).unwrap();
            let status = u16::from_be_bytes([answer.header[36], answer.header[37]]);
            if status == 0 { Ok(text) } else { Err(status) }
        };
        let mut conversation = || {
            step(0x81, &format!("{keys}AuthMethod=CHAP\0"))?;
            let asked = step(0x81, "CHAP_A=7\0")?;
            let value = |key: &str| {
                let mut pairs = asked.split('\0').filter_map(|pair| pair.split_once('='));
                pairs.find(|(known, _)| *known == key).expect("what CHAP asks").1.to_owned()
            };
            let challenge = value("CHAP_C");
            let hex = challenge.strip_prefix("0x").unwrap();
            let bytes: Vec<u8> = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let secret = Secret::new(secret.as_bytes()).unwrap();
            let response = Algorithm::Sha256.response(value("CHAP_I").parse().unwrap(), &secret, &bytes);
            let response: String = response.iter().map(|byte| format!("{byte:02x}")).collect();
            step(0x81, &format!("CHAP_N={name}\0CHAP_R=0x{response}\0"))?;
            step(0x87, "")
        };
        conversation().err().unwrap_or(0)
    }

    /// A command with immediate data: status and data of the answer.
    pub(crate) fn command(
        &mut self,
        flags: u8,
        announced: u32,
        cdb: &[u8],
        data: &[u8],
    ) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 48];
        (header[0], header[1], header[19]) = (0x01, flags, 1);
        header[20..24].copy_from_slice(&announced.to_be_bytes());
        header[32..32 + cdb.len()].copy_from_slice(cdb);
        self.send(header, data);
        self.number += 1;
        let answer = self.answer()?;
        Some((answer.header[3], answer.data))
    }

    /// A command without data in its PDU, whose answer is left to be read.
    pub(crate) fn request(&mut self, flags: u8, task: u8, announced: u32, cdb: &[u8]) {
        let mut header = [0; 48];
        (header[0], header[1], header[19]) = (0x01, flags, task);
        header[20..24].copy_from_slice(&announced.to_be_bytes());
        header[32..32 + cdb.len()].copy_from_slice(cdb);
        self.send(header, &[]);
        self.number += 1;
    }

    /// A command whose data come when they are asked for: the answer to it.
    pub(crate) fn announce(&mut self, task: u8, announced: u32, cdb: &[u8]) -> Option<Answer> {
        self.request(0xa0, task, announced, cdb);
        self.answer()
    }

    /// All data that an R2T asks for.
    pub(crate) fn data_out(&mut self, asked: &Answer, data: &[u8]) {
        let mut header = [0; 48];
        (header[0], header[1]) = (0x05, 0x80);
        header[16..24].copy_from_slice(&asked.header[16..24]);
        self.send(header, data);
    }

    /// Task management of a function and a logical unit, with the tag of the command that it concerns: the response.
    pub(crate) fn manage(&mut self, function: u8, lun: [u8; 8], about: u8) -> u8 {
        let mut header = [0; 48];
        (header[0], header[1], header[19], header[23]) = (0x42, 0x80 | function, 99, about);
        header[8..16].copy_from_slice(&lun);
        self.send(header, &[]);
        let answer = self.answer().expect("an answer").header;
        assert_eq!((answer[0], answer[19]), (0x22, 99));
        answer[2]
    }

    /// TEST UNIT READY: its status, and the additional sense code of one that fails.
    pub(crate) fn ready(&mut self) -> Option<(u8, u8)> {
        let (status, data) = self.command(0x80, 0, &[0], &[])?;
        Some((status, data.get(14).copied().unwrap_or(0)))
    }

    pub(crate) fn write(&mut self, block: u8, byte: u8) -> u8 {
        let cdb = [0x2a, 0, 0, 0, 0, block, 0, 0, 1, 0];
        self.command(0xa0, 512, &cdb, &[byte; 512]).expect("an answer").0
    }

    pub(crate) fn read(&mut self, block: u8) -> Vec<u8> {
        self.command(0xc0, 512, &[0x28, 0, 0, 0, 0, block, 0, 0, 1, 0], &[]).expect("an answer").1
    }
}
