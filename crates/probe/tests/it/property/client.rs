//! A machine that is sent anything in any order: it ends within its limits, and until then it always has a deadline.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_probe::{Action, Client, Identity, Input, Kind};
use bootlace_wire::Mac;
use bootlace_wire::frame::{parse_udp_frame, udp_frame};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The fixed part of a message up to `file`, the magic cookie behind it, and where some fields are.
const FILE_AT: usize = 108;
const OPTIONS_AT: usize = 240;
const TIMEOUTS_MAX: u32 = 20_000;

/// The last things that the machine sent, which a server answers.
#[derive(Default)]
struct Sent {
    dhcp: Vec<u8>,
    udp: Option<SocketAddrV4>,
}

impl Sent {
    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::SendFrame(frame) => {
                    self.dhcp = parse_udp_frame(&frame).expect("a machine's frame is whole").payload.to_vec();
                }
                Action::SendUdp { to, bytes } => {
                    self.udp = Some(to);
                    // To a boot server it is a DHCP message.
                    if to.port() == 4011 {
                        self.dhcp = bytes;
                    }
                }
                _ => {}
            }
        }
    }

    /// A reply to the last message: a name, and options as they come.
    fn reply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut reply = self.dhcp.get(..OPTIONS_AT).unwrap_or_default().to_vec();
        let (name, options) =
            bytes.split_at(bytes.len().min(usize::from(bytes.first().copied().unwrap_or(0)) % 64));
        if reply.len() == OPTIONS_AT {
            reply[0] = 2;
            reply[16..20].copy_from_slice(&[10, 0, 0, name.len() as u8]);
            reply[20..24].copy_from_slice(&SERVER.octets());
            reply[FILE_AT..FILE_AT + name.len()].copy_from_slice(name);
        }
        reply.extend_from_slice(options);
        reply
    }
}

pub(crate) fn check(bytes: &[u8]) {
    play(bytes);
}

/// The machine at the end of its boot; none without a byte to choose it by.
pub(crate) fn play(bytes: &[u8]) -> Option<Client> {
    let (&first, mut rest) = bytes.split_first()?;
    let kind = Kind::ALL[usize::from(first) % Kind::ALL.len()];
    let mut now = Duration::ZERO;
    let mut sent = Sent::default();
    let (mut client, actions) = Client::start(kind, Identity { mac: MAC, uuid: [7; 16] }, 1, now);
    sent.take(actions);
    while let [op, len, tail @ ..] = rest {
        let (piece, tail) = tail.split_at(tail.len().min(usize::from(*len) * 4));
        rest = tail;
        now += Duration::from_millis(1);
        sent.take(one(&mut client, *op, piece, &sent, &mut now));
        assert_eq!(client.deadline().is_none(), client.outcome().is_some());
    }
    for _ in 0..TIMEOUTS_MAX {
        let Some(deadline) = client.deadline() else { return Some(client) };
        now = now.max(deadline);
        client.handle(now, Input::Timeout);
    }
    panic!("silence does not end the boot: {:?}", client.report().steps().last());
}

fn one(client: &mut Client, op: u8, piece: &[u8], sent: &Sent, now: &mut Duration) -> Vec<Action> {
    let from = sent.udp.unwrap_or(SocketAddrV4::new(SERVER, 69));
    match op % 12 {
        0..3 => {
            let (from, to) = (SocketAddrV4::new(SERVER, 67), SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
            let frame = udp_frame(MAC, Mac([2, 0, 0, 0, 0, 2]), from, to, &sent.reply(piece));
            client.handle(*now, Input::Frame(&frame))
        }
        3 => client.handle(*now, Input::Frame(piece)),
        4 => client.handle(*now, Input::Udp { from, bytes: &sent.reply(piece) }),
        5 | 6 => client.handle(*now, Input::Udp { from, bytes: piece }),
        7 => client.handle(*now, Input::Connected),
        8 | 9 => client.handle(*now, Input::Tcp(piece)),
        10 => client.handle(*now, if piece.is_empty() { Input::TcpClosed } else { Input::TcpFailed }),
        _ => {
            *now = client.deadline().unwrap_or(*now).max(*now);
            client.handle(*now, Input::Timeout)
        }
    }
}
