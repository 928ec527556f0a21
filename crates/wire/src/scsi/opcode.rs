//! Operation codes, and what REPORT SUPPORTED OPERATION CODES tells of them (SPC-4 section 6.34).

use super::cdb::Cdb;
use super::command::{Operations, Timeouts};
use super::identity::Provisioning;
use super::sense::Sense;

pub(super) const TEST_UNIT_READY: u8 = 0x00;
pub(super) const REQUEST_SENSE: u8 = 0x03;
pub(super) const READ_6: u8 = 0x08;
pub(super) const WRITE_6: u8 = 0x0a;
pub(super) const INQUIRY: u8 = 0x12;
pub(super) const MODE_SELECT_6: u8 = 0x15;
pub(super) const RESERVE_6: u8 = 0x16;
pub(super) const RELEASE_6: u8 = 0x17;
pub(super) const MODE_SENSE_6: u8 = 0x1a;
pub(super) const START_STOP_UNIT: u8 = 0x1b;
pub(super) const READ_CAPACITY_10: u8 = 0x25;
pub(super) const READ_10: u8 = 0x28;
pub(super) const WRITE_10: u8 = 0x2a;
pub(super) const WRITE_VERIFY_10: u8 = 0x2e;
pub(super) const VERIFY_10: u8 = 0x2f;
pub(super) const PREFETCH_10: u8 = 0x34;
pub(super) const SYNCHRONIZE_CACHE_10: u8 = 0x35;
pub(super) const WRITE_SAME_10: u8 = 0x41;
pub(super) const UNMAP: u8 = 0x42;
pub(super) const MODE_SELECT_10: u8 = 0x55;
pub(super) const RESERVE_10: u8 = 0x56;
pub(super) const RELEASE_10: u8 = 0x57;
pub(super) const MODE_SENSE_10: u8 = 0x5a;
pub(super) const PERSISTENT_RESERVE_IN: u8 = 0x5e;
pub(super) const PERSISTENT_RESERVE_OUT: u8 = 0x5f;
pub(super) const READ_16: u8 = 0x88;
pub(super) const COMPARE_AND_WRITE: u8 = 0x89;
pub(super) const WRITE_16: u8 = 0x8a;
pub(super) const ORWRITE_16: u8 = 0x8b;
pub(super) const WRITE_VERIFY_16: u8 = 0x8e;
pub(super) const VERIFY_16: u8 = 0x8f;
pub(super) const PREFETCH_16: u8 = 0x90;
pub(super) const SYNCHRONIZE_CACHE_16: u8 = 0x91;
pub(super) const WRITE_SAME_16: u8 = 0x93;
pub(super) const SERVICE_ACTION_IN_16: u8 = 0x9e;
pub(super) const REPORT_LUNS: u8 = 0xa0;
pub(super) const MAINTENANCE_IN: u8 = 0xa3;
pub(super) const READ_12: u8 = 0xa8;
pub(super) const WRITE_12: u8 = 0xaa;
pub(super) const WRITE_VERIFY_12: u8 = 0xae;
pub(super) const VERIFY_12: u8 = 0xaf;

pub(super) const READ_CAPACITY_16_ACTION: u16 = 0x10;
pub(super) const GET_LBA_STATUS_ACTION: u16 = 0x12;
pub(super) const REPORT_OPERATIONS_ACTION: u16 = 0x0c;
pub(super) const REPORT_TASK_MANAGEMENT_ACTION: u16 = 0x0d;

/// How many bytes a CDB has, by the group of its operation code (SPC-4 table 27).
pub(super) fn length(opcode: u8) -> usize {
    match opcode >> 5 {
        0 => 6,
        1 | 2 => 10,
        4 => 16,
        5 => 12,
        // Reserved and vendor-specific groups, of which nothing is known here.
        _ => 16,
    }
}

/// Whether a command is done although a unit attention waits, which it leaves waiting; REQUEST SENSE reports it
/// in its own way (SAM-5 section 5.14).
pub(super) fn ignores_attentions(opcode: u8) -> bool {
    matches!(opcode, INQUIRY | REPORT_LUNS | REQUEST_SENSE)
}

