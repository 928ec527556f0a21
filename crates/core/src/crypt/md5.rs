//! `$1$`, as FreeBSD invented it.

use md5::{Digest, Md5};

use super::base64;

/// The order in which the digest's bytes are written.
const ORDER: [u8; 16] = [12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11];
/// How often it is hashed; there is no choice.
const ROUNDS: u32 = 1000;

pub(super) fn crypt(phrase: &[u8], salt: &[u8]) -> String {
    let alternate = Md5::new().chain_update(phrase).chain_update(salt).chain_update(phrase).finalize();
    let mut first = Md5::new().chain_update(phrase).chain_update(b"$1$").chain_update(salt);
    for part in phrase.chunks(alternate.len()) {
        first.update(&alternate[..part.len()]);
    }
    let mut length = phrase.len();
    while length > 0 {
        // Meant were bytes of the digest, which the original had cleared by then.
        first.update(if length & 1 == 1 { &[0] } else { &phrase[..1] });
        length >>= 1;
    }
    let mut digest = first.finalize();
    for round in 0..ROUNDS {
        let odd = round & 1 == 1;
        let mut next = Md5::new();
        next.update(if odd { phrase } else { &digest });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(phrase);
        }
        next.update(if odd { &digest } else { phrase });
        digest = next.finalize();
    }
    base64::encode(ORDER.map(|at| digest[usize::from(at)]))
}
