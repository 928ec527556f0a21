//! A network without wires: a DHCP server, a TFTP server and an HTTP server as a test needs them, and a clock that jumps.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_probe::{Action, Client, Identity, Input, Kind, Outcome};
use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Code, Message, MessageType, PXE_PORT};
use bootlace_wire::frame::{parse_udp_frame, udp_frame};
use bootlace_wire::tftp::{ErrorCode, Packet, TransferOptions, error_packet};

pub(crate) const WHO: Identity = Identity {
    mac: Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
    uuid: [0x4c, 0x4c, 0x45, 0x44, 0, 0x51, 0x35, 0x10, 0x80, 0x56, 0xb5, 0xc0, 0x4f, 0x4c, 0x35, 0x32],
};
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 10);
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 11);
pub(crate) const LEASED: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 61);
/// One way, between any two.
const TRIP: Duration = Duration::from_millis(1);
/// Inputs after which a boot counts as endless: more than any good one takes by far.
const INPUTS_MAX: u32 = 200_000;

/// What a server sends back, and who it says it is.
pub(crate) type Answers = Vec<(Ipv4Addr, Message)>;

/// What the network does to a packet on its way to the machine.
pub(crate) type Damage<'a> = &'a mut dyn FnMut(&mut Vec<u8>);

pub(crate) struct World {
    /// Answers to a broadcast.
    pub(crate) dhcp: fn(&Message) -> Answers,
    /// Answers on port 4011.
    pub(crate) boot_server: fn(&Message) -> Option<Message>,
    pub(crate) tftp: BTreeMap<&'static str, Vec<u8>>,
    /// What is added to the true size in an OACK.
    pub(crate) tsize_lie: u64,
    pub(crate) oack: fn(TransferOptions) -> Option<TransferOptions>,
    /// Whole answers, by path.
    pub(crate) http: BTreeMap<&'static str, Vec<u8>>,
    /// Packets that are lost: every so many-th, none for 0.
    pub(crate) loss: u32,
}

enum Event {
    Frame(Vec<u8>),
    Udp(SocketAddrV4, Vec<u8>),
    UdpRefused,
    Connected,
    Tcp(Vec<u8>),
    TcpClosed,
    TcpFailed,
}

struct Transfer {
    bytes: Vec<u8>,
    blksize: usize,
    window: usize,
    /// The last ACK, and how often it came: a window is sent again once, however many ACKs ask for that.
    acked: (u16, u32),
}

impl Default for World {
    fn default() -> Self {
        Self {
            dhcp: |_| Vec::new(),
            boot_server: |_| None,
            tftp: BTreeMap::new(),
            tsize_lie: 0,
            oack: Some,
            http: BTreeMap::new(),
            loss: 0,
        }
    }
}

/// A reply with what every lease has.
pub(crate) fn lease(request: &Message) -> Message {
    let mut reply = request.reply();
    let kind = if request.message_type() == Some(MessageType::Discover) {
        MessageType::Offer
    } else {
        MessageType::Ack
    };
    reply.yiaddr = LEASED;
    reply.siaddr = SERVER;
    reply.options.set_u8(Code::MESSAGE_TYPE, kind.code());
    reply.options.set_ip(Code::SERVER_ID, SERVER);
    reply.options.set_u32(Code::LEASE_TIME, 3600);
    reply.options.set_ip(Code::SUBNET_MASK, Ipv4Addr::new(255, 255, 255, 0));
    reply.options.set_ip(Code::ROUTER, Ipv4Addr::new(10, 188, 0, 1));
    reply
}

pub(crate) fn named(mut reply: Message, file: &str) -> Message {
    reply.file = file.as_bytes().to_vec();
    reply
}