/// One command with the bits of its CDB that are looked at, or that may be set without harm.
struct Operation {
    usage: Cdb,
    action: Option<u16>,
}

/// Bits 7 to 5 of byte 1 are left out wherever they ask for protection information, which is refused.
const fn plain(usage: Cdb) -> Operation {
    Operation { usage, action: None }
}

/// Byte 1 of the usage has the service action itself, not a mask.
const fn action(usage: Cdb) -> Operation {
    let action = Some((usage[1] & 0x1f) as u16);
    Operation { usage, action }
}

const fn cdb<const N: usize>(bytes: [u8; N]) -> Cdb {
    let mut cdb = [0; 16];
    let mut at = 0;
    while at < N {
        cdb[at] = bytes[at];
        at += 1;
    }
    cdb
}

/// The layout of a command with 10 bytes: flags, address, group number, number of blocks.
const fn ten(opcode: u8, flags: u8) -> Operation {
    plain(cdb([opcode, flags, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0]))
}

const fn twelve(opcode: u8, flags: u8) -> Operation {
    plain(cdb([opcode, flags, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0]))
}

const fn sixteen(opcode: u8, flags: u8) -> Operation {
    let address = [0xff; 8];
    let [a, b, c, d, e, f, g, h] = address;
    plain([opcode, flags, a, b, c, d, e, f, g, h, 0xff, 0xff, 0xff, 0xff, 0x1f, 0])
}

