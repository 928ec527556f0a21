//! `$5$` and `$6$`: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", 2008. The numbers are that text's steps.

use sha2::{Digest, Sha256, Sha512};

use super::base64;

/// The orders in which the digests' bytes are written.
const ORDER_256: [u8; 32] = [
    20, 10, 0, 11, 1, 21, 2, 22, 12, 23, 13, 3, 14, 4, 24, 5, 25, 15, 26, 16, 6, 17, 7, 27, 8, 28, 18, 29,
    19, 9, 30, 31,
];
const ORDER_512: [u8; 64] = [
    42, 21, 0, 1, 43, 22, 23, 2, 44, 45, 24, 3, 4, 46, 25, 26, 5, 47, 48, 27, 6, 7, 49, 28, 29, 8, 50, 51,
    30, 9, 10, 52, 31, 32, 11, 53, 54, 33, 12, 13, 55, 34, 35, 14, 56, 57, 36, 15, 16, 58, 37, 38, 17, 59,
    60, 39, 18, 19, 61, 40, 41, 20, 62, 63,
];

pub(super) fn crypt_256(phrase: &[u8], salt: &[u8], rounds: u32) -> String {
    written(&rounds_of::<Sha256>(phrase, salt, rounds), &ORDER_256)
}

pub(super) fn crypt_512(phrase: &[u8], salt: &[u8], rounds: u32) -> String {
    written(&rounds_of::<Sha512>(phrase, salt, rounds), &ORDER_512)
}

fn written(digest: &[u8], order: &[u8]) -> String {
    base64::encode(order.iter().map(|&at| digest[usize::from(at)]))
}

fn rounds_of<D: Digest>(phrase: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut digest = first::<D>(phrase, salt);
    // Steps 13 to 20: stand-ins of the same length for password and salt.
    let mut phrases = D::new();
    phrase.iter().for_each(|_| phrases.update(phrase));
    let phrase = repeated(&phrases.finalize(), phrase.len());
    let mut salts = D::new();
    (0..16 + usize::from(digest[0])).for_each(|_| salts.update(salt));
    let salt = repeated(&salts.finalize(), salt.len());
    // Step 21.
    for round in 0..rounds {
        let odd = round & 1 == 1;
        let mut next = D::new();
        next.update(if odd { &phrase } else { &digest });
        if round % 3 != 0 {
            next.update(&salt);
        }
        if round % 7 != 0 {
            next.update(&phrase);
        }
        next.update(if odd { &digest } else { &phrase });
        digest = next.finalize().to_vec();
    }
    digest
}

/// Steps 1 to 12.
fn first<D: Digest>(phrase: &[u8], salt: &[u8]) -> Vec<u8> {
    let other = D::new().chain_update(phrase).chain_update(salt).chain_update(phrase).finalize();
    let mut digest = D::new().chain_update(phrase).chain_update(salt);
    for part in phrase.chunks(other.len()) {
        digest.update(&other[..part.len()]);
    }
    let mut length = phrase.len();
    while length > 0 {
        digest.update(if length & 1 == 1 { &other } else { phrase });
        length >>= 1;
    }
    digest.finalize().to_vec()
}

/// The bytes again and again, up to a length.
fn repeated(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(length).collect()
}
