//! Command descriptor blocks: 16 bytes to a [`Command`] (SPC-4 section 4.2, SBC-3 section 5).
//!
//! Fields that change nothing here are not looked at: DPO, RARC, IMMED, GROUP NUMBER, and bits that are reserved.
//! Fields that would change what is done, and that are not supported, are refused with a pointer to them: protection
//! information, NACA, ANCHOR, PBDATA and LBDATA, saving of mode pages.

use super::command::{
    BlockDescriptors, Command, InquiryPage, LunSelection, ModeHeader, ModeSense, Motor, Operations,
    PageValues, PersistentIn, PersistentOut, Timeouts,
};
use super::opcode as op;
use super::sense::{Reason, Sense, SenseFormat};
use super::step::{Compare, Durability, Extent, Fill, Space};

/// A CDB as the SCSI Command PDU carries it: shorter ones are padded with zeros.
pub type Cdb = [u8; 16];

/// What a CDB asks for, or why it cannot be understood.
pub fn decode(cdb: &Cdb) -> Result<Command, Sense> {
    let command = by_opcode(cdb)?;
    const NACA: u8 = 0x04;
    let control = op::length(cdb[0]) - 1;
    if cdb[control] & NACA != 0 {
        return Err(Sense::cdb_bit(control as u16, 2));
    }
    Ok(command)
}

fn by_opcode(cdb: &Cdb) -> Result<Command, Sense> {
    Ok(match cdb[0] {
        op::TEST_UNIT_READY => Command::TestUnitReady,
        op::REQUEST_SENSE => {
            let format = if cdb[1] & 1 == 0 { SenseFormat::Fixed } else { SenseFormat::Descriptor };
            Command::RequestSense { format, allocation: cdb[4].into() }
        }
        op::INQUIRY => inquiry(cdb)?,
        op::MODE_SENSE_6 | op::MODE_SENSE_10 => mode_sense(cdb)?,
        op::MODE_SELECT_6 | op::MODE_SELECT_10 => mode_select(cdb)?,
        op::READ_CAPACITY_10 => read_capacity_10(cdb)?,
        op::SERVICE_ACTION_IN_16 => service_action_in(cdb)?,
        op::REPORT_LUNS => report_luns(cdb)?,
        op::MAINTENANCE_IN => maintenance_in(cdb)?,
        op::READ_6 | op::READ_10 | op::READ_12 | op::READ_16 => Command::Read(unprotected(cdb)?),
        op::WRITE_6 | op::WRITE_10 | op::WRITE_12 | op::WRITE_16 => {
            Command::Write(unprotected(cdb)?, durability(cdb))
        }
        op::WRITE_VERIFY_10 | op::WRITE_VERIFY_12 | op::WRITE_VERIFY_16 => {
            let extent = unprotected(cdb)?;
            match compare(cdb)? {
                // BYTCHK=11b is for VERIFY only.
                Compare::OneBlock => return Err(Sense::cdb_bit(1, 2)),
                how => Command::WriteVerify(extent, how),
            }
        }
        op::VERIFY_10 | op::VERIFY_12 | op::VERIFY_16 => Command::Verify(unprotected(cdb)?, compare(cdb)?),
        op::ORWRITE_16 => Command::OrWrite(unprotected(cdb)?, durability(cdb)),
        op::COMPARE_AND_WRITE => {
            protection(cdb)?;
            let extent = Extent { block: u64_at(cdb, 2), blocks: cdb[13].into() };
            Command::CompareAndWrite(extent, durability(cdb))
        }
        op::WRITE_SAME_10 | op::WRITE_SAME_16 => write_same(cdb)?,
        op::UNMAP if cdb[1] & 1 != 0 => return Err(Sense::cdb_bit(1, 0)), // ANCHOR
        op::UNMAP => Command::Unmap { length: u16_at(cdb, 7).into() },
        op::SYNCHRONIZE_CACHE_10 | op::SYNCHRONIZE_CACHE_16 => Command::SynchronizeCache(extent(cdb)),
        op::PREFETCH_10 | op::PREFETCH_16 => Command::Prefetch(extent(cdb)),
        op::START_STOP_UNIT => {
            let starts = cdb[4] & 0xf1 == 1;
            Command::StartStop(if starts { Motor::Start } else { Motor::Other })
        }
        op::RESERVE_6 | op::RESERVE_10 | op::RELEASE_6 | op::RELEASE_10 => simple_reservation(cdb)?,
        op::PERSISTENT_RESERVE_IN => persistent_in(cdb)?,
        op::PERSISTENT_RESERVE_OUT => persistent_out(cdb)?,
        _ => return Err(Reason::InvalidOpcode.into()),
    })
}