/// A server that gives iPXE the second file and others the first.
pub(crate) fn classic(request: &Message) -> Answers {
    let is_ipxe = request.user_classes().is_some_and(|class| class.has(b"iPXE"));
    let is_efi = request.arch().first().is_some_and(|arch| arch.0 != 0);
    let file = match (is_ipxe, is_efi) {
        (true, _) => "http://10.188.0.10/boot.ipxe",
        (false, true) => "snponly.efi",
        (false, false) => "undionly.kpxe",
    };
    vec![(SERVER, named(lease(request), file))]
}

pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    answer
}

/// The beginning of a kernel.
pub(crate) fn kernel(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.max(0x206)];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}

/// A loader that only its name tells.
pub(crate) fn loader(len: usize) -> Vec<u8> {
    let mut bytes = vec![0xf4; len];
    bytes[..2].copy_from_slice(b"MZ");
    bytes
}

impl World {
    pub(crate) fn boot(&self, kind: Kind) -> Client {
        self.boot_through(kind, &mut |_| {})
    }

    /// Boots a machine to its end, whatever `damage` does to what it is sent.
    pub(crate) fn boot_through(&self, kind: Kind, damage: Damage<'_>) -> Client {
        let mut now = Duration::ZERO;
        let (mut client, actions) = Client::start(kind, WHO, 7, now);
        let mut events: VecDeque<Event> = VecDeque::new();
        let mut transfer = None;
        let mut lost = 0;
        self.carry_out(actions, &mut transfer, &mut events);
        for _ in 0..INPUTS_MAX {
            let Some(deadline) = client.deadline() else { return client };
            let actions = match events.pop_front() {
                Some(event) => {
                    now += TRIP;
                    lost += 1;
                    if self.loss > 0
                        && lost % self.loss == 0
                        && matches!(event, Event::Frame(_) | Event::Udp(..))
                    {
                        continue;
                    }
                    deliver(&mut client, event, now, damage)
                }
                None => {
                    now = now.max(deadline);
                    client.handle(now, Input::Timeout)
                }
            };
            self.carry_out(actions, &mut transfer, &mut events);
        }
        panic!("the boot does not end: {:#?}", client.report().steps().last());
    }

    fn carry_out(&self, actions: Vec<Action>, transfer: &mut Option<Transfer>, events: &mut VecDeque<Event>) {
        for action in actions {
            match action {
                Action::SendFrame(frame) => self.answer_frame(&frame, events),
                Action::OpenUdp { .. } => *transfer = None,
                Action::SendUdp { to, bytes } if to.port() == PXE_PORT => {
                    let request = Message::decode(&bytes).expect("a client's own packet decodes");
                    match (self.boot_server)(&request) {
                        Some(reply) => events.push_back(Event::Udp(to, reply.encode(1472).bytes)),
                        None => events.push_back(Event::UdpRefused),
                    }
                }
                Action::SendUdp { to, bytes } if *to.ip() == SERVER => self.tftp(&bytes, transfer, events),
                Action::Connect(to) if *to.ip() == SERVER && to.port() == 80 => {
                    events.push_back(Event::Connected);
                }
                Action::Connect(_) => events.push_back(Event::TcpFailed),
                Action::SendTcp(bytes) => self.http(&bytes, events),
                Action::CloseTcp => {
                    events.retain(|event| {
                        !matches!(event, Event::Tcp(_) | Event::TcpClosed | Event::TcpFailed)
                    });
                }
                Action::SetAddress(_) | Action::SendUdp { .. } => {}
            }
        }
    }

