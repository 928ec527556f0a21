//! Answers that tell of the disk: READ CAPACITY, REPORT LUNS, GET LBA STATUS, supported task management.

use super::command::LunSelection;
use super::identity::{Disk, Provisioning};
use super::step::{Extent, Run};

/// READ CAPACITY(10) (SBC-3 section 5.15).
pub(super) fn capacity_10(disk: &Disk) -> Vec<u8> {
    let last = disk.geometry.blocks.saturating_sub(1);
    // FFFFFFFFh sends the initiator to READ CAPACITY(16).
    let mut bytes = u32::try_from(last).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    bytes.extend(disk.geometry.block_bytes.to_be_bytes());
    bytes
}

/// READ CAPACITY(16) (SBC-3 section 5.16).
pub(super) fn capacity_16(disk: &Disk) -> Vec<u8> {
    const LBPME_LBPRZ: u8 = 0xc0;
    let mut bytes = disk.geometry.blocks.saturating_sub(1).to_be_bytes().to_vec();
    bytes.extend(disk.geometry.block_bytes.to_be_bytes());
    bytes.resize(32, 0);
    bytes[13] = disk.geometry.physical_exponent & 0x0f;
    if matches!(disk.provisioning, Provisioning::Thin { .. }) {
        bytes[14] = LBPME_LBPRZ;
    }
    bytes
}

/// REPORT LUNS (SPC-4 section 6.33): LUN 0 alone.
pub(super) fn luns(select: LunSelection) -> Vec<u8> {
    match select {
        LunSelection::Addressable => [[0, 0, 0, 8, 0, 0, 0, 0], [0; 8]].concat(),
        LunSelection::WellKnown => vec![0; 8],
    }
}

/// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 section 6.36): ABORT TASK, ABORT TASK SET, CLEAR TASK SET and
/// LOGICAL UNIT RESET.
pub(super) fn task_management(extended: bool) -> Vec<u8> {
    const ATS_ATSS_CTSS_LURS: u8 = 0xd8;
    if !extended {
        return vec![ATS_ATSS_CTSS_LURS, 0, 0, 0];
    }
    let mut bytes = vec![0; 16];
    bytes[0] = ATS_ATSS_CTSS_LURS;
    bytes[3] = 12;
    bytes
}

/// How many runs fit into an answer to GET LBA STATUS: one at least, since there is one.
pub(super) fn runs_max(allocation: u32) -> usize {
    let room = (allocation as usize).saturating_sub(8) / 16;
    room.clamp(1, super::limits::STATUS_RANGES_MAX)
}

/// The parameter data of GET LBA STATUS (SBC-3 section 5.4). Runs beyond `extent` or `runs_max` are left out.
pub(super) fn lba_status(extent: Extent, runs: &[Run], runs_max: usize) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    let (mut block, mut left) = (extent.block, extent.blocks);
    for run in runs.iter().take(runs_max) {
        let blocks = u64::from(run.blocks).min(left);
        if blocks == 0 {
            break;
        }
        bytes.extend(block.to_be_bytes());
        bytes.extend((blocks as u32).to_be_bytes());
        bytes.extend([run.state as u8, 0, 0, 0]);
        (block, left) = (block + blocks, left - blocks);
    }
    let length = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}
