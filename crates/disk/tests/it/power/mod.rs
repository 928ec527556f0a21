//! Power losses: histories of a machine's disk, cut at any point, with everything that may be left of it.
//!
//! A history is played on real files and recorded. From the record comes each state that a file system may have after a
//! power loss: what was synced is there, of the rest any part. The disk is opened from that and each of its blocks must
//! hold what was flushed last or something that was written since. In the middle of a history the process is
//! killed, which loses nothing that was written, flushed or not, and leaves nothing more durable than it was.

mod file_system;
mod history;

use std::path::Path;

use bootlace_disk::{Barrier, Generations, HostBoot, Operation};

use self::file_system::FileSystem;
use self::history::{History, Known, MACHINE, open, read_all};
use crate::support::{Random, folder};

const SEEDS: u64 = 600;
const CUTS_PER_SEED: usize = 12;
/// The host's start that a history is in, and the one after a power loss.
const BOOT: HostBoot = HostBoot([1; 16]);
const NEXT_BOOT: HostBoot = HostBoot([2; 16]);

#[test]
fn what_was_flushed_outlives_a_power_loss() {
    let found = (0..SEEDS).find_map(|seed| broken(seed, None).map(|why| (seed, why)));
    assert_eq!(found, None, "seed, and what was wrong");
}

#[test]
fn without_any_one_sync_something_is_lost() {
    for barrier in Barrier::ALL {
        // The seeds of above, with which nothing is lost otherwise.
        let found = (0..SEEDS).any(|seed| broken(seed, Some(barrier)).is_some());
        assert!(found, "no history needs {barrier:?}");
    }
}

/// Plays a history and looks at what power losses leave of it, as if the syncs for `left_out` had not been.
fn broken(seed: u64, left_out: Option<Barrier>) -> Option<String> {
    let mut random = Random(seed << 32);
    let mut disk = FileSystem::default();
    let place = folder();
    let first = History::play(place.path(), BOOT, &mut random, Known::default());
    let kill = random.below(first.operations.len());
    let lost = cut(&mut disk, place.path(), &first.operations[..kill], left_out, &mut random, |done| {
        first.around(done)
    });
    if lost.is_some() {
        return lost;
    }

    // The process is killed, and another goes on with what it finds.
    // To look at what is left changes it, so that is done elsewhere.
    let [looked_at, place] = [folder(), folder()];
    [&looked_at, &place].into_iter().for_each(|place| disk.live(place.path()));
    let left = first.around(kill);
    let known = match recover(looked_at.path(), &left, BOOT) {
        Ok(known) => known,
        Err(why) => return Some(format!("killed after {kill}: {why}")),
    };
    let second = History::play(place.path(), BOOT, &mut random, known);
    let around = |done| {
        let mut allowed = second.around(done);
        if done < second.first_login() {
            // What the first process left may still be lost.
            allowed.extend(&left);
        }
        allowed
    };
    cut(&mut disk, place.path(), &second.operations, left_out, &mut random, around)
}

/// Follows operations and lets the power fail after some of them. `around` says what the disk may hold.
fn cut<'a>(
    disk: &mut FileSystem,
    root: &Path,
    operations: &[Operation],
    left_out: Option<Barrier>,
    random: &mut Random,
    around: impl Fn(usize) -> Vec<&'a Known>,
) -> Option<String> {
    for (index, operation) in operations.iter().enumerate() {
        disk.apply(root, operation, left_out);
        if random.below(operations.len()) >= CUTS_PER_SEED {
            continue;
        }
        let place = folder();
        disk.after_power_loss(place.path(), random);
        if let Err(why) = recover(place.path(), &around(index + 1), NEXT_BOOT) {
            return Some(format!("after {operation:?}: {why}"));
        }
    }
    None
}

/// Opens what is there and compares it with what may be: in the same start of the host that is what was written last, before or
/// after what was under way. Gives what is known then.
fn recover(place: &Path, allowed: &[&Known], boot: HostBoot) -> Result<Known, String> {
    let generations = Generations::new(place.to_owned(), Some(boot));
    let current = generations.current(MACHINE).map_err(|error| error.to_string())?;
    let mut known = Known { generation: current, ..Known::default() };
    let fitting: Vec<_> = allowed.iter().filter(|allowed| allowed.generation == current).collect();
    if fitting.is_empty() {
        return Err(format!("{current:?} is not expected"));
    }
    let Some(generation) = current else { return Ok(known) };
    fitting.iter().for_each(|side| known.allow(side));
    let disk = open(&generations, generation).map_err(|error| error.to_string())?;
    for (index, found) in read_all(&disk)?.into_iter().enumerate() {
        let allowed = &mut known.blocks[index];
        let read = fitting.iter().any(|side| side.blocks[index].last() == Some(&found));
        if !allowed.contains(&found) || (boot == BOOT && !read) {
            return Err(format!("block {index} is {found:#x}, not one of {allowed:#x?}"));
        }
        // The last is what is read now.
        allowed.push(found);
    }
    Ok(known)
}

/// That a record is not empty by mistake.
#[test]
fn a_history_has_every_kind_of_operation() {
    let mut random = Random(7);
    let operations = (0..20).flat_map(|_| {
        let place = folder();
        History::play(place.path(), BOOT, &mut random, Known::default()).operations
    });
    let mut seen = [false; 7];
    for operation in operations {
        seen[match operation {
            Operation::MakeFolder(_) => 0,
            Operation::MakeFile(_) => 1,
            Operation::Write { .. } => 2,
            Operation::Rename { .. } => 3,
            Operation::RemoveFolder(_) => 4,
            Operation::Sync { .. } => 5,
            Operation::Truncate(_) => 6,
        }] = true;
    }
    assert_eq!(seen, [true; 7]);
}
