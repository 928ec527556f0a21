//! A disk for a command, beside the server.

use std::sync::Arc;

use bootlace::services::iscsi::{Release, open_disk};
use bootlace_core::boot::disk::DiskId;
use bootlace_core::config::BootName;

use crate::initiator::{CHECK_CONDITION, GOOD};

use super::Lab;

#[test]
fn a_command_gets_a_disk_that_no_machine_has_and_has_it_alone() {
    let lab = Lab::new();
    let serving = lab.peers.world.serving.load_full();
    let disks = Arc::clone(&lab.running().disks);
    let id = |machine: &str, boot: &str| DiskId::new(machine, &BootName::new(boot).unwrap());
    let kept = id("web1", "kept");
    assert_eq!(disks.release(&kept), Release::Done);
    let open = || open_disk(&serving.config, &kept).map_err(|error| error.to_string());
    assert!(open().unwrap_err().contains("has written nothing"));
    let told = lab.told(1, "kept");
    let mut host = lab.session(&told);
    assert_eq!(host.write(3, 0x22), GOOD);
    let _memory = lab.session(&lab.told(2, "memory"));
    assert_eq!(disks.release(&id("web2", "memory")), Release::InMemory);
    assert_eq!(disks.release(&kept), Release::InUse);
    assert!(open().unwrap_err().contains("switch it off first"));
    assert_eq!(host.read(3), vec![0x22; 512]);
    drop(host);
    // Its end is noticed a moment later.
    while disks.release(&kept) == Release::InUse {
        std::thread::yield_now();
    }
    // Programs that other tests start have its files for a moment, too.
    let disk = loop {
        match open() {
            Err(error) if error.contains("switch it off first") => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let mut blocks = [0; 1024];
    disk.read(2 * 512, &mut blocks).unwrap();
    assert_eq!(blocks.split_at(512), (&[0x11; 512][..], &[0x22; 512][..]));
    let (_refused, status) = lab.login(&told);
    assert_eq!(status, 0x0301, "it tries again");
    drop(disk);
    let (mut host, status) = loop {
        let (host, status) = lab.login(&told);
        if status != 0x0301 {
            break (host, status);
        }
    };
    assert_eq!(status, 0);
    assert_eq!(host.ready(), Some((CHECK_CONDITION, 0x29)));
    assert_eq!(host.read(3), vec![0x22; 512]);
}
