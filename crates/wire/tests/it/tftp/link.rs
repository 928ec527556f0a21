//! A bad network between one transfer and one client, in simulated time.

use std::collections::BTreeMap;
use std::time::Duration;

use bootlace_wire::tftp::{
    Admission, ContentInfo, Outcome, Output, Packet, Repeat, Transfer, admit, data_header,
};

use super::clients::{Client, State, Style};
use super::script::ETHERNET;

/// Chances in a thousand, per packet and direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// Chance of an extra delay that lets a dozen packets overtake.
    pub(crate) reordering: u64,
}

/// Time on the way without faults, and between two packets of a burst: a switch and 1 Gbit/s.
const DELAY: Duration = Duration::from_micros(150);
const SPACING: Duration = Duration::from_micros(12);
const EXTRA_DELAY_MICROS_MAX: u64 = 150;

/// A small generator (SplitMix64), so that a printed seed repeats a run for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn hits(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Server,
    Client,
}

/// What a run showed.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) client: State,
    pub(crate) received: Vec<u8>,
    pub(crate) outcome: Outcome,
    /// DATA packets of the server.
    pub(crate) data_packets: u64,
    pub(crate) retransmits: u64,
    /// Until the client was done.
    pub(crate) took: Duration,
}

pub(crate) struct Link {
    faults: Faults,
    random: Random,
    now: Duration,
    busy_until: [Duration; 2],
    flying: BTreeMap<(Duration, u64), (To, Vec<u8>)>,
    sent: u64,
    content: Vec<u8>,
    transfer: Option<Transfer>,
    client: Client,
    data_packets: u64,
}

/// Runs one download to its end. Panics when it does not end in `STEPS_MAX` events.
pub(crate) fn run(style: Style, content: Vec<u8>, faults: Faults, seed: u64) -> Report {
    Link {
        faults,
        random: Random(seed),
        now: Duration::from_secs(1),
        busy_until: [Duration::ZERO; 2],
        flying: BTreeMap::new(),
        sent: 0,
        content,
        transfer: None,
        client: Client::new(style),
        data_packets: 0,
    }
    .run()
}

const STEPS_MAX: usize = 3_000_000;

impl Link {
    fn run(mut self) -> Report {
        let rrq = self.client.start(self.now);
        self.send(To::Server, rrq);
        let mut took = None;
        for _ in 0..STEPS_MAX {
            let wait_until = self.serve();
            if matches!(self.client.state, State::Complete | State::GaveUp) {
                took.get_or_insert(self.now);
            }
            let client_at = took.is_none().then_some(self.client.deadline);
            let packet_at = self.flying.keys().next().map(|&(at, _)| at);
            let Some(next) = [wait_until, client_at, packet_at].into_iter().flatten().min() else {
                return self.report(took.unwrap_or_default());
            };
            self.now = self.now.max(next);
            if packet_at == Some(next) {
                self.deliver();
            } else if client_at == Some(next) {
                if let Some(again) = self.client.handle_timeout(self.now) {
                    self.send(To::Server, again);
                }
            } else if let Some(transfer) = &mut self.transfer {
                transfer.handle_timeout(self.now);
            }
        }
        panic!("no end in sight");
    }

    fn report(self, took: Duration) -> Report {
        let mut transfer = self.transfer.expect("a request got through");
        let Output::Done(outcome) = transfer.poll_output(self.now) else { panic!("not done") };
        Report {
            client: self.client.state,
            received: self.client.received,
            outcome,
            data_packets: self.data_packets,
            retransmits: transfer.retransmits(),
            took,
        }
    }

    /// Sends all that is due; the time to wait for, unless the transfer is over.
    fn serve(&mut self) -> Option<Duration> {
        let mut transfer = self.transfer.take()?;
        let wait = loop {
            match transfer.poll_output(self.now) {
                Output::SendPacket(packet) => self.send(To::Client, packet),
                Output::SendData(run) => {
                    let start = run.offset as usize;
                    let bytes = self.content[start..start + run.len].to_vec();
                    for (header, range) in run.packets() {
                        self.data_packets += 1;
                        self.send(To::Client, [&header[..], &bytes[range]].concat());
                    }
                    assert_eq!(run.packets().next().map(|p| p.0), Some(data_header(run.first_block)));
                }
                Output::WaitUntil(at) => break Some(at),
                Output::Done(_) => break None,
            }
        };
        self.transfer = Some(transfer);
        wait
    }

    fn deliver(&mut self) {
        let Some((_, (to, packet))) = self.flying.pop_first() else { return };
        if to == To::Client {
            if let Some(answer) = self.client.handle_packet(self.now, &packet) {
                self.send(To::Server, answer);
            }
            return;
        }
        match (Packet::decode(&packet), &mut self.transfer) {
            (Ok(Packet::Rrq(_)), None) => self.open(&packet),
            (Ok(Packet::Rrq(_)), Some(transfer)) => {
                let repeat = transfer.handle_repeated_request();
                let over = matches!(transfer.poll_output(self.now), Output::Done(_));
                // While this transfer lives, another one would not be heard by the client.
                if repeat == Repeat::New && over && self.client.state == State::Asking {
                    self.open(&packet);
                }
            }
            (_, Some(transfer)) => transfer.handle_packet(&packet),
            (_, None) => panic!("a packet before the request"),
        }
    }

    fn open(&mut self, rrq: &[u8]) {
        let Admission::Serve(request) = admit(rrq, 2070) else { panic!("refused") };
        let content = ContentInfo { len: self.content.len() as u64 };
        self.transfer = Some(Transfer::new(&request, content, &ETHERNET));
    }

    fn send(&mut self, to: To, packet: Vec<u8>) {
        let busy = &mut self.busy_until[to as usize];
        *busy = (*busy).max(self.now) + SPACING;
        let on_time = *busy + DELAY;
        let copies = 1 + u64::from(self.random.hits(self.faults.duplication));
        for _ in 0..copies {
            if self.random.hits(self.faults.loss) {
                continue;
            }
            let late = self.random.hits(self.faults.reordering);
            let extra = if late { self.random.next() % EXTRA_DELAY_MICROS_MAX } else { 0 };
            self.sent += 1;
            self.flying.insert((on_time + Duration::from_micros(extra), self.sent), (to, packet.clone()));
        }
    }
}
