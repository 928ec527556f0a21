//! What a machine does with its disk, and what may be on it then.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bootlace_disk::{
    Disk, Generation, Generations, HostBoot, Image, Mode, Operation, Recorder, Result, Space,
};
use tempfile::TempDir;

use crate::support::{BLOCK, Random, block, folder, image, image_stamp, stamp};

pub(crate) const MACHINE: &str = "web1";
/// Blocks of the disk: twelve granules, the last one in part.
const BLOCKS: usize = 95;
const STEPS: usize = 14;

static IMAGE: LazyLock<(TempDir, Arc<Image>)> = LazyLock::new(|| {
    let folder = folder();
    let image = image(folder.path(), BLOCKS).unwrap();
    (folder, image)
});

/// What a disk may hold.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// The generation that is current; none before the first login.
    pub(crate) generation: Option<Generation>,
    /// Of each block, what it held at the last flush and all that was written since; the last is what is read.
    pub(crate) blocks: Vec<Vec<u64>>,
}

impl Known {
    fn fresh(generation: Generation) -> Self {
        Self {
            generation: Some(generation),
            blocks: (0..BLOCKS).map(|index| vec![image_stamp(index)]).collect(),
        }
    }

    /// Also allows what `other` does.
    pub(crate) fn allow(&mut self, other: &Self) {
        self.blocks.resize(BLOCKS, Vec::new());
        for (into, from) in self.blocks.iter_mut().zip(&other.blocks) {
            into.extend(from);
        }
    }

    fn flushed(&mut self) {
        for allowed in &mut self.blocks {
            allowed.drain(..allowed.len() - 1);
        }
    }
}

/// The state after something was done.
struct Step {
    /// Operations until then.
    end: usize,
    known: Known,
}

/// What one process did.
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    steps: Vec<Step>,
}

impl History {
    /// Plays one in `place`, where what is known is.
    pub(crate) fn play(place: &Path, boot: HostBoot, random: &mut Random, known: Known) -> Self {
        let recorder = Recorder::attached();
        let generations = Generations::recorded(place.to_owned(), Some(boot), recorder.clone());
        let mut steps = vec![Step { end: 0, known: known.clone() }];
        let mut known = known;
        let mut disk: Option<Disk> = None;
        for step in 0..STEPS {
            match &disk {
                Some(disk) if random.below(8) != 0 => act(disk, random, &mut known),
                _ => {
                    // Closed first: nobody else may open it before. That promises nothing about a power loss.
                    drop(disk.take());
                    let mode = if step != 0 && random.below(2) == 0 { Mode::Reset } else { Mode::Persistent };
                    disk = Some(login(&generations, mode, random, &mut known));
                }
            }
            steps.push(Step { end: recorder.operations().len(), known: known.clone() });
        }
        Self { operations: recorder.operations(), steps }
    }

    /// The states between which the operation after the first `done` is.
    pub(crate) fn around(&self, done: usize) -> Vec<&Known> {
        let last = self.steps.len() - 1;
        match self.steps.iter().position(|step| step.end > done) {
            Some(next) => vec![&self.steps[next - 1].known, &self.steps[next].known],
            None => vec![&self.steps[last].known],
        }
    }

    /// Operations until the first login is through.
    pub(crate) fn first_login(&self) -> usize {
        self.steps[1].end
    }
}

fn login(generations: &Generations, mode: Mode, random: &mut Random, known: &mut Known) -> Disk {
    let token = random.below(1 << 30) as u64;
    let generation = generations.name(MACHINE, mode, token, 0).unwrap();
    if known.generation != Some(generation) {
        *known = Known::fresh(generation);
    }
    open(generations, generation).unwrap()
}

fn act(disk: &Disk, random: &mut Random, known: &mut Known) {
    let first = random.below(BLOCKS);
    let count = 1 + random.below((BLOCKS - first).min(20));
    let (offset, len) = ((first * BLOCK) as u64, (count * BLOCK) as u64);
    match random.below(6) {
        0 | 1 => {
            disk.flush().unwrap();
            known.flushed();
        }
        2 => {
            // Parts of granules keep what they have: a discard says only what is true of whole ones.
            disk.unmap(offset, len).unwrap();
            let granule = BLOCKS.min(8);
            let end = first + count;
            let last = if end == BLOCKS { end } else { end / granule * granule };
            (first.next_multiple_of(granule)..last).for_each(|index| known.blocks[index].push(0));
        }
        3 => {
            disk.write_zeroes(offset, len).unwrap();
            known.blocks[first..first + count].iter_mut().for_each(|allowed| allowed.push(0));
        }
        _ => {
            let mark = 1 + random.below(1 << 30) as u64;
            disk.write(offset, &block(mark).repeat(count)).unwrap();
            known.blocks[first..first + count].iter_mut().for_each(|allowed| allowed.push(mark));
        }
    }
}

pub(crate) fn open(generations: &Generations, generation: Generation) -> Result<Disk> {
    let image = IMAGE.1.clone();
    let size = image.size();
    generations.login(MACHINE, generation, image, size, Space::Unlimited, 0).map(Disk::from)
}

/// What each block is full of.
pub(crate) fn read_all(disk: &Disk) -> std::result::Result<Vec<u64>, String> {
    let mut bytes = vec![0; BLOCKS * BLOCK];
    disk.read(0, &mut bytes).map_err(|error| error.to_string())?;
    let blocks = bytes.chunks(BLOCK).enumerate();
    blocks.map(|(index, block)| stamp(block).ok_or_else(|| format!("block {index} is torn"))).collect()
}
