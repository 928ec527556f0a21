//! Whatever an image says, a lookup ends, does not read much, and names no byte outside the image.
//!
//! An input is a list of damages to an image of `fixtures/iso`: images as such are long, and nearly all of their bytes
//! are of files.

use std::cell::Cell;
use std::io;
use std::sync::OnceLock;

use bootlace_iso::{Entry, PIECES_MAX, Source, find};

/// Bytes that one lookup may read: far more than any of the fixtures needs, far less than a loop would.
const READ_BYTES_MAX: u64 = 512 << 20;

const PATHS: [&str; 4] =
    ["1/2/3/4/5/6/7/8/9/10/file", "Grüße aus München.txt", "install.amd/gtk/up/empty", "loop1"];

/// An image, and where its bytes are that say something.
struct Good {
    image: Vec<u8>,
    telling: Vec<usize>,
}

/// An image that counts what is read of it.
struct Counted<'i> {
    image: &'i [u8],
    read: Cell<u64>,
}

/// The first byte chooses the image; then come damages of four bytes each: a place and a new value. Where the place has
/// its highest bit, the image ends there instead.
pub(crate) fn check(damages: &[u8]) {
    let Some((which, damages)) = damages.split_first() else { return };
    let good = good();
    let Good { image, telling } = &good[usize::from(*which) % good.len()];
    let mut image = image.clone();
    for &[high, middle, low, value] in damages.as_chunks::<4>().0 {
        let place = usize::from(high & 0x7f) << 16 | usize::from(middle) << 8 | usize::from(low);
        let at = telling[place % telling.len()];
        if high & 0x80 != 0 {
            image.truncate(at);
        } else if let Some(byte) = image.get_mut(at) {
            *byte = value;
        }
    }
    check_image(&image);
}

/// The property of one image.
pub(crate) fn check_image(image: &[u8]) {
    for path in PATHS {
        let counted = Counted { image, read: Cell::new(0) };
        if let Ok(Entry::File(pieces)) = find(&counted, path) {
            assert!(pieces.len() <= PIECES_MAX);
            assert!(
                pieces.iter().all(|piece| piece.at + piece.len <= image.len() as u64),
                "{path}: {pieces:?}"
            );
        }
        assert!(counted.read.get() <= READ_BYTES_MAX, "{path} reads {} bytes", counted.read.get());
    }
}

fn good() -> &'static [Good] {
    static GOOD: OnceLock<Vec<Good>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let fixtures = [
            include_str!("../../../../../fixtures/iso/rock-ridge.txt"),
            include_str!("../../../../../fixtures/iso/udf.txt"),
            include_str!("../../../../../fixtures/iso/plain.txt"),
        ];
        fixtures.map(|fixture| Good::new(unpack(fixture))).into()
    })
}

impl Good {
    /// The zero behind a number is as telling as the number; what files hold is not.
    fn new(image: Vec<u8>) -> Self {
        let is_data = |byte: u8| byte == b'x';
        let telling = |at: &usize| {
            let near = &image[at.saturating_sub(3)..=*at];
            near.iter().any(|&byte| byte != 0 && !is_data(byte))
        };
        let telling = (0..image.len()).filter(telling).collect();
        Self { image, telling }
    }
}

/// The image that a fixture describes: see `fixtures/iso/README.md`.
pub(crate) fn unpack(fixture: &str) -> Vec<u8> {
    let mut lines = fixture.lines();
    let size = lines.next().and_then(|line| line.strip_prefix("size ")).expect("the first line is the size");
    let mut image = vec![0; size.parse().unwrap()];
    for line in lines {
        let (offset, bytes) = line.split_once(' ').expect("an offset and bytes");
        let offset = usize::from_str_radix(offset, 16).unwrap();
        for (index, pair) in bytes.as_bytes().chunks(2).enumerate() {
            image[offset + index] = u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        }
    }
    image
}

impl Source for Counted<'_> {
    fn size(&self) -> u64 {
        self.image.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let count = self.image.read_at(offset, into)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}
