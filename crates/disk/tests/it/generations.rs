//! Which generation of a machine's overlay a login gets, and what it does to others.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bootlace_disk::{Disk, Error, Generation, Generations, HostBoot, Image, Mode, Space};

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
        Self { generations: Generations::new(overlays, HostBoot::current()), image, place }
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
    assert_eq!(lab.name(Mode::Reset, 2, 0), next, "the same boot asks again");
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
fn who_looks_at_a_disk_makes_no_file_and_has_it_alone() {
    let lab = Lab::new();
    let open = || lab.generations.open_current("web1", lab.image.clone());
    assert!(open().unwrap().is_none());
    assert_eq!(lab.folders(), 0);
    let generation = lab.name(Mode::Persistent, 1, 0);
    let disk = lab.login(generation, 0).unwrap();
    disk.write(0, &block(7)).unwrap();
    assert!(matches!(open(), Err(Error::Busy)));
    drop(disk);
    let notes = lab.place.path().join("overlays/web1/1-0000000000000001/recent");
    fs::remove_file(&notes).unwrap();
    let looked_at = Disk::from(open().unwrap().unwrap());
    assert_eq!(first_block(&looked_at), Some(7));
    assert!(!notes.exists());
    assert!(matches!(lab.login(generation, 0), Err(Error::Busy)));
    drop(looked_at);
    // After a crash of the server what it had not made durable is in the notes alone.
    let disk = lab.login(generation, 0).unwrap();
    disk.write(0, &block(8)).unwrap();
    let (_place, generations) = killed(&lab, HostBoot::current().unwrap());
    let looked_at = generations.open_current("web1", lab.image.clone()).unwrap().unwrap();
    assert_eq!(first_block(&looked_at.into()), Some(8));
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
    assert_eq!(lab.generations.image_of("web1", generation).unwrap(), (made_over, lab.image.size()));
    // A reset takes the new version.
    lab.login(lab.name(Mode::Reset, 2, 0), 0).unwrap();
}

#[test]
fn names_of_machines_stay_in_the_folder() {
    let lab = Lab::new();
    for name in ["", "..", ".hidden", "a/b", "/etc", "a\0b", &"x".repeat(201)] {
        assert!(lab.generations.current(name).is_err(), "{name:?}");
    }
    assert_eq!(lab.generations.current("52-54-00-12-34-56+desktop").unwrap(), None);
}

/// What a process leaves that is killed: files are as the kernel has them.
fn killed(lab: &Lab, boot: HostBoot) -> (tempfile::TempDir, Generations) {
    let place = folder();
    let (from, to) = (lab.place.path().join("overlays/web1/1-0000000000000001"), place.path().join("web1"));
    let to = to.join("1-0000000000000001");
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let generations = Generations::new(place.path().to_owned(), Some(boot));
    (place, generations)
}

#[test]
fn what_was_written_survives_the_process_and_what_was_flushed_the_host() {
    let boot = HostBoot::current().unwrap();
    let lab = Lab::new();
    let generation = lab.name(Mode::Persistent, 1, 0);
    let disk = lab.login(generation, 0).unwrap();
    disk.write(0, &block(7)).unwrap();
    disk.flush().unwrap();
    disk.write(8 * BLOCK as u64, &block(8)).unwrap();
    disk.unmap(16 * BLOCK as u64, 8 * BLOCK as u64).unwrap();
    let blocks = |generations: &Generations| {
        let size = lab.image.size();
        let again = generations.login("web1", generation, lab.image.clone(), size, Space::Unlimited, 0);
        let again = Disk::from(again.unwrap());
        [0, 8, 16].map(|index| {
            let mut bytes = [0; BLOCK];
            again.read(index * BLOCK as u64, &mut bytes).unwrap();
            stamp(&bytes)
        })
    };
    let (place, generations) = killed(&lab, boot);
    assert_eq!(blocks(&generations), [Some(7), Some(8), Some(0)]);
    // That end was orderly, so now it is all in the map.
    let next = HostBoot([9; 16]);
    let generations = Generations::new(place.path().to_owned(), Some(next));
    assert_eq!(blocks(&generations), [Some(7), Some(8), Some(0)]);
    let (_place, generations) = killed(&lab, next);
    assert_eq!(blocks(&generations), [Some(7), Some(image_stamp(8)), Some(image_stamp(16))]);
    let (place, generations) = killed(&lab, boot);
    let notes = place.path().join("web1/1-0000000000000001/recent");
    let mut bytes = fs::read(&notes).unwrap();
    bytes[4096] = 3;
    fs::write(&notes, bytes).unwrap();
    let size = lab.image.size();
    let damaged = generations.login("web1", generation, lab.image.clone(), size, Space::Unlimited, 0);
    assert!(matches!(damaged, Err(Error::Damaged(_))), "{damaged:?}");
}

#[test]
fn a_generation_has_one_spelling() {
    let generation = Generation { number: 12, token: 0xab };
    assert_eq!(generation.to_string(), "12-00000000000000ab");
    assert_eq!(Generation::parse("12-00000000000000ab"), Some(generation));
    for strange in
        ["12", "12-ab", "012-00000000000000ab", "+12-00000000000000ab", "12-00000000000000AB", "-", ""]
    {
        assert_eq!(Generation::parse(strange), None, "{strange:?}");
    }
}

/// Whoever has taken over the server may make them, and commands that open its files run as root.
#[test]
fn no_link_is_followed() {
    let lab = Lab::new();
    let generation = lab.name(Mode::Persistent, 1, 0);
    drop(lab.login(generation, 0).unwrap());
    let of_others = lab.place.path().join("of-others");
    fs::write(&of_others, "precious").unwrap();
    for name in ["map", "data", "recent"] {
        let file = lab.place.path().join("overlays/web1/1-0000000000000001").join(name);
        let own = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        symlink(&of_others, &file).unwrap();
        assert!(
            matches!(lab.generations.open_current("web1", lab.image.clone()), Err(Error::Medium(_))),
            "{name}"
        );
        assert!(lab.login(generation, 0).is_err(), "{name}");
        fs::remove_file(&file).unwrap();
        fs::write(&file, own).unwrap();
    }
    let manifest = lab.place.path().join("manifest");
    symlink(&of_others, manifest.with_added_extension("new")).unwrap();
    Image::open(&lab.place.path().join("image"), &manifest).unwrap();
    assert!(fs::read_to_string(&manifest).unwrap().contains("sha256"));
    assert_eq!(fs::read_to_string(&of_others).unwrap(), "precious");
    lab.login(generation, 0).unwrap();
}
