//! Holds a property against mutants of good input: some with every test run, and as many as `BOOTLACE_MUTANTS`
//! says, of the seed `BOOTLACE_SEED`. The crates share this file; it belongs to none of them.

use std::path::Path;

#[path = "../../../../xtask/src/mutate.rs"]
pub(crate) mod mutate;

const MUTANTS: u64 = 3_000;
const SEED: u64 = 0x626f_6f74;
/// Good input for a machine that is fed with instructions: any bytes are.
const NOISE_BYTES: usize = 300;

/// Checks `corpus` and mutants of it. `BOOTLACE_CORPUS` names a folder where the corpus is written to instead, for
/// another generator to start from.
pub(crate) fn survive(corpus: &[Vec<u8>], check: fn(&[u8])) {
    assert!(!corpus.is_empty());
    if let Some(folder) = std::env::var_os("BOOTLACE_CORPUS") {
        return write(corpus, Path::new(&folder));
    }
    let (count, seed) = (number("BOOTLACE_MUTANTS", MUTANTS), number("BOOTLACE_SEED", SEED));
    corpus.iter().for_each(|good| check(good));
    let mut mutator = mutate::Mutator::new(seed);
    for number in 0..count {
        let mutant = mutator.mutant(corpus);
        if let Err(panic) = std::panic::catch_unwind(|| check(&mutant)) {
            eprintln!("mutant {number} of seed {seed:#x}: {}", mutant.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
    println!("{count} mutants of seed {seed:#x}");
}

/// A corpus of noise.
#[allow(dead_code, reason = "not every crate has a machine that takes it")]
pub(crate) fn noise() -> Vec<Vec<u8>> {
    let mut random = mutate::Mutator::new(SEED);
    let mut noise = || (0..NOISE_BYTES).map(|_| random.below(256) as u8).collect();
    (0..64).map(|_| noise()).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    let said = std::env::var(variable).ok();
    said.map_or(default, |number| number.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

fn write(corpus: &[Vec<u8>], folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (number, good) in corpus.iter().enumerate() {
        std::fs::write(folder.join(format!("good-{number}")), good).unwrap();
    }
}
