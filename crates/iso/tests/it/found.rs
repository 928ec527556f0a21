//! Every file of the fixtures, and what is none.

use bootlace_iso::{Entry, Error};

use super::{at, image, property, read};

const DEEP: &str = "1/2/3/4/5/6/7/8/9/10/file";
const UMLAUTS: &str = "Grüße aus München.txt";

#[test]
fn files_of_rock_ridge() {
    let image = image("rock-ridge");
    let long = "n".repeat(120);
    for (path, bytes) in [
        ("vmlinuz", "a kernel\n"),
        ("/vmlinuz", "a kernel\n"),
        ("./install.amd//initrd.gz", &"x".repeat(5000)),
        ("empty", ""),
        (DEEP, "deep\n"),
        (UMLAUTS, "grüße\n"),
        (&long, "long\n"),
        ("initrd", &"x".repeat(5000)),
        ("install.amd/gtk/up/vmlinuz", "a kernel\n"),
        ("install.amd/../vmlinuz", "a kernel\n"),
    ] {
        assert_eq!(read(&image, path).unwrap(), bytes.as_bytes(), "{path}");
    }
}

#[test]
fn files_of_udf() {
    let image = image("udf");
    let vmlinuz = at(&image, "vmlinuz").unwrap();
    assert!(matches!(vmlinuz, Entry::File(pieces) if pieces.len() == 1));
    for (path, bytes) in [
        ("vmlinuz", "a kernel\n"),
        ("install.amd/initrd.gz", &"x".repeat(5000)),
        ("empty", ""),
        (UMLAUTS, "grüße\n"),
        ("install.amd/../vmlinuz", "a kernel\n"),
    ] {
        assert_eq!(read(&image, path).unwrap(), bytes.as_bytes(), "{path}");
    }
}

#[test]
fn joliet_is_read_where_udf_cannot_be() {
    let mut image = image("udf");
    // The type of the logical volume's partition map: one of rewritable discs.
    let map = image.windows(6).position(|bytes| bytes == [1, 6, 1, 0, 0, 0]).expect("a partition map");
    image[map] = 2;
    assert_eq!(read(&image, UMLAUTS).unwrap(), "grüße\n".as_bytes());
}

#[test]
fn plain_names_are_found_in_either_case() {
    let image = image("plain");
    for path in ["vmlinuz", "VMLINUZ", "Vmlinuz"] {
        assert_eq!(read(&image, path).unwrap(), b"a kernel\n", "{path}");
    }
    assert_eq!(read(&image, DEEP).unwrap(), b"deep\n");
}

#[test]
fn what_is_no_file_says_so() {
    let (rock_ridge, udf) = (image("rock-ridge"), image("udf"));
    for image in [&rock_ridge, &udf] {
        for folder in ["", "/", "install.amd", "install.amd/gtk/"] {
            assert_eq!(at(image, folder).unwrap(), Entry::Folder, "{folder:?}");
        }
        for path in ["nothing", "vmlinuz/x", "..", "install.amd/../../vmlinuz"] {
            assert!(matches!(at(image, path), Err(Error::Absent)), "{path}");
        }
    }
    assert!(matches!(at(&rock_ridge, "VMLINUZ"), Err(Error::Absent)), "it tells cases apart");
    let error = |path: &str| at(&rock_ridge, path).unwrap_err().to_string();
    assert_eq!(error("loop1"), "the image is damaged: its symbolic links go round");
    assert_eq!(error("out"), "the image is not read: a symbolic link leads out of it");
    for nothing in [&b""[..], b"a text", &[0; 100_000]] {
        assert!(matches!(at(nothing, "vmlinuz"), Err(Error::NotAnImage)));
    }
}

#[test]
fn an_image_that_ends_early() {
    for name in ["rock-ridge", "udf", "plain"] {
        let image = image(name);
        for end in (0..image.len()).step_by(4093) {
            property::iso_image::check_image(&image[..end]);
        }
    }
}
