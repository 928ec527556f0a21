//! The login of the load: no names, no digests, bursts as large as the target takes (RFC 7143, 6 and 13).

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};

use super::load::{Disk, HEAD, pdu_len, put, word};

const LOGIN_REQUEST: u8 = 0x43;
const LOGIN_RESPONSE: u8 = 0x23;
/// Transit, from the operational stage to full feature phase.
const INTO_FULL_FEATURE: u8 = 0x87;
/// What a target may send during a login, here.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Requests until both have said all.
const STEPS_MAX: u32 = 4;

const OFFER: [(&str, &str); 11] = [
    ("SessionType", "Normal"),
    ("HeaderDigest", "None"),
    ("DataDigest", "None"),
    ("InitialR2T", "Yes"),
    ("ImmediateData", "Yes"),
    ("MaxRecvDataSegmentLength", "262144"),
    ("FirstBurstLength", "262144"),
    ("MaxBurstLength", "1048576"),
    ("MaxOutstandingR2T", "1"),
    ("MaxConnections", "1"),
    ("ErrorRecoveryLevel", "0"),
];

/// What the two agreed on, and the numbers that go on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The next command's number.
    pub(super) command: u32,
    /// The last number that the target takes.
    pub(super) command_max: u32,
    /// The next status that is expected.
    pub(super) status: u32,
    /// Bytes that come along with a command at most.
    pub(super) immediate_max: u32,
    /// Bytes of a PDU that the target takes.
    pub(super) segment_max: u32,
}

/// Logs in; `seed` tells initiators from each other.
pub(super) fn log_in(mut stream: &TcpStream, disk: &Disk, seed: u64) -> Result<Agreed> {
    let initiator = disk.initiator.clone().unwrap_or_else(|| format!("iqn.2026-01.example:load-{seed}"));
    let mut keys = format!("InitiatorName={initiator}\0TargetName={}\0", disk.target).into_bytes();
    for (key, value) in OFFER {
        keys.extend(format!("{key}={value}\0").into_bytes());
    }
    let mut answered = String::new();
    let mut head = [0; HEAD];
    head[0] = LOGIN_REQUEST;
    head[1] = INTO_FULL_FEATURE;
    // A random session identifier (RFC 7143, 11.12.5): the low bits are the connection's.
    head[8] = 0x80;
    head[9..12].copy_from_slice(&(seed as u32).to_be_bytes()[1..]);
    for _ in 0..STEPS_MAX {
        head[5..8].copy_from_slice(&(keys.len() as u32).to_be_bytes()[1..]);
        let padding = keys.len().next_multiple_of(4) - keys.len();
        stream.write_all(&[&head[..], &keys, &[0; 3][..padding]].concat())?;
        keys.clear();
        let answer = receive(stream)?;
        ensure!(answer[0] == LOGIN_RESPONSE, "no answer to a login, but {:#04x}", answer[0]);
        ensure!(answer[36] == 0, "the login failed with {:#06x}", word(&answer, 36) >> 16);
        let data = (word(&answer, 4) & 0x00ff_ffff) as usize;
        answered.push_str(&String::from_utf8_lossy(&answer[HEAD..HEAD + data]));
        put(&mut head, 28, word(&answer, 24).wrapping_add(1));
        if answer[1] & INTO_FULL_FEATURE == INTO_FULL_FEATURE {
            return Agreed::read(&answered, &answer);
        }
    }
    bail!("the login did not end; the target said {answered:?}")
}

fn receive(mut stream: &TcpStream) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut part = [0; ANSWER_BYTES_MAX];
    loop {
        if let Some(len) = pdu_len(&answer) {
            ensure!(len == answer.len(), "more than an answer to a login");
            return Ok(answer);
        }
        ensure!(answer.len() < ANSWER_BYTES_MAX, "a login's answer has no end");
        let count = stream.read(&mut part).context("wait for an answer to a login")?;
        ensure!(count > 0, "the target closed the connection during the login");
        answer.extend(&part[..count]);
    }
}

impl Agreed {
    /// From the keys of all answers, and the head of the last one.
    fn read(answered: &str, last: &[u8]) -> Result<Self> {
        let value = |wanted: &str| {
            let pairs = answered.split('\0').filter_map(|pair| pair.split_once('='));
            pairs.rev().find(|(key, _)| *key == wanted).map(|(_, value)| value)
        };
        let number = |key: &str, default: u32| -> Result<u32> {
            let Some(text) = value(key) else { return Ok(default) };
            text.parse().with_context(|| format!("{key}={text}"))
        };
        let segment_max = number("MaxRecvDataSegmentLength", 8192)?;
        let immediate_max = match value("ImmediateData") {
            Some("No") => 0,
            _ => number("FirstBurstLength", 65_536)?.min(segment_max),
        };
        Ok(Self {
            command: word(last, 28),
            command_max: word(last, 32),
            status: word(last, 24).wrapping_add(1),
            immediate_max,
            segment_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let mut head = [0; HEAD];
        put(&mut head, 24, 7);
        put(&mut head, 28, 1);
        put(&mut head, 32, 128);
        let agreed = Agreed::read("HeaderDigest=None\0", &head).unwrap();
        let expected =
            Agreed { command: 1, command_max: 128, status: 8, immediate_max: 8192, segment_max: 8192 };
        assert_eq!(agreed, expected);
        let said = "MaxRecvDataSegmentLength=262144\0FirstBurstLength=65536\0ImmediateData=Yes\0";
        let agreed = Agreed::read(said, &head).unwrap();
        assert_eq!((agreed.immediate_max, agreed.segment_max), (65_536, 262_144));
        assert_eq!(Agreed::read("ImmediateData=No\0", &head).unwrap().immediate_max, 0);
        assert!(Agreed::read("FirstBurstLength=much\0", &head).is_err());
    }
}
