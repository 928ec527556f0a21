//! Images of real mastering programs, whole and damaged.

mod found;
mod mutants;
mod property;
/// Shared with the other crates.
#[path = "../../../wire/tests/it/survive.rs"]
mod survive;

use bootlace_iso::{Entry, Error, Source, find};

use property::iso_image::unpack;

/// The image of a fixture.
fn image(name: &str) -> Vec<u8> {
    let path = format!("{}/../../fixtures/iso/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    unpack(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// What a path in an image leads to.
fn at(image: &[u8], path: &str) -> Result<Entry, Error> {
    find(&image, path)
}

/// The bytes of a file in an image.
fn read(image: &[u8], path: &str) -> Result<Vec<u8>, Error> {
    let Entry::File(pieces) = at(image, path)? else { panic!("{path} is a folder") };
    let mut bytes = Vec::new();
    for piece in pieces {
        let mut part = vec![0; piece.len as usize];
        assert_eq!(image.read_at(piece.at, &mut part).unwrap(), part.len(), "{path} ends within the image");
        bytes.extend(part);
    }
    Ok(bytes)
}