/// Where the blocks are, by the layout that the group of the operation code has.
fn extent(cdb: &Cdb) -> Extent {
    match cdb[0] >> 5 {
        0 => {
            let block = u64::from(u32_at(cdb, 0) & 0x001f_ffff);
            // The only length in which no blocks are many.
            Extent { block, blocks: if cdb[4] == 0 { 256 } else { cdb[4].into() } }
        }
        1 | 2 => Extent { block: u32_at(cdb, 2).into(), blocks: u16_at(cdb, 7).into() },
        5 => Extent { block: u32_at(cdb, 2).into(), blocks: u32_at(cdb, 6).into() },
        _ => Extent { block: u64_at(cdb, 2), blocks: u32_at(cdb, 10).into() },
    }
}

/// The extent of a command that may ask for protection information.
fn unprotected(cdb: &Cdb) -> Result<Extent, Sense> {
    protection(cdb)?;
    Ok(extent(cdb))
}

/// RDPROTECT, WRPROTECT, VRPROTECT, ORPROTECT: the disk is formatted without.
fn protection(cdb: &Cdb) -> Result<(), Sense> {
    // In CDBs of 6 bytes these bits were once the number of the logical unit, and then part of the address.
    let none = cdb[0] >> 5 == 0 || cdb[1] & 0xe0 == 0;
    if none { Ok(()) } else { Err(Sense::cdb_bit(1, 7)) }
}

fn durability(cdb: &Cdb) -> Durability {
    const FUA: u8 = 0x08;
    let asked = cdb[0] >> 5 != 0 && cdb[1] & FUA != 0;
    if asked { Durability::Stable } else { Durability::Cached }
}

fn compare(cdb: &Cdb) -> Result<Compare, Sense> {
    match cdb[1] >> 1 & 3 {
        0 => Ok(Compare::Medium),
        1 => Ok(Compare::Data),
        3 => Ok(Compare::OneBlock),
        _ => Err(Sense::cdb_bit(1, 2)),
    }
}

fn inquiry(cdb: &Cdb) -> Result<Command, Sense> {
    const EVPD: u8 = 1;
    let page = match (cdb[1] & EVPD, cdb[2]) {
        (0, 0) => InquiryPage::Standard,
        (0, _) => return Err(Sense::cdb(2)),
        (_, page) => InquiryPage::Vital(page),
    };
    Ok(Command::Inquiry { page, allocation: u16_at(cdb, 3).into() })
}

fn mode_sense(cdb: &Cdb) -> Result<Command, Sense> {
    const DBD: u8 = 0x08;
    const LLBAA: u8 = 0x10;
    let (header, allocation) = match cdb[0] {
        op::MODE_SENSE_6 => (ModeHeader::Short, cdb[4].into()),
        _ => (ModeHeader::Long, u16_at(cdb, 7).into()),
    };
    let descriptors = match header {
        _ if cdb[1] & DBD != 0 => BlockDescriptors::None,
        ModeHeader::Long if cdb[1] & LLBAA != 0 => BlockDescriptors::Long,
        _ => BlockDescriptors::Short,
    };
    let values = match cdb[2] >> 6 {
        0 => PageValues::Current,
        1 => PageValues::Changeable,
        2 => PageValues::Default,
        _ => return Err(Reason::SavingNotSupported.into()),
    };
    let sense = ModeSense { header, page: cdb[2] & 0x3f, subpage: cdb[3], values, descriptors, allocation };
    Ok(Command::ModeSense(sense))
}

fn mode_select(cdb: &Cdb) -> Result<Command, Sense> {
    const PAGE_FORMAT: u8 = 0x10;
    const SAVE_PAGES: u8 = 0x01;
    let (header, length) = match cdb[0] {
        op::MODE_SELECT_6 => (ModeHeader::Short, cdb[4].into()),
        _ => (ModeHeader::Long, u16_at(cdb, 7).into()),
    };
    if cdb[1] & PAGE_FORMAT == 0 {
        return Err(Sense::cdb_bit(1, 4));
    }
    if cdb[1] & SAVE_PAGES != 0 {
        return Err(Sense::cdb_bit(1, 0));
    }
    Ok(Command::ModeSelect { header, length })
}

/// PMI and the address that went with it are obsolete: an address without PMI is an error since SBC.
fn read_capacity_10(cdb: &Cdb) -> Result<Command, Sense> {
    const PMI: u8 = 1;
    if cdb[8] & PMI == 0 && u32_at(cdb, 2) != 0 {
        return Err(Sense::cdb(2));
    }
    Ok(Command::ReadCapacity10)
}

fn service_action_in(cdb: &Cdb) -> Result<Command, Sense> {
    let allocation = u32_at(cdb, 10);
    match u16::from(cdb[1] & 0x1f) {
        op::READ_CAPACITY_16_ACTION => Ok(Command::ReadCapacity16 { allocation }),
        op::GET_LBA_STATUS_ACTION => Ok(Command::GetLbaStatus { block: u64_at(cdb, 2), allocation }),
        _ => Err(Reason::InvalidOpcode.into()),
    }
}

