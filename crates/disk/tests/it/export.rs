//! A disk as a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bootlace_disk::{Disk, GRANULE_BYTES, Image, Overlay, Space, exchange_images};

use crate::support::{BLOCK, block, folder, image};

#[test]
fn a_promoted_overlay_is_an_image_with_the_same_blocks() {
    let place = folder();
    let base = image(place.path(), 300).unwrap();
    let size = base.size() + 3 * GRANULE_BYTES + 512;
    let disk = Disk::from(Overlay::in_memory(base, size, Space::Unlimited).unwrap());
    disk.write(7 * 512, &block(5)).unwrap();
    disk.unmap(64 << 10, 64 << 10).unwrap();
    let to = place.path().join("image-2");
    let mut done = Vec::new();
    disk.export(&to, &mut |bytes| done.push(bytes)).unwrap();
    assert!(done.is_sorted() && done.last() == Some(&size), "{done:?}");
    let promoted = Disk::Image(Image::open(&to, &place.path().join("image-2.manifest")).unwrap().into());
    let content = |disk: &Disk| {
        let mut bytes = vec![0; size as usize];
        disk.read(0, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(promoted.size(), size);
    assert!(content(&promoted) == content(&disk));
    assert_eq!(content(&promoted)[7 * BLOCK..8 * BLOCK], block(5));
}

#[test]
fn an_export_replaces_nothing() {
    let place = folder();
    let disk = Disk::Image(image(place.path(), 8).unwrap());
    let to = place.path().join("other");
    fs::write(&to, "somebody boots from it").unwrap();
    assert!(disk.export(&to, &mut |_| {}).is_err());
    assert_eq!(fs::read(&to).unwrap(), b"somebody boots from it");
    assert!(!place.path().join("other.new").exists());
}

#[test]
fn a_new_version_takes_the_place_of_the_current_one_which_stays() {
    let place = folder();
    let [current, new] = ["golden.img", "golden-2.img"].map(|name| place.path().join(name));
    fs::write(&current, "former").unwrap();
    fs::set_permissions(&current, fs::Permissions::from_mode(0o604)).unwrap();
    fs::write(&new, "new").unwrap();
    exchange_images(&new, &current).unwrap();
    assert_eq!([&current, &new].map(|path| fs::read_to_string(path).unwrap()), ["new", "former"]);
    assert_eq!(fs::metadata(&current).unwrap().permissions().mode() & 0o777, 0o604);
    assert!(exchange_images(&place.path().join("absent"), &current).is_err());
    assert_eq!(fs::read_to_string(&current).unwrap(), "new");
}
