//! The properties for mutants of good input. Each test is named as its fuzz target.

use std::fs;
use std::sync::Arc;

use bootlace_disk::{Disk, GRANULE_BYTES, Generation, Generations, Space, check_map};

use crate::property;
use crate::support::{folder, image};
use crate::survive::survive;

#[test]
fn overlay_map() {
    let corpus: Vec<_> = [0, 1, 7].into_iter().map(map_with).collect();
    for (map, granules) in corpus.iter().zip([0, 1, 7]) {
        assert_eq!(check_map(map).unwrap(), granules);
    }
    survive(&corpus, property::overlay_map::check);
}

/// The map of an overlay with data in so many granules.
fn map_with(granules: u64) -> Vec<u8> {
    let place = folder();
    let image = image(place.path(), 64).unwrap();
    let generation = Generation { number: 1, token: 0 };
    let generations = Generations::new(place.path().to_owned(), None);
    let overlay =
        generations.login("m", generation, Arc::clone(&image), image.size(), Space::Unlimited, 0).unwrap();
    let disk = Disk::from(overlay);
    for granule in 0..granules {
        disk.write(granule * GRANULE_BYTES, &[1; 512]).unwrap();
        disk.flush().unwrap();
    }
    drop(disk);
    fs::read(place.path().join("m/1-0000000000000000/map")).unwrap()
}