    fn answer_frame(&self, frame: &[u8], events: &mut VecDeque<Event>) {
        let datagram = parse_udp_frame(frame).expect("a client's own frame parses");
        let request = Message::decode(datagram.payload).expect("a client's own packet decodes");
        for (server, reply) in (self.dhcp)(&request) {
            let (from, to) = (SocketAddrV4::new(server, 67), SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
            let bytes = reply.encode(1472).bytes;
            events.push_back(Event::Frame(udp_frame(
                Mac::BROADCAST,
                Mac([2, 0, 0, 0, 0, 1]),
                from,
                to,
                &bytes,
            )));
        }
    }

    fn tftp(&self, bytes: &[u8], transfer: &mut Option<Transfer>, events: &mut VecDeque<Event>) {
        let mut send = |bytes| events.push_back(Event::Udp(SocketAddrV4::new(SERVER, 3000), bytes));
        match Packet::decode(bytes).expect("a client's own packet decodes") {
            Packet::Rrq(request) => {
                let name = String::from_utf8_lossy(request.name);
                let Some(file) = self.tftp.get(name.trim_start_matches('/')) else {
                    return send(error_packet(ErrorCode::NotFound, "file not found"));
                };
                let asked = TransferOptions {
                    tsize: request.options.tsize.map(|_| file.len() as u64 + self.tsize_lie),
                    ..request.options
                };
                let granted = (self.oack)(asked).unwrap_or_default();
                *transfer = Some(Transfer {
                    bytes: file.clone(),
                    blksize: usize::from(granted.blksize.unwrap_or(512)),
                    window: usize::from(granted.windowsize.unwrap_or(1)),
                    acked: (u16::MAX, 0),
                });
                if !granted.is_empty() {
                    return send(Packet::Oack(granted).to_vec());
                }
                window(transfer.as_ref(), 0).for_each(send);
            }
            Packet::Ack(block) => {
                if let Some(transfer) = transfer {
                    let again = if transfer.acked.0 == block { transfer.acked.1 + 1 } else { 0 };
                    transfer.acked = (block, again);
                }
                // Now and then again, so that what is lost again comes again.
                if transfer.as_ref().is_some_and(|transfer| matches!(transfer.acked.1, 0 | 1 | 10 | 100)) {
                    window(transfer.as_ref(), usize::from(block)).for_each(send);
                }
            }
            _ => *transfer = None,
        }
    }

    fn http(&self, bytes: &[u8], events: &mut VecDeque<Event>) {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut answer = self
            .http
            .get(path)
            .cloned()
            .unwrap_or_else(|| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
        if method == "HEAD" {
            let end =
                answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
            answer.truncate(end);
        }
        events.extend(answer.chunks(4096).map(|piece| Event::Tcp(piece.to_vec())));
        events.push_back(Event::TcpClosed);
    }
}

/// The blocks that follow block `acked`.
fn window(transfer: Option<&Transfer>, acked: usize) -> impl Iterator<Item = Vec<u8>> {
    let blocks = transfer.map_or_else(Vec::new, |transfer| {
        let count = transfer.bytes.len() / transfer.blksize + 1;
        (acked + 1..=count.min(acked + transfer.window))
            .map(|block| {
                let from = (block - 1) * transfer.blksize;
                let bytes = &transfer.bytes[from..transfer.bytes.len().min(from + transfer.blksize)];
                Packet::Data { block: block as u16, bytes }.to_vec()
            })
            .collect()
    });
    blocks.into_iter()
}

fn deliver(client: &mut Client, event: Event, now: Duration, damage: Damage<'_>) -> Vec<Action> {
    match event {
        Event::Frame(mut frame) => {
            damage(&mut frame);
            client.handle(now, Input::Frame(&frame))
        }
        Event::Udp(from, mut bytes) => {
            damage(&mut bytes);
            client.handle(now, Input::Udp { from, bytes: &bytes })
        }
        Event::Tcp(mut bytes) => {
            damage(&mut bytes);
            client.handle(now, Input::Tcp(&bytes))
        }
        Event::UdpRefused => client.handle(now, Input::UdpRefused),
        Event::Connected => client.handle(now, Input::Connected),
        Event::TcpClosed => client.handle(now, Input::TcpClosed),
        Event::TcpFailed => client.handle(now, Input::TcpFailed),
    }
}

/// How it ended.
pub(crate) fn outcome(client: &Client) -> &Outcome {
    client.outcome().expect("the boot has ended")
}
