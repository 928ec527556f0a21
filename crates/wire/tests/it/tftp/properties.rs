//! What holds for every input.

use std::time::Duration;

use bootlace_wire::tftp::{
    ContentInfo, ErrorCode, Limits, Output, Packet, Transfer, clean_name, limits, raw_options,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::script::request;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1000,
        rng_seed: RngSeed::Fixed(0x7f7f),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Bytes that are almost a packet: an opcode and words between NULs.
fn almost_packet() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "(blksize|tsize|timeout|windowsize|octet|netascii|mail|multicast)",
        "[0-9]{0,22}",
        "[a-zA-Z./\\\\]{0,12}",
    ];
    let text = prop::collection::vec(word, 0..12).prop_map(|words| words.join("\0").into_bytes());
    let tail = prop_oneof![Just(vec![]), Just(vec![0]), prop::collection::vec(any::<u8>(), 0..8)];
    (0u8..9, text, tail).prop_map(|(opcode, text, tail)| [&[0, opcode][..], &text, &tail].concat())
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![almost_packet(), prop::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_decodes_says_the_same_when_encoded_again(bytes in datagram()) {
        prop_assert!(raw_options(&bytes).count() <= bytes.len());
        if let Ok(packet) = Packet::decode(&bytes) {
            let again = packet.to_vec();
            prop_assert_eq!(Packet::decode(&again), Ok(packet));
        }
    }

    #[test]
    fn clean_names_are_plain_relative_paths(raw in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        "(tftp://)?([a-z./\\\\\u{85}]{0,8}[/\\\\])*[a-z. ]{0,300}".prop_map(String::into_bytes),
    ]) {
        if let Ok(name) = clean_name(&raw) {
            prop_assert!(name.len() <= limits::NAME_LEN_MAX);
            prop_assert!(!name.chars().any(|c| c.is_control() || c == '\\'));
            prop_assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")));
            prop_assert_eq!(clean_name(name.as_bytes()), Ok(name));
        }
    }
}

/// One thing that happens to a transfer.
#[derive(Clone, Debug)]
enum Event {
    /// An ACK this far from the first block without one.
    AckNear(i16),
    AckAny(u16),
    Datagram(Vec<u8>),
    WaitMillis(u16),
    Repeat,
    Unreachable,
    Fail,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (-2i16..70).prop_map(Event::AckNear),
        3 => any::<u16>().prop_map(Event::AckAny),
        3 => datagram().prop_map(Event::Datagram),
        8 => (0u16..9000).prop_map(Event::WaitMillis),
        2 => Just(Event::Repeat),
        1 => prop_oneof![9 => Just(Event::Repeat), 1 => Just(Event::Unreachable), 1 => Just(Event::Fail)],
    ]
}

/// A transfer with everything that must hold of it.
struct Watched {
    transfer: Transfer,
    len: u64,
    limits: Limits,
    /// Guessed from outside: the first block without ACK, and the first never sent.
    unacked: u64,
    end: u64,
    proven: bool,
    packets_unproven: u32,
    acked_bytes: u64,
    now: Duration,
}

impl Watched {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::AckNear(ahead) => self.ack((self.unacked as u16).wrapping_add_signed(*ahead)),
            Event::AckAny(block) => self.ack(*block),
            Event::Datagram(bytes) => match Packet::decode(bytes) {
                Ok(Packet::Ack(block)) => self.ack(block),
                _ => self.transfer.handle_packet(bytes),
            },
            Event::WaitMillis(millis) => {
                self.now += Duration::from_millis(u64::from(*millis));
                self.transfer.handle_timeout(self.now);
            }
            Event::Repeat => drop(self.transfer.handle_repeated_request()),
            Event::Unreachable => self.transfer.handle_unreachable(),
            Event::Fail => self.transfer.fail(ErrorCode::Undefined, "read failed"),
        }
    }

    fn ack(&mut self, block: u16) {
        if let Some(acked) = (self.unacked..self.end).find(|&sent| sent as u16 == block) {
            self.unacked = acked + 1;
            self.proven = true;
        }
        self.transfer.handle_packet(&Packet::Ack(block).to_vec());
    }

    /// Polls until nothing is due.
    fn drain(&mut self) {
        for _ in 0..=limits::WINDOWSIZE_MAX {
            match self.transfer.poll_output(self.now) {
                Output::SendPacket(packet) => {
                    assert!(packet.len() < 100);
                    self.end = self.end.max(1);
                    self.count_packets(1);
                }
                Output::SendData(run) => {
                    assert!(run.offset + run.len as u64 <= self.len);
                    assert!(run.len <= usize::from(run.count) * usize::from(run.blksize));
                    assert!(run.len + 4 * usize::from(run.count) <= limits::RUN_BYTES_MAX);
                    assert!(run.blksize <= self.limits.blksize_max.max(limits::BLKSIZE_DEFAULT));
                    assert!(run.first_block >= self.unacked);
                    self.end = self.end.max(run.first_block + u64::from(run.count));
                    assert!(self.end - self.unacked <= u64::from(self.limits.windowsize_max));
                    self.count_packets(u32::from(run.count));
                }
                Output::WaitUntil(_) | Output::Done(_) => return self.check_progress(),
            }
        }
        panic!("more packets than a window has");
    }

    fn count_packets(&mut self, count: u32) {
        if !self.proven {
            self.packets_unproven += count;
            assert!(self.packets_unproven <= u32::from(limits::UNPROVEN_PACKETS_MAX));
        }
    }

    fn check_progress(&mut self) {
        let acked_bytes = self.transfer.acked_bytes();
        assert!((self.acked_bytes..=self.len).contains(&acked_bytes));
        self.acked_bytes = acked_bytes;
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_sequence_of_events_breaks_a_transfer(
        options in "((blksize [0-9]{1,5}|tsize 0|timeout [0-9]{1,3}|windowsize [0-9]{1,5}) ){0,4}",
        len in prop_oneof![0u64..2000, 0u64..10_000_000, any::<u64>()],
        blksize_max in prop_oneof![Just(1468u16), 8u16..=65464],
        windowsize_max in 1u16..=64,
        events in prop::collection::vec(event(), 0..120),
    ) {
        let limits = Limits { blksize_max, windowsize_max };
        let (transfer, plain) = request(&options, |request| {
            (Transfer::new(request, ContentInfo { len }, &limits), request.options.is_empty())
        });
        let first = u64::from(plain);
        let mut watched = Watched {
            transfer, len, limits, unacked: first, end: first, proven: false,
            packets_unproven: 0, acked_bytes: 0, now: Duration::ZERO,
        };
        watched.drain();
        for event in &events {
            watched.apply(event);
            watched.drain();
        }
        // Left alone, every transfer ends.
        for _ in 0..2 * limits::TRIES_MAX {
            watched.now += Duration::from_secs(255);
            watched.transfer.handle_timeout(watched.now);
            watched.drain();
        }
        let end = watched.transfer.poll_output(watched.now);
        prop_assert!(matches!(end, Output::Done(_)));
        watched.ack(watched.unacked as u16);
        prop_assert_eq!(watched.transfer.poll_output(watched.now), end);
    }
}
