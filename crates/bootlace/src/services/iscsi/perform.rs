//! What a SCSI command needs of a disk, done.

use bootlace_disk::{Disk, Error, Provisioning};
use bootlace_wire::scsi::{Compare, Extent, Io, IoError, IoResult, Provisioned, Run, Space};

/// Bytes of a block, as of all our disks.
const BLOCK: u64 = bootlace_disk::BLOCK_BYTES;

/// Bytes that are looked at or filled at a time where a command moves no data.
const STEP_BYTES: u64 = 256 << 10;

/// Does what a command needs, but makes nothing durable unless it is a flush: that may take long. `data` came from the initiator; what it reads is in `read` afterwards, which is otherwise
/// empty. What was there before is overwritten as a whole: zeroes for each read would cost as much as a copy.
pub(super) fn perform(disk: &Disk, io: &Io, data: &[u8], read: &mut Vec<u8>) -> IoResult {
    if !matches!(io, Io::Read(_)) {
        read.clear();
    }
    match io {
        Io::Read(extent) => {
            read.resize((extent.blocks * BLOCK) as usize, 0);
            let done = disk.read(extent.block * BLOCK, read);
            if done.is_err() {
                read.clear();
            }
            result(done, read_error)
        }
        Io::Write(extent, _) => written(disk, *extent, whole_blocks(*extent, data)),
        Io::WriteVerify(extent, compare) => {
            let data = whole_blocks(*extent, data);
            match written(disk, *extent, data) {
                IoResult::Done => verify(disk, *extent, *compare, data),
                failed => failed,
            }
        }
        Io::Verify(extent, compare) => verify(disk, *extent, *compare, data),
        Io::OrWrite(extent, _) => {
            let data = whole_blocks(*extent, data);
            let mut bytes = vec![0; data.len()];
            match disk.read(extent.block * BLOCK, &mut bytes) {
                Ok(()) => {
                    bytes.iter_mut().zip(data).for_each(|(byte, new)| *byte |= new);
                    written(disk, *extent, &bytes)
                }
                failed => result(failed, read_error),
            }
        }
        Io::CompareAndWrite(extent, _) => {
            let (expected, new) = data.split_at(data.len() / 2);
            match compare(disk, *extent, |offset| &expected[offset as usize..]) {
                IoResult::Done => written(disk, *extent, new),
                failed => failed,
            }
        }
        Io::WriteSame(extent) => fill(disk, *extent, data),
        Io::Zero(extent, Space::MayRelease | Space::Keep) => {
            result(disk.write_zeroes(extent.block * BLOCK, extent.blocks * BLOCK), write_error)
        }
        Io::Unmap(extents) => {
            // Unmapped blocks read as zeroes, also those that share their granule with others.
            let each = |extent: &Extent| disk.write_zeroes(extent.block * BLOCK, extent.blocks * BLOCK);
            result(extents.iter().try_for_each(each), write_error)
        }
        Io::Flush => result(disk.flush(), write_error),
        Io::LbaStatus { extent, runs_max, .. } => status(disk, *extent, *runs_max),
    }
}

fn result(done: bootlace_disk::Result<()>, error: impl FnOnce(Error) -> IoError) -> IoResult {
    match done {
        Ok(()) => IoResult::Done,
        Err(failed) => {
            tracing::warn!("a disk cannot be used: {failed}");
            IoResult::Failed(error(failed))
        }
    }
}

fn read_error(error: Error) -> IoError {
    match error {
        Error::WrongImage | Error::Superseded | Error::Busy => IoError::Unavailable,
        _ => IoError::Read(None),
    }
}

fn write_error(error: Error) -> IoError {
    match error {
        Error::NoSpace | Error::Quota => IoError::NoSpace,
        Error::ReadOnly => IoError::ReadOnly,
        Error::WrongImage | Error::Superseded | Error::Busy => IoError::Unavailable,
        _ => IoError::Write(None),
    }
}

/// The data of an extent: there may be a part of a block behind them, which is written nowhere.
fn whole_blocks(extent: Extent, data: &[u8]) -> &[u8] {
    &data[..data.len().min((extent.blocks * BLOCK) as usize)]
}

fn written(disk: &Disk, extent: Extent, bytes: &[u8]) -> IoResult {
    result(disk.write(extent.block * BLOCK, bytes), write_error)
}

fn fill(disk: &Disk, extent: Extent, block: &[u8]) -> IoResult {
    let per_step = STEP_BYTES / BLOCK;
    let pattern = block.repeat(extent.blocks.min(per_step) as usize);
    let steps = (0..extent.blocks).step_by(per_step as usize);
    let done = steps.into_iter().try_for_each(|at| {
        let blocks = (extent.blocks - at).min(per_step);
        disk.write((extent.block + at) * BLOCK, &pattern[..(blocks * BLOCK) as usize])
    });
    result(done, write_error)
}

fn verify(disk: &Disk, extent: Extent, with: Compare, data: &[u8]) -> IoResult {
    match with {
        Compare::Medium => compare(disk, extent, |_| &[]),
        Compare::Data => compare(disk, extent, |offset| &data[offset as usize..]),
        Compare::OneBlock => {
            let pattern = data.repeat((STEP_BYTES / BLOCK) as usize);
            compare(disk, extent, |_| &pattern)
        }
    }
}

/// Reads blocks and holds them against what they are to be from some offset on, as far as that goes.
fn compare<'a>(disk: &Disk, extent: Extent, expected: impl Fn(u64) -> &'a [u8]) -> IoResult {
    let bytes = extent.blocks * BLOCK;
    let mut buffer = vec![0; bytes.min(STEP_BYTES) as usize];
    let mut offset = 0;
    while offset < bytes {
        let part = &mut buffer[..(bytes - offset).min(STEP_BYTES) as usize];
        if let failed @ Err(_) = disk.read(extent.block * BLOCK + offset, part) {
            return result(failed, read_error);
        }
        if let Some(at) = part.iter().zip(expected(offset)).position(|(found, expected)| found != expected) {
            return IoResult::Miscompare(offset + at as u64);
        }
        offset += part.len() as u64;
    }
    IoResult::Done
}

fn status(disk: &Disk, extent: Extent, runs_max: usize) -> IoResult {
    let (mut at, end) = (extent.block * BLOCK, (extent.block + extent.blocks) * BLOCK);
    let mut runs = Vec::new();
    while at < end && runs.len() < runs_max {
        let run = match disk.lba_status(at) {
            Ok(run) => run,
            Err(error) => return result(Err(error), read_error),
        };
        let blocks = u32::try_from(run.len.min(end - at) / BLOCK).unwrap_or(u32::MAX);
        let state = match run.provisioning {
            Provisioning::Mapped => Provisioned::Mapped,
            Provisioning::Deallocated => Provisioned::Deallocated,
        };
        runs.push(Run { blocks, state });
        at += u64::from(blocks) * BLOCK;
    }
    IoResult::LbaStatus(runs)
}
