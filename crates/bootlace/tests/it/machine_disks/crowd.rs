//! A classroom that is switched on at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Barrier;
use std::thread;

use crate::initiator::{GOOD, Initiator};
use crate::world::{held, ip};

use super::{CONFIG, IMAGE, Lab, Told, World, session};

const SEATS: u8 = 64;
/// A block that each writes to.
const SHARED: u8 = 3;

#[test]
fn sixty_four_machines_boot_at_once_and_each_has_its_own_disk() {
    let world = World::with(CONFIG);
    world.hub.leased((1..=SEATS).map(|seat| (ip(60 + seat), Some(held(seat)))));
    let lab = Lab::of(world);
    let boot = |seat: u8| if seat.is_multiple_of(2) { "fresh" } else { "kept" };
    let told: Vec<_> = (1..=SEATS).map(|seat| (seat, lab.told(seat, boot(seat)))).collect();
    let (together, server) = (Barrier::new(SEATS.into()), lab.running().addr);
    let systems: Vec<Initiator> = thread::scope(|scope| {
        let started = told.iter().map(|(seat, told)| {
            let together = &together;
            scope.spawn(move || {
                together.wait();
                start(server, *seat, told)
            })
        });
        let started: Vec<_> = started.collect();
        started.into_iter().map(|seat| seat.join().unwrap()).collect()
    });
    assert_eq!(lab.overlays().len(), usize::from(SEATS));
    let in_use = lab.running().disks.overlays().unwrap().into_iter().filter(|view| view.in_use);
    assert_eq!(in_use.count(), usize::from(SEATS));
    // Another request of the same boot names the same disk, and ends nothing.
    for ((seat, told), mut system) in told.iter().zip(systems) {
        assert_eq!(lab.told(*seat, boot(*seat)), *told);
        assert_eq!(system.read(SHARED), vec![*seat | 0x80; 512], "seat {seat}");
    }
}

/// As iPXE, the initial file system and the system do, one after the other; iPXE does not say that it ends.
fn start(server: SocketAddr, seat: u8, told: &Told) -> Initiator {
    // A client of its own, of which only so many logins are taken at a time.
    let log_in = || session(Initiator::connect_from(Ipv4Addr::new(127, 0, 1, seat), server), told);
    let own = vec![seat | 0x80; 512];
    let mut ipxe = log_in();
    assert_eq!(ipxe.read(0), IMAGE, "seat {seat}");
    assert_eq!(ipxe.write(SHARED, seat | 0x80), GOOD);
    let mut initrd = log_in();
    assert_eq!(initrd.read(SHARED), own, "seat {seat}");
    for block in 8..24 {
        assert_eq!(initrd.write(block, seat | 0x80), GOOD);
    }
    drop(initrd);
    let mut system = log_in();
    for block in (8..24).rev().chain([SHARED]) {
        assert_eq!(system.read(block), own, "seat {seat}");
    }
    assert_eq!(system.read(100), IMAGE, "seat {seat}");
    system
}
