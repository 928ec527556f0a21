//! Images that qemu-img made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootlace_disk::{Access, Disk, Error, Image, Overlay, RawFile, Result, Space};

use crate::support::{BLOCK, block, folder, image_stamp, stamp};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/qcow2").join(name)
}

fn open(path: &Path) -> Result<Arc<Image>> {
    let place = folder();
    Image::open(path, &place.path().join("manifest")).map(Arc::new)
}

/// What the fixtures hold.
fn expected(block: usize) -> u64 {
    if (block / 8).is_multiple_of(3) { 0 } else { image_stamp(block) }
}

fn stamps(disk: &Disk) -> Vec<Option<u64>> {
    let mut bytes = vec![0; disk.size() as usize];
    disk.read(0, &mut bytes).unwrap();
    bytes.chunks(BLOCK).map(stamp).collect()
}

#[test]
fn an_image_has_the_blocks_that_qemu_put_there() {
    for (name, blocks) in [("plain.qcow2", 64), ("compressed.qcow2", 512)] {
        let image = open(&fixture(name)).unwrap();
        assert_eq!(image.size(), (blocks * BLOCK) as u64, "{name}");
        let all: Vec<_> = (0..blocks).map(|block| Some(expected(block))).collect();
        assert_eq!(stamps(&Disk::Image(image)), all, "{name}");
    }
}

#[test]
fn an_overlay_lies_over_it() {
    let image = open(&fixture("compressed.qcow2")).unwrap();
    let size = image.size();
    let disk = Disk::from(Overlay::in_memory(image, size, Space::Unlimited).unwrap());
    disk.write(9 * 512, &block(5)).unwrap();
    let found = stamps(&disk);
    assert_eq!((found[8], found[9], found[10]), (Some(expected(8)), Some(5), Some(expected(10))));
}

#[test]
fn an_image_that_names_another_file_is_refused() {
    for name in ["backed.qcow2", "external.qcow2"] {
        assert!(open(&fixture(name)).is_err(), "{name}");
    }
}

#[test]
fn the_same_bytes_read_otherwise_are_another_image() {
    let place = folder();
    let copy = |name: &str| {
        let path = place.path().join(name);
        fs::copy(fixture("plain.qcow2"), &path).unwrap();
        path
    };
    let (qcow2, again, raw) = (copy("a.qcow2"), copy("b.qcow2"), copy("a.qcow2.old"));
    let id = |path: &Path| open(path).unwrap().id();
    assert_eq!(id(&qcow2), id(&again));
    assert_ne!(id(&qcow2), id(&raw), "an overlay over the one must not be opened over the other");
    let sizes = [&qcow2, &raw].map(|path| Image::size_of(path).unwrap());
    assert_eq!(sizes, [(64 * BLOCK) as u64, fs::metadata(&raw).unwrap().len().next_multiple_of(512)]);
}

#[test]
fn an_image_that_somebody_writes_to_is_busy() {
    let place = folder();
    let path = place.path().join("image");
    fs::write(&path, [0; 4 * BLOCK]).unwrap();
    let target = RawFile::open(&path, Access::ReadWrite).unwrap();
    assert!(matches!(open(&path), Err(Error::Busy)));
    drop(target);
    let _one = (open(&path).unwrap(), open(&path).unwrap(), RawFile::open(&path, Access::ReadOnly).unwrap());
    assert!(matches!(RawFile::open(&path, Access::ReadWrite), Err(Error::Busy)));
}

#[test]
fn what_is_called_raw_is_raw() {
    let place = folder();
    let path = place.path().join("image.raw");
    fs::copy(fixture("backed.qcow2"), &path).unwrap();
    let disk = Disk::Image(open(&path).unwrap());
    let mut bytes = [0; BLOCK];
    disk.read(0, &mut bytes).unwrap();
    assert_eq!(bytes[..4], *b"QFI\xfb");
}

/// The tables of an image may say anything.
#[test]
fn a_damaged_image_is_an_error_or_other_bytes() {
    let place = folder();
    let path = place.path().join("image.qcow2");
    let good = fs::read(fixture("plain.qcow2")).unwrap();
    // The header and the first tables, a byte at a time.
    for at in (0..4096).step_by(3) {
        let mut damaged = good.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        if let Ok(image) = open(&path) {
            let mut bytes = [0; 8 * BLOCK];
            for offset in (0..image.size().min(64 * BLOCK as u64)).step_by(bytes.len()) {
                let _ = image.read(offset, &mut bytes);
            }
        }
    }
}
