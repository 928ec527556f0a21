//! What an image is known by.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bootlace_disk::{Disk, Image};

use crate::support::folder;

#[test]
fn content_is_identity() {
    let place = folder();
    let (one, other) = (place.path().join("one"), place.path().join("other"));
    let manifest = place.path().join("manifest");
    fs::write(&one, [7; 5000]).unwrap();
    fs::write(&other, [7; 5000]).unwrap();
    let id = Image::open(&one, &manifest).unwrap().id();
    assert_eq!(Image::open(&one, &manifest).unwrap().id(), id);
    // The manifest is of the other file.
    assert_eq!(Image::open(&other, &manifest).unwrap().id(), id);
    fs::write(&other, [8; 5000]).unwrap();
    assert_ne!(Image::open(&other, &manifest).unwrap().id(), id);
}

/// As an hour from now, when the image is no longer new.
fn write_later(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
}

/// Otherwise the manifest would be believed for another content; a damaged one is not believed at all.
#[test]
fn a_manifest_is_believed_while_whole() {
    let place = folder();
    let (path, manifest) = (place.path().join("image"), place.path().join("manifest"));
    fs::write(&path, [7; 5000]).unwrap();
    let id = Image::open(&path, &manifest).unwrap().id();
    let good = fs::read(&manifest).unwrap();
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        write_later(&manifest, &damaged);
        assert_eq!(Image::open(&path, &manifest).unwrap().id(), id, "byte {at}");
        write_later(&manifest, &good[..at]);
        assert_eq!(Image::open(&path, &manifest).unwrap().id(), id, "cut at {at}");
    }
}

#[test]
fn an_image_ends_in_zeroes_at_a_whole_block() {
    let place = folder();
    let path = place.path().join("image");
    fs::write(&path, [7; 700]).unwrap();
    let disk = Disk::Image(Image::open(&path, &place.path().join("manifest")).unwrap().into());
    assert_eq!(disk.size(), 1024);
    let mut bytes = [1; 1024];
    disk.read(0, &mut bytes).unwrap();
    assert_eq!((&bytes[..700], &bytes[700..]), (&[7; 700][..], &[0; 324][..]));
}
