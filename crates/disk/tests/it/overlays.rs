//! An overlay beside a model of its blocks.

use std::sync::Arc;
use std::thread;

use bootlace_disk::{BLOCK_BYTES, Disk, Error, Extent, GRANULE_BYTES, Overlay, Provisioning, Space};
use proptest::prelude::*;

use crate::support::{BLOCK, block, folder, image, image_stamp, stamp};

/// Blocks of the image, and of the larger disk over it: it ends in the middle of a granule.
const IMAGE_BLOCKS: usize = 1100;
const DISK_BLOCKS: usize = 1307;
const GRANULE_BLOCKS: usize = (GRANULE_BYTES / BLOCK_BYTES) as usize;

#[derive(Clone, Debug)]
enum Action {
    Write(usize, usize, u64),
    Unmap(usize, usize),
    Zero(usize, usize),
    Read(usize, usize),
    Flush,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let range = (0..DISK_BLOCKS, 1..700_usize).prop_map(|(first, len)| (first, len.min(DISK_BLOCKS - first)));
    let action = (range, 0..9_u8, 1..u64::MAX).prop_map(|((first, len), kind, mark)| match kind {
        0..4 => Action::Write(first, len, mark),
        4 => Action::Unmap(first, len),
        5 => Action::Zero(first, len),
        6 => Action::Flush,
        _ => Action::Read(first, len),
    });
    prop::collection::vec(action, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, rng_seed: prop::test_runner::RngSeed::Fixed(6), ..ProptestConfig::default() })]
    #[test]
    fn blocks_hold_what_was_written_last(actions in actions()) {
        let place = folder();
        let image = image(place.path(), IMAGE_BLOCKS).unwrap();
        let size = (DISK_BLOCKS * BLOCK) as u64;
        let disk = Disk::from(Overlay::in_memory(image, size, Space::Unlimited).unwrap());
        let fresh = |index| if index < IMAGE_BLOCKS { image_stamp(index) } else { 0 };
        let mut model: Vec<u64> = (0..DISK_BLOCKS).map(fresh).collect();
        for action in actions {
            act(&disk, &mut model, &action);
        }
        act(&disk, &mut model, &Action::Read(0, DISK_BLOCKS));
    }
}

fn act(disk: &Disk, model: &mut [u64], action: &Action) {
    let at = |block: usize| (block * BLOCK) as u64;
    match *action {
        Action::Write(first, len, mark) => {
            disk.write(at(first), &block(mark).repeat(len)).unwrap();
            model[first..first + len].fill(mark);
        }
        Action::Unmap(first, len) => {
            disk.unmap(at(first), at(len)).unwrap();
            let end = first + len;
            let last = if end == DISK_BLOCKS { end } else { end / GRANULE_BLOCKS * GRANULE_BLOCKS };
            (first.next_multiple_of(GRANULE_BLOCKS)..last).for_each(|index| model[index] = 0);
        }
        Action::Zero(first, len) => {
            disk.write_zeroes(at(first), at(len)).unwrap();
            model[first..first + len].fill(0);
        }
        Action::Read(first, len) => {
            let mut bytes = vec![0; len * BLOCK];
            disk.read(at(first), &mut bytes).unwrap();
            let found: Vec<_> = bytes.chunks(BLOCK).map(stamp).collect();
            let expected: Vec<_> = model[first..first + len].iter().copied().map(Some).collect();
            assert_eq!(found, expected);
        }
        Action::Flush => disk.flush().unwrap(),
    }
}

fn small(space: Space) -> Disk {
    let place = folder();
    let image = image(place.path(), 64).unwrap();
    let size = image.size();
    Overlay::in_memory(image, size, space).unwrap().into()
}

#[test]
fn a_quota_counts_granules_and_a_discard_gives_them_back() {
    let disk = small(Space::Quota(2 * GRANULE_BYTES));
    let granule = block(9).repeat(GRANULE_BLOCKS);
    disk.write(0, &granule).unwrap();
    disk.write(GRANULE_BYTES + 512, &block(9)).unwrap();
    assert!(matches!(disk.write(2 * GRANULE_BYTES, &block(9)), Err(Error::Quota)));
    let mut unchanged = vec![0; BLOCK];
    disk.read(2 * GRANULE_BYTES, &mut unchanged).unwrap();
    assert_eq!(stamp(&unchanged), Some(image_stamp(2 * GRANULE_BLOCKS)));
    // What is there may be written again.
    disk.write(0, &granule).unwrap();
    disk.unmap(0, GRANULE_BYTES).unwrap();
    disk.write(2 * GRANULE_BYTES, &block(9)).unwrap();
}

#[test]
fn only_what_was_discarded_is_deallocated() {
    let disk = small(Space::Unlimited);
    disk.unmap(GRANULE_BYTES, 2 * GRANULE_BYTES).unwrap();
    let extent = |len, provisioning| Extent { len, provisioning };
    assert_eq!(disk.lba_status(0).unwrap(), extent(GRANULE_BYTES, Provisioning::Mapped));
    assert_eq!(
        disk.lba_status(GRANULE_BYTES + 512).unwrap(),
        extent(2 * GRANULE_BYTES - 512, Provisioning::Deallocated)
    );
    assert_eq!(disk.lba_status(3 * GRANULE_BYTES).unwrap(), extent(5 * GRANULE_BYTES, Provisioning::Mapped));
    assert!(matches!(disk.lba_status(8 * GRANULE_BYTES), Err(Error::OutOfRange)));
}

#[test]
fn ranges_outside_of_the_disk_or_of_blocks_are_refused() {
    let disk = small(Space::Unlimited);
    let size = disk.size();
    let refused = |result| assert!(matches!(result, Err(Error::OutOfRange)), "{result:?}");
    refused(disk.read(size - 512, &mut [0; 1024]));
    refused(disk.read(1, &mut [0; 512]));
    refused(disk.write(size, &[0; 512]));
    refused(disk.unmap(u64::MAX - 511, 512));
    refused(disk.write_zeroes(0, 100));
    disk.read(size, &mut []).unwrap();
}

#[test]
fn an_image_is_not_written() {
    let place = folder();
    let disk = Disk::Image(image(place.path(), 8).unwrap());
    assert!(matches!(disk.write(0, &[0; 512]), Err(Error::ReadOnly)));
    assert!(matches!(disk.unmap(0, 512), Err(Error::ReadOnly)));
    disk.flush().unwrap();
}

/// Blocks of one granule, written by a thread each for the first time: none may be lost by the filling of another.
#[test]
fn writers_of_one_granule_do_not_lose_each_others_blocks() {
    for _ in 0..50 {
        let disk = Arc::new(small(Space::Unlimited));
        thread::scope(|scope| {
            for writer in 0..GRANULE_BLOCKS {
                let disk = Arc::clone(&disk);
                scope.spawn(move || {
                    for granule in 0..8 {
                        let at = granule * GRANULE_BYTES + (writer * BLOCK) as u64;
                        disk.write(at, &block(1 + writer as u64)).unwrap();
                        disk.flush().unwrap();
                    }
                });
            }
        });
        let mut bytes = vec![0; 64 * BLOCK];
        disk.read(0, &mut bytes).unwrap();
        for (index, found) in bytes.chunks(BLOCK).enumerate() {
            assert_eq!(stamp(found), Some(1 + (index % GRANULE_BLOCKS) as u64), "block {index}");
        }
    }
}
