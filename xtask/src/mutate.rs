//! Damages good input, the same way for the same seed: flips, cuts, doubles, splices and lying lengths.

/// A mutant never grows beyond this: more than any packet of the corpus, less than what UDP carries.
const MUTANT_BYTES_MAX: usize = 8_192;
/// Most mutants are hurt a little and get far; a few are hurt a lot.
const WOUNDS_MAX: usize = 6;
/// Numbers at which lengths and counters go wrong.
const EDGES: [u8; 8] = [0, 1, 2, 63, 127, 128, 254, 255];

/// A generator of mutants: xorshift64*, which needs no crate.
#[derive(Debug)]
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15 | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `bound`; 0 when there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound.max(1) as u64)) as usize
    }

    /// One of `corpus`, damaged.
    pub(crate) fn mutant(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(corpus);
        for _ in 0..=self.below(WOUNDS_MAX) {
            self.wound(&mut bytes, corpus);
        }
        bytes.truncate(MUTANT_BYTES_MAX);
        bytes
    }

    fn pick(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        corpus.get(self.below(corpus.len())).cloned().unwrap_or_default()
    }

    fn wound(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        let end = at + self.below((bytes.len() - at).min(64) + 1);
        match self.below(6) {
            // A flip.
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            // A length that lies, or any other byte at an edge.
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = EDGES[self.below(EDGES.len())];
                }
            }
            // A cut: the end, or a piece out of the middle.
            3 => {
                if self.below(2) == 0 {
                    bytes.truncate(at);
                } else {
                    bytes.drain(at..end);
                }
            }
            // A piece twice.
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            // The beginning of one and the end of another.
            _ => {
                let other = self.pick(corpus);
                bytes.truncate(at);
                bytes.extend(&other[self.below(other.len())..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_mutants() {
        let corpus = [b"a good packet".to_vec(), (0..=255).collect()];
        let mutants = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..10_000).map(|_| mutator.mutant(&corpus)).collect::<Vec<_>>()
        };
        let first = mutants(1);
        assert!(first == mutants(1) && first != mutants(2));
        assert!(first.iter().all(|mutant| mutant.len() <= MUTANT_BYTES_MAX));
        assert!(first.iter().filter(|mutant| corpus.contains(mutant)).count() < first.len() / 4);
    }

    #[test]
    fn nothing_can_be_damaged_too() {
        let mut mutator = Mutator::new(0);
        for _ in 0..1_000 {
            assert!(mutator.mutant(&[]).is_empty() && mutator.mutant(&[Vec::new()]).is_empty());
        }
    }
}
