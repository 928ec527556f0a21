//! Files in place.

use std::fs;
use std::path::PathBuf;

use bootlace_disk::{Access, Disk, Error, Provisioning, RawFile};
use tempfile::TempDir;

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn what_is_written_is_in_the_file() {
    let (_dir, path) = file(&[0x11; 16 << 10]);
    let disk = Disk::File(RawFile::open(&path, Access::ReadWrite).unwrap());
    disk.write(512, &[0x22; 1024]).unwrap();
    disk.flush().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(
        (bytes.len(), bytes[511], bytes[512], bytes[1535], bytes[1536]),
        (16 << 10, 0x11, 0x22, 0x22, 0x11)
    );
    let mut read = [0; 512];
    disk.read(1024, &mut read).unwrap();
    assert_eq!(read, [0x22; 512]);
    assert!(matches!(disk.write((16 << 10) - 512, &[0; 1024]), Err(Error::OutOfRange)));
}

#[test]
fn discarded_granules_read_as_zeroes_and_parts_keep_what_they_have() {
    let (_dir, path) = file(&[0x11; 16 << 10]);
    let disk = Disk::File(RawFile::open(&path, Access::ReadWrite).unwrap());
    disk.unmap(512, 8192).unwrap();
    let bytes = fs::read(&path).unwrap();
    let zeroes: Vec<usize> =
        (0..bytes.len() / 4096).filter(|at| bytes[at * 4096..][..4096] == [0; 4096]).collect();
    assert_eq!((zeroes, bytes[600], bytes[8300]), (vec![1], 0x11, 0x11));
    disk.write_zeroes(8192, 512).unwrap();
    assert_eq!(fs::read(&path).unwrap()[8192..8704], [0; 512]);
    assert_eq!(disk.size(), fs::metadata(&path).unwrap().len());
    // Told wherever the file system tells.
    let status = disk.lba_status(4096).unwrap();
    assert!(status.len >= 512 && status.len.is_multiple_of(512), "{status:?}");
    assert_eq!(disk.lba_status(0).unwrap().provisioning, Provisioning::Mapped);
}

#[test]
fn one_that_is_read_only_is_not_written() {
    let (_dir, path) = file(&[0; 4096]);
    let disk = Disk::File(RawFile::open(&path, Access::ReadOnly).unwrap());
    assert!(matches!(disk.write(0, &[1; 512]), Err(Error::ReadOnly)));
    assert!(matches!(disk.unmap(0, 4096), Err(Error::ReadOnly)));
    disk.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [0; 4096]);
}

#[test]
fn a_file_has_one_writer() {
    let (_dir, path) = file(&[0; 4096]);
    let first = RawFile::open(&path, Access::ReadOnly).unwrap();
    let second = RawFile::open(&path, Access::ReadOnly).unwrap();
    assert!(matches!(RawFile::open(&path, Access::ReadWrite), Err(Error::Busy)));
    drop((first, second));
    let _writer = RawFile::open(&path, Access::ReadWrite).unwrap();
    assert!(matches!(RawFile::open(&path, Access::ReadOnly), Err(Error::Busy)));
}

#[test]
fn what_is_no_disk_is_not_opened() {
    for bytes in [&b""[..], &[0; 511], &[0; 513]] {
        let (_dir, path) = file(bytes);
        assert!(matches!(RawFile::open(&path, Access::ReadOnly), Err(Error::Damaged(_))), "{}", bytes.len());
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(RawFile::open(dir.path(), Access::ReadOnly).is_err());
    assert!(matches!(RawFile::open(&dir.path().join("none"), Access::ReadOnly), Err(Error::Medium(_))));
}
