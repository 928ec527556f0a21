//! Commands that move or change blocks: whether they may, how much data they move, and what has to be done.

use super::command::Command;
use super::identity::{Disk, Geometry, Provisioning};
use super::limits::{
    PARAMETERS_BYTES_MAX, PATTERN_BYTES_MAX, TRANSFER_BYTES_MAX, UNMAP_BLOCKS_MAX, UNMAP_RANGES_MAX,
};
use super::report;
use super::sense::{Reason, Sense};
use super::step::{Compare, DataOut, Extent, Fill, Io, Outcome, Space, Step, Transfer};

/// What the CDB alone forbids on this disk.
pub(super) fn check(command: &Command, disk: &Disk) -> Result<(), Sense> {
    let geometry = disk.geometry;
    let inside =
        |extent| if geometry.contains(extent) { Ok(()) } else { Err(Sense::from(Reason::OutOfRange)) };
    let blocks_max = u64::from(TRANSFER_BYTES_MAX / geometry.block_bytes.max(1));
    match *command {
        Command::Read(extent)
        | Command::Write(extent, _)
        | Command::WriteVerify(extent, _)
        | Command::Verify(extent, _)
        | Command::OrWrite(extent, _)
        | Command::CompareAndWrite(extent, _) => {
            inside(extent)?;
            if extent.blocks > blocks_max { Err(Reason::InvalidFieldInCdb.into()) } else { Ok(()) }
        }
        Command::WriteSame(extent, _, space) => {
            inside(extent)?;
            let may_release = space == Space::MayRelease;
            if may_release && disk.provisioning == Provisioning::Thick {
                Err(Sense::cdb_bit(1, 3))
            } else {
                Ok(())
            }
        }
        Command::SynchronizeCache(extent) | Command::Prefetch(extent) => inside(extent),
        Command::GetLbaStatus { block, .. } if block >= geometry.blocks => Err(Reason::OutOfRange.into()),
        Command::Unmap { .. } if disk.provisioning == Provisioning::Thick => {
            Err(Reason::InvalidOpcode.into())
        }
        Command::Unmap { length }
        | Command::ModeSelect { length, .. }
        | Command::PersistentOut { length, .. }
            if length > PARAMETERS_BYTES_MAX =>
        {
            Err(Reason::ParameterListLength.into())
        }
        _ => Ok(()),
    }
}

/// Whether a command changes what is on the disk.
pub(super) fn writes(command: &Command) -> bool {
    matches!(
        command,
        Command::Write(..)
            | Command::WriteVerify(..)
            | Command::OrWrite(..)
            | Command::CompareAndWrite(..)
            | Command::WriteSame(..)
            | Command::Unmap { .. }
    )
}

/// How much data a command moves that [`check`] lets pass.
pub(super) fn transfer(command: &Command, disk: &Disk) -> Transfer {
    let block_bytes = u64::from(disk.geometry.block_bytes);
    let bytes = |extent: Extent| extent.blocks * block_bytes;
    let transfer = match *command {
        Command::Read(extent) => Transfer::In(bytes(extent)),
        Command::Write(extent, _) | Command::WriteVerify(extent, _) | Command::OrWrite(extent, _) => {
            Transfer::Out(bytes(extent))
        }
        Command::Verify(_, Compare::Medium) => Transfer::None,
        Command::Verify(extent, Compare::Data) => Transfer::Out(bytes(extent)),
        Command::Verify(extent, Compare::OneBlock) => Transfer::Out(bytes(extent).min(block_bytes)),
        Command::CompareAndWrite(extent, _) => Transfer::Out(2 * bytes(extent)),
        Command::WriteSame(_, Fill::Data, _) => Transfer::Out(block_bytes),
        Command::WriteSame(_, Fill::Zeros, _) => Transfer::None,
        Command::Unmap { length }
        | Command::ModeSelect { length, .. }
        | Command::PersistentOut { length, .. } => Transfer::Out(length.into()),
        Command::ReadCapacity10 => Transfer::In(8),
        Command::ModeSense(asked) => Transfer::In(asked.allocation.into()),
        Command::RequestSense { allocation, .. }
        | Command::Inquiry { allocation, .. }
        | Command::ReadCapacity16 { allocation }
        | Command::GetLbaStatus { allocation, .. }
        | Command::ReportLuns { allocation, .. }
        | Command::ReportOperations { allocation, .. }
        | Command::ReportTaskManagement { allocation, .. }
        | Command::PersistentIn { allocation, .. } => Transfer::In(allocation.into()),
        Command::TestUnitReady
        | Command::SynchronizeCache(_)
        | Command::Prefetch(_)
        | Command::StartStop(_)
        | Command::Reserve
        | Command::Release => Transfer::None,
    };
    if matches!(transfer, Transfer::In(0) | Transfer::Out(0)) { Transfer::None } else { transfer }
}

