//! The properties for mutants of good packets: some with every test run, and as many as `BOOTLACE_MUTANTS` says.

use std::net::{Ipv4Addr, SocketAddrV4};

use bootlace_wire::frame::udp_frame;
use bootlace_wire::{Mac, arp};

use crate::{dhcp, property};

/// One mutator for these tests and for the scenarios; it belongs to no crate.
#[path = "../../../../xtask/src/mutate.rs"]
mod mutate;

const MUTANTS: u64 = 3_000;
const SEED: u64 = 0x626f_6f74;

fn survive(corpus: &[Vec<u8>], check: fn(&[u8])) {
    let asked = std::env::var("BOOTLACE_MUTANTS").ok();
    let count = asked.map_or(MUTANTS, |count| count.parse().expect("BOOTLACE_MUTANTS is a number"));
    let mut mutator = mutate::Mutator::new(SEED);
    for number in 0..count {
        let mutant = mutator.mutant(corpus);
        if let Err(panic) = std::panic::catch_unwind(|| check(&mutant)) {
            eprintln!("mutant {number} of seed {SEED:#x}: {}", mutant.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}

fn packets() -> Vec<Vec<u8>> {
    dhcp::packets().into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn of_dhcp_messages() {
    survive(&packets(), property::dhcp_decode::check);
}

#[test]
fn of_frames() {
    let end = |port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port);
    let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
    let frame = |payload: &Vec<u8>| udp_frame(mac, mac, end(67), end(68), payload);
    survive(&packets().iter().map(frame).collect::<Vec<_>>(), property::frame_parse::check);
}

#[test]
fn of_router_solicitations() {
    let plain = [133, 0, 0x12, 0x34, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56].to_vec();
    let mut behind_another = plain.clone();
    behind_another.splice(8..8, [14, 2, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
    survive(&[plain, behind_another], property::ndp_solicitor::check);
}

#[test]
fn of_arp_replies() {
    let mut reply = arp::probe(Mac([2, 0, 0, 0, 0, 9]), Ipv4Addr::UNSPECIFIED).to_vec();
    reply[21] = 2;
    reply[28..32].copy_from_slice(&[10, 188, 0, 61]);
    let padded = [&reply[..], &[0; 18]].concat();
    survive(&[reply, padded], property::arp_reply::check);
}