fn report_luns(cdb: &Cdb) -> Result<Command, Sense> {
    let allocation = u32_at(cdb, 6);
    let select = match cdb[2] {
        0 | 2 => LunSelection::Addressable,
        1 => LunSelection::WellKnown,
        _ => return Err(Sense::cdb(2)),
    };
    // SPC-4 section 6.33: room for the header and one entry is the least.
    if allocation < 16 {
        return Err(Sense::cdb(6));
    }
    Ok(Command::ReportLuns { select, allocation })
}

fn maintenance_in(cdb: &Cdb) -> Result<Command, Sense> {
    let allocation = u32_at(cdb, 6);
    match u16::from(cdb[1] & 0x1f) {
        op::REPORT_OPERATIONS_ACTION => {
            const RCTD: u8 = 0x80;
            let (opcode, action) = (cdb[3], u16_at(cdb, 4));
            let which = match cdb[2] & 7 {
                0 => Operations::All,
                1 => Operations::Plain(opcode),
                2 => Operations::Action(opcode, action),
                3 => Operations::Either(opcode, action),
                _ => return Err(Sense::cdb_bit(2, 2)),
            };
            let timeouts = if cdb[2] & RCTD == 0 { Timeouts::Omit } else { Timeouts::Include };
            Ok(Command::ReportOperations { which, timeouts, allocation })
        }
        op::REPORT_TASK_MANAGEMENT_ACTION => {
            // SPC-4 section 6.36: fewer than four bytes are not allowed.
            if allocation < 4 {
                return Err(Sense::cdb(6));
            }
            Ok(Command::ReportTaskManagement { extended: cdb[2] & 0x80 != 0, allocation })
        }
        _ => Err(Reason::InvalidOpcode.into()),
    }
}

fn write_same(cdb: &Cdb) -> Result<Command, Sense> {
    const ANCHOR: u8 = 0x10;
    const UNMAP: u8 = 0x08;
    const PBDATA_LBDATA: u8 = 0x06;
    const NDOB: u8 = 0x01;
    let extent = unprotected(cdb)?;
    if cdb[1] & ANCHOR != 0 {
        return Err(Sense::cdb_bit(1, 4));
    }
    if cdb[1] & PBDATA_LBDATA != 0 {
        return Err(Sense::cdb_bit(1, 2));
    }
    let no_data = cdb[0] == op::WRITE_SAME_16 && cdb[1] & NDOB != 0;
    let fill = if no_data { Fill::Zeros } else { Fill::Data };
    let space = if cdb[1] & UNMAP != 0 { Space::MayRelease } else { Space::Keep };
    Ok(Command::WriteSame(extent, fill, space))
}

/// RESERVE and RELEASE of the whole unit for oneself (SPC-2 sections 7.16 to 7.22): third parties and extents are
/// long gone.
fn simple_reservation(cdb: &Cdb) -> Result<Command, Sense> {
    const THIRD_PARTY: u8 = 0x10;
    const EXTENT: u8 = 0x01;
    if cdb[1] & THIRD_PARTY != 0 {
        return Err(Sense::cdb_bit(1, 4));
    }
    if cdb[1] & EXTENT != 0 {
        return Err(Sense::cdb_bit(1, 0));
    }
    let reserves = matches!(cdb[0], op::RESERVE_6 | op::RESERVE_10);
    Ok(if reserves { Command::Reserve } else { Command::Release })
}

fn persistent_in(cdb: &Cdb) -> Result<Command, Sense> {
    let action = match u16::from(cdb[1] & 0x1f) {
        0 => PersistentIn::ReadKeys,
        1 => PersistentIn::ReadReservation,
        2 => PersistentIn::ReportCapabilities,
        3 => PersistentIn::ReadFullStatus,
        _ => return Err(Sense::cdb_bit(1, 4)),
    };
    Ok(Command::PersistentIn { action, allocation: u16_at(cdb, 7).into() })
}

fn persistent_out(cdb: &Cdb) -> Result<Command, Sense> {
    let action = match cdb[1] & 0x1f {
        0 => PersistentOut::Register,
        1 => PersistentOut::Reserve,
        2 => PersistentOut::Release,
        3 => PersistentOut::Clear,
        4 => PersistentOut::Preempt,
        5 => PersistentOut::PreemptAndAbort,
        6 => PersistentOut::RegisterAndIgnore,
        _ => return Err(Sense::cdb_bit(1, 4)),
    };
    Ok(Command::PersistentOut { action, scope_and_type: cdb[2], length: u32_at(cdb, 5) })
}

fn u16_at(cdb: &Cdb, at: usize) -> u16 {
    u16::from_be_bytes([cdb[at], cdb[at + 1]])
}

fn u32_at(cdb: &Cdb, at: usize) -> u32 {
    u32::from(u16_at(cdb, at)) << 16 | u32::from(u16_at(cdb, at + 2))
}

fn u64_at(cdb: &Cdb, at: usize) -> u64 {
    u64::from(u32_at(cdb, at)) << 32 | u64::from(u32_at(cdb, at + 4))
}