const DPO_FUA: u8 = 0x18;
const DPO_BYTCHK: u8 = 0x16;
const IMMED: u8 = 0x02;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    plain(cdb([TEST_UNIT_READY, 0, 0, 0, 0, 0])),
    plain(cdb([REQUEST_SENSE, 0x01, 0, 0, 0xff, 0])),
    plain(cdb([READ_6, 0x1f, 0xff, 0xff, 0xff, 0])),
    plain(cdb([WRITE_6, 0x1f, 0xff, 0xff, 0xff, 0])),
    plain(cdb([INQUIRY, 0x01, 0xff, 0xff, 0xff, 0])),
    plain(cdb([MODE_SELECT_6, 0x10, 0, 0, 0xff, 0])),
    plain(cdb([RESERVE_6, 0, 0, 0, 0, 0])),
    plain(cdb([RELEASE_6, 0, 0, 0, 0, 0])),
    plain(cdb([MODE_SENSE_6, 0x08, 0xff, 0xff, 0xff, 0])),
    plain(cdb([START_STOP_UNIT, 0x01, 0, 0x0f, 0xf7, 0])),
    plain(cdb([READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0x01, 0])),
    ten(READ_10, DPO_FUA),
    ten(WRITE_10, DPO_FUA),
    ten(WRITE_VERIFY_10, DPO_BYTCHK),
    ten(VERIFY_10, DPO_BYTCHK),
    ten(PREFETCH_10, IMMED),
    ten(SYNCHRONIZE_CACHE_10, IMMED),
    ten(WRITE_SAME_10, 0x08),
    plain(cdb([UNMAP, 0, 0, 0, 0, 0, 0x1f, 0xff, 0xff, 0])),
    plain(cdb([MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0])),
    plain(cdb([RESERVE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    plain(cdb([RELEASE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    plain(cdb([MODE_SENSE_10, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_IN, 0x00, 0, 0, 0, 0, 0, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_IN, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_IN, 0x02, 0, 0, 0, 0, 0, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_IN, 0x03, 0, 0, 0, 0, 0, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_OUT, 0x00, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_OUT, 0x01, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_OUT, 0x02, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_OUT, 0x03, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_OUT, 0x04, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_OUT, 0x05, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0])),
    action(cdb([PERSISTENT_RESERVE_OUT, 0x06, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0])),
    sixteen(READ_16, DPO_FUA),
    plain([COMPARE_AND_WRITE, DPO_FUA, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0x1f, 0]),
    sixteen(WRITE_16, DPO_FUA),
    sixteen(ORWRITE_16, DPO_FUA),
    sixteen(WRITE_VERIFY_16, DPO_BYTCHK),
    sixteen(VERIFY_16, DPO_BYTCHK),
    sixteen(PREFETCH_16, IMMED),
    sixteen(SYNCHRONIZE_CACHE_16, IMMED),
    sixteen(WRITE_SAME_16, 0x09),
    action([SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    action([SERVICE_ACTION_IN_16, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    plain(cdb([REPORT_LUNS, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0])),
    action(cdb([MAINTENANCE_IN, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0])),
    action(cdb([MAINTENANCE_IN, 0x0d, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0])),
    twelve(READ_12, DPO_FUA),
    twelve(WRITE_12, DPO_FUA),
    twelve(WRITE_VERIFY_12, DPO_BYTCHK),
    twelve(VERIFY_12, DPO_BYTCHK),
];

/// The command timeouts descriptor that indicates none.
const NO_TIMEOUTS: [u8; 12] = [0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The parameter data of REPORT SUPPORTED OPERATION CODES.
pub(super) fn report(which: Operations, timeouts: Timeouts, kind: Provisioning) -> Result<Vec<u8>, Sense> {
    let known =
        || OPERATIONS.iter().filter(|operation| kind != Provisioning::Thick || operation.usage[0] != UNMAP);
    let of = |opcode| known().filter(move |operation| operation.usage[0] == opcode);
    let find = |opcode, action| of(opcode).find(|operation| operation.action == action);
    let has_actions = |opcode| of(opcode).any(|operation| operation.action.is_some());
    match which {
        Operations::All => Ok(all(known(), timeouts)),
        Operations::Plain(opcode) if has_actions(opcode) => Err(Sense::cdb_bit(2, 2)),
        Operations::Plain(opcode) => Ok(one(find(opcode, None), timeouts)),
        Operations::Action(opcode, _) if find(opcode, None).is_some() => Err(Sense::cdb_bit(2, 2)),
        Operations::Action(opcode, action) => Ok(one(find(opcode, Some(action)), timeouts)),
        Operations::Either(opcode, action) if has_actions(opcode) => {
            Ok(one(find(opcode, Some(action)), timeouts))
        }
        // A service action that is not zero belongs to no command without them.
        Operations::Either(opcode, 0) => Ok(one(find(opcode, None), timeouts)),
        Operations::Either(..) => Ok(one(None, timeouts)),
    }
}

fn all<'a>(operations: impl Iterator<Item = &'a Operation>, timeouts: Timeouts) -> Vec<u8> {
    const CTDP: u8 = 0x02;
    const SERVACTV: u8 = 0x01;
    let mut bytes = vec![0; 4];
    for operation in operations {
        let opcode = operation.usage[0];
        let [high, low] = operation.action.unwrap_or(0).to_be_bytes();
        let mut flags = if operation.action.is_some() { SERVACTV } else { 0 };
        if timeouts == Timeouts::Include {
            flags |= CTDP;
        }
        bytes.extend([opcode, 0, high, low, 0, flags, 0, length(opcode) as u8]);
        if timeouts == Timeouts::Include {
            bytes.extend(NO_TIMEOUTS);
        }
    }
    let list = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&list.to_be_bytes());
    bytes
}

fn one(found: Option<&Operation>, timeouts: Timeouts) -> Vec<u8> {
    const CTDP: u8 = 0x80;
    const NOT_SUPPORTED: u8 = 1;
    const AS_IN_THE_STANDARD: u8 = 3;
    let Some(operation) = found else { return vec![0, NOT_SUPPORTED, 0, 0] };
    let len = length(operation.usage[0]);
    let mut bytes = vec![0, AS_IN_THE_STANDARD, 0, len as u8];
    bytes.extend(&operation.usage[..len]);
    if timeouts == Timeouts::Include {
        bytes[1] |= CTDP;
        bytes.extend(NO_TIMEOUTS);
    }
    bytes
}
