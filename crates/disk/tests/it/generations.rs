//! Which generation of a machine's overlay a login gets, and what it does to others.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bootlace_disk::{Disk, Error, Generation, Generations, Image, Mode, Space};

use crate::support::{BLOCK, block, folder, image, image_stamp, stamp};

struct Lab {
    place: tempfile::TempDir,
    generations: Generations,
    image: Arc<Image>,
}

impl Lab {
    fn new() -> Self {
        let place = folder();
        let overlays = place.path().join("overlays");
        fs::create_dir(&overlays).unwrap();
        let image = image(place.path(), 64).unwrap();
        Self { generations: Generations::new(overlays), image, place }
    }

    fn login(&self, generation: Generation, now_secs: u64) -> Result<Disk, Error> {
        let size = self.image.size();
        self.generations
            .login("web1", generation, self.image.clone(), size, Space::Unlimited, now_secs)
            .map(Disk::from)
    }

    fn name(&self, mode: Mode, token: u64, now_secs: u64) -> Generation {
        self.generations.name("web1", mode, token, now_secs).unwrap()
    }

    fn folders(&self) -> usize {
        fs::read_dir(self.place.path().join("overlays/web1")).map_or(0, Iterator::count)
    }
}

fn first_block(disk: &Disk) -> Option<u64> {
    let mut bytes = [0; BLOCK];
    disk.read(0, &mut bytes).unwrap();
    stamp(&bytes)
}

#[test]
fn naming_makes_and_removes_nothing() {
    let lab = Lab::new();
    let first = lab.name(Mode::Reset, 1, 0);
    assert_eq!(lab.folders(), 0);
    lab.login(first, 0).unwrap().write(0, &block(7)).unwrap();
    let next = lab.name(Mode::Reset, 2, 0);
    assert_ne!(next, first);
    assert_eq!(lab.name(Mode::Reset, 2, 0), next);
    assert_eq!(first_block(&lab.login(first, 0).unwrap()), Some(7));
}

#[test]
fn the_first_login_makes_a_fresh_disk_and_later_ones_keep_it() {
    let lab = Lab::new();
    lab.login(lab.name(Mode::Reset, 1, 0), 0).unwrap().write(0, &block(7)).unwrap();
    let next = lab.name(Mode::Reset, 2, 0);
    let disk = lab.login(next, 0).unwrap();
    assert_eq!(first_block(&disk), Some(image_stamp(0)));
    assert_eq!(lab.folders(), 1);
    disk.write(0, &block(8)).unwrap();
    drop(disk);
    assert_eq!(first_block(&lab.login(next, 0).unwrap()), Some(8));
}

#[test]
fn an_old_name_cannot_harm_the_running_disk() {
    let lab = Lab::new();
    let (old, other) = (lab.name(Mode::Reset, 1, 0), lab.name(Mode::Reset, 2, 0));
    let disk = lab.login(other, 0).unwrap();
    disk.write(0, &block(7)).unwrap();
    // Named by another boot before either logged in.
    assert!(matches!(lab.login(old, 0), Err(Error::Superseded)));
    drop(disk);
    lab.login(lab.name(Mode::Reset, 3, 0), 0).unwrap();
    assert!(matches!(lab.login(other, 0), Err(Error::Superseded)));
}

#[test]
fn a_disk_is_open_once() {
    let lab = Lab::new();
    let generation = lab.name(Mode::Persistent, 1, 0);
    let disk = lab.login(generation, 0).unwrap();
    assert!(matches!(lab.login(generation, 0), Err(Error::Busy)));
    drop(disk);
    lab.login(generation, 0).unwrap();
}

#[test]
fn modes_keep_or_replace() {
    let lab = Lab::new();
    let first = lab.name(Mode::Persistent, 1, 0);
    lab.login(first, 1000).unwrap();
    let after = Mode::ResetAfter(Duration::from_secs(60));
    assert_eq!(lab.name(Mode::Persistent, 2, u64::MAX), first);
    assert_eq!(lab.name(after, 2, 1059), first);
    // A clock that was set back is no reason to drop anything.
    assert_eq!(lab.name(after, 2, 0), first);
    assert_eq!(lab.name(after, 2, 1060), Generation { number: 2, token: 2 });
    assert_eq!(lab.name(Mode::Reset, 2, 0), Generation { number: 2, token: 2 });
}

#[test]
fn an_overlay_stays_on_its_image() {
    let mut lab = Lab::new();
    let generation = lab.name(Mode::Persistent, 1, 0);
    lab.login(generation, 0).unwrap();
    let made_over = lab.image.id();
    let path = lab.place.path().join("image");
    fs::write(&path, [1; 64 * BLOCK]).unwrap();
    lab.image = Arc::new(Image::open(&path, Path::new("/nonexistent")).unwrap());
    assert!(matches!(lab.login(generation, 0), Err(Error::WrongImage)));
    assert_eq!(lab.generations.image_of("web1", generation).unwrap(), made_over);
    // A reset takes the new version.
    lab.login(lab.name(Mode::Reset, 2, 0), 0).unwrap();
}

#[test]
fn names_of_machines_stay_in_the_folder() {
    let lab = Lab::new();
    for name in ["", "..", ".hidden", "a/b", "/etc", "a\0b", &"x".repeat(65)] {
        assert!(lab.generations.current(name).is_err(), "{name:?}");
    }
    assert_eq!(lab.generations.current("52-54-00-12-34-56").unwrap(), None);
}

#[test]
fn a_full_file_system_is_told_apart_and_harms_nothing() {
    let lab = Lab::new();
    let generation = lab.name(Mode::Persistent, 1, 0);
    drop(lab.login(generation, 0).unwrap());
    let data = lab.place.path().join("overlays/web1/1-0000000000000001/data");
    fs::remove_file(&data).unwrap();
    symlink("/dev/full", &data).unwrap();
    let disk = lab.login(generation, 0).unwrap();
    assert!(matches!(disk.write(0, &block(7)), Err(Error::NoSpace)));
    assert_eq!(first_block(&disk), Some(image_stamp(0)));
}