/// What has to be done for a command that [`check`] lets pass.
pub(super) fn io(command: &Command, disk: &Disk, data: DataOut<'_>) -> Result<Step, Sense> {
    let block_bytes = u64::from(disk.geometry.block_bytes.max(1));
    if let Transfer::Out(wanted) = transfer(command, disk)
        && (data.bytes.len() as u64) < wanted.min(data.announced)
    {
        return Err(Reason::ServiceDeliveryError.into());
    }
    // An initiator that announces less than its CDB says moves as much as it announced (RFC 7143, section 11.4.5).
    let came = data.announced / block_bytes;
    let cut = |extent: Extent| Extent { blocks: extent.blocks.min(came), ..extent };
    let (extent, io) = match *command {
        Command::Read(extent) => (extent, Io::Read(extent)),
        Command::Write(extent, durability) => (cut(extent), Io::Write(cut(extent), durability)),
        Command::WriteVerify(extent, compare) => (cut(extent), Io::WriteVerify(cut(extent), compare)),
        Command::OrWrite(extent, durability) => (cut(extent), Io::OrWrite(cut(extent), durability)),
        Command::Verify(extent, Compare::Data) => (cut(extent), Io::Verify(cut(extent), Compare::Data)),
        Command::Verify(extent, Compare::Medium) => (extent, Io::Verify(extent, Compare::Medium)),
        Command::Verify(extent, Compare::OneBlock) => {
            exactly(block_bytes.min(extent.blocks * block_bytes), data)?;
            (extent, Io::Verify(extent, Compare::OneBlock))
        }
        Command::CompareAndWrite(extent, durability) => {
            exactly(2 * extent.blocks * block_bytes, data)?;
            (extent, Io::CompareAndWrite(extent, durability))
        }
        Command::WriteSame(extent, fill, space) => write_same(extent, fill, space, disk, data)?,
        Command::Unmap { length } => return unmap(length, disk, data),
        Command::SynchronizeCache(_) => return Ok(Step::Io(Io::Flush)),
        Command::GetLbaStatus { block, allocation } => {
            let extent = Extent { block, blocks: disk.geometry.blocks - block };
            return Ok(Step::Io(Io::LbaStatus {
                extent,
                runs_max: report::runs_max(allocation),
                allocation,
            }));
        }
        _ => return Ok(Step::Done(Outcome::good(Vec::new()))),
    };
    Ok(if extent.blocks == 0 { Step::Done(Outcome::good(Vec::new())) } else { Step::Io(io) })
}

/// No blocks mean all that follow (WSNZ is zero).
fn write_same(
    extent: Extent,
    fill: Fill,
    space: Space,
    disk: &Disk,
    data: DataOut<'_>,
) -> Result<(Extent, Io), Sense> {
    let Geometry { block_bytes, blocks, .. } = disk.geometry;
    let rest = Extent { blocks: blocks - extent.block, ..extent };
    let extent = if extent.blocks == 0 { rest } else { extent };
    if fill == Fill::Data {
        exactly(block_bytes.into(), data)?;
    }
    if fill == Fill::Zeros || data.bytes.iter().all(|&byte| byte == 0) {
        return Ok((extent, Io::Zero(extent, space)));
    }
    if extent.blocks > u64::from(PATTERN_BYTES_MAX / block_bytes.max(1)) {
        return Err(Reason::InvalidFieldInCdb.into());
    }
    Ok((extent, Io::WriteSame(extent)))
}

/// For commands that would do something else with other data than they describe.
fn exactly(bytes: u64, data: DataOut<'_>) -> Result<(), Sense> {
    let right = data.announced == bytes && data.bytes.len() as u64 == bytes;
    if right { Ok(()) } else { Err(Reason::InvalidFieldInCdb.into()) }
}

/// The parameter list of UNMAP (SBC-3 section 5.28): a range that ends beyond the list is none.
fn unmap(length: u32, disk: &Disk, data: DataOut<'_>) -> Result<Step, Sense> {
    const HEADER_BYTES: usize = 8;
    const RANGE_BYTES: usize = 16;
    if length == 0 {
        return Ok(Step::Done(Outcome::good(Vec::new())));
    }
    let list = data.bytes.get(..length as usize).ok_or(Reason::ParameterListLength)?;
    let (header, ranges) = list.split_at_checked(HEADER_BYTES).ok_or(Reason::ParameterListLength)?;
    let described = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let ranges = &ranges[..ranges.len().min(described)];
    if ranges.len() / RANGE_BYTES > UNMAP_RANGES_MAX as usize {
        return Err(Sense::parameter(2));
    }
    let (mut extents, mut blocks) = (Vec::new(), 0);
    for (number, range) in ranges.chunks_exact(RANGE_BYTES).enumerate() {
        let (block, rest) = range.split_first_chunk().ok_or(Reason::ParameterListLength)?;
        let (count, _) = rest.split_first_chunk().ok_or(Reason::ParameterListLength)?;
        let extent = Extent { block: u64::from_be_bytes(*block), blocks: u32::from_be_bytes(*count).into() };
        if !disk.geometry.contains(extent) {
            return Err(Reason::OutOfRange.into());
        }
        blocks += extent.blocks;
        if blocks > UNMAP_BLOCKS_MAX.into() {
            return Err(Sense::parameter((HEADER_BYTES + RANGE_BYTES * number + 8) as u16));
        }
        if extent.blocks > 0 {
            extents.push(extent);
        }
    }
    Ok(if extents.is_empty() { Step::Done(Outcome::good(Vec::new())) } else { Step::Io(Io::Unmap(extents)) })
}
