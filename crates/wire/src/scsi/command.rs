//! Commands as meaning: what a CDB asks for, before it is held against a disk.

use super::sense::SenseFormat;
use super::step::{Compare, Durability, Extent, Fill, Space};

/// What a CDB asks for. Allocation lengths are the most bytes that the initiator takes, list lengths are what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// TEST UNIT READY.
    TestUnitReady,
    /// REQUEST SENSE.
    RequestSense {
        /// DESC.
        format: SenseFormat,
        /// Allocation length.
        allocation: u32,
    },
    /// INQUIRY.
    Inquiry {
        /// What of it.
        page: InquiryPage,
        /// Allocation length.
        allocation: u32,
    },
    /// MODE SENSE(6) and (10).
    ModeSense(ModeSense),
    /// MODE SELECT(6) and (10).
    ModeSelect {
        /// Which of the two.
        header: ModeHeader,
        /// Parameter list length.
        length: u32,
    },
    /// READ CAPACITY(10).
    ReadCapacity10,
    /// READ CAPACITY(16).
    ReadCapacity16 {
        /// Allocation length.
        allocation: u32,
    },
    /// GET LBA STATUS.
    GetLbaStatus {
        /// From this block on.
        block: u64,
        /// Allocation length.
        allocation: u32,
    },
    /// REPORT LUNS.
    ReportLuns {
        /// SELECT REPORT, checked.
        select: LunSelection,
        /// Allocation length.
        allocation: u32,
    },
    /// REPORT SUPPORTED OPERATION CODES.
    ReportOperations {
        /// Which ones.
        which: Operations,
        /// RCTD.
        timeouts: Timeouts,
        /// Allocation length.
        allocation: u32,
    },
    /// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
    ReportTaskManagement {
        /// REPD: 16 bytes instead of 4.
        extended: bool,
        /// Allocation length.
        allocation: u32,
    },
    /// READ(6), (10), (12) and (16).
    Read(Extent),
    /// WRITE(6), (10), (12) and (16).
    Write(Extent, Durability),
    /// WRITE AND VERIFY(10), (12) and (16).
    WriteVerify(Extent, Compare),
    /// VERIFY(10), (12) and (16).
    Verify(Extent, Compare),
    /// ORWRITE(16).
    OrWrite(Extent, Durability),
    /// COMPARE AND WRITE.
    CompareAndWrite(Extent, Durability),
    /// WRITE SAME(10) and (16).
    WriteSame(Extent, Fill, Space),
    /// UNMAP.
    Unmap {
        /// Parameter list length.
        length: u32,
    },
    /// SYNCHRONIZE CACHE(10) and (16).
    SynchronizeCache(Extent),
    /// PRE-FETCH(10) and (16).
    Prefetch(Extent),
    /// START STOP UNIT.
    StartStop(Motor),
    /// RESERVE(6) and (10).
    Reserve,
    /// RELEASE(6) and (10).
    Release,
    /// PERSISTENT RESERVE IN.
    PersistentIn {
        /// Service action.
        action: PersistentIn,
        /// Allocation length.
        allocation: u32,
    },
    /// PERSISTENT RESERVE OUT.
    PersistentOut {
        /// Service action.
        action: PersistentOut,
        /// SCOPE and TYPE, which only some actions look at.
        scope_and_type: u8,
        /// Parameter list length.
        length: u32,
    },
}

/// What INQUIRY asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InquiryPage {
    /// The standard data.
    Standard,
    /// A page of vital product data.
    Vital(u8),
}

/// What MODE SENSE asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSense {
    /// Which of the two commands.
    pub header: ModeHeader,
    /// PAGE CODE; 3Fh for all.
    pub page: u8,
    /// SUBPAGE CODE; FFh for all.
    pub subpage: u8,
    /// PC.
    pub values: PageValues,
    /// What block descriptors go with it.
    pub descriptors: BlockDescriptors,
    /// Allocation length.
    pub allocation: u32,
}

/// How long the header of a list of mode pages is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeHeader {
    /// 4 bytes: MODE SENSE(6), MODE SELECT(6).
    Short,
    /// 8 bytes: MODE SENSE(10), MODE SELECT(10).
    Long,
}

/// Which values of mode pages (PC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageValues {
    /// Those in force.
    Current,
    /// A mask of what MODE SELECT can change.
    Changeable,
    /// Those from the start.
    Default,
}

/// The block descriptor before mode pages (DBD, LLBAA).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockDescriptors {
    /// None.
    None,
    /// 8 bytes, with 32 bits for the number of blocks.
    Short,
    /// 16 bytes.
    Long,
}

/// Which logical units REPORT LUNS lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LunSelection {
    /// Those that are no well-known ones (SELECT REPORT 00h), or all (02h): here the same.
    Addressable,
    /// Well-known ones (01h), of which there are none.
    WellKnown,
}

/// Which operation codes are asked for (REPORTING OPTIONS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// All.
    All,
    /// 001b: one that has no service actions.
    Plain(u8),
    /// 010b: one service action of one that has them.
    Action(u8, u16),
    /// 011b: one, whichever of the two it is.
    Either(u8, u16),
}

/// Whether command timeouts are told (RCTD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeouts {
    /// They are not.
    Omit,
    /// They are, as "no timeout is indicated".
    Include,
}

/// What START STOP UNIT wants of a motor that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motor {
    /// START with no power condition, which reservations allow.
    Start,
    /// Everything else.
    Other,
}

/// Service actions of PERSISTENT RESERVE IN (SPC-4 table 212).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersistentIn {
    /// 00h: all keys.
    ReadKeys,
    /// 01h: the reservation.
    ReadReservation,
    /// 02h: what is supported.
    ReportCapabilities,
    /// 03h: all registrations with their initiator ports.
    ReadFullStatus,
}

/// Service actions of PERSISTENT RESERVE OUT (SPC-4 table 225). REGISTER AND MOVE (07h) and REPLACE LOST RESERVATION
/// (08h) are left out: no initiator of a boot disk moves a reservation, and none is ever lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersistentOut {
    /// 00h.
    Register,
    /// 01h.
    Reserve,
    /// 02h.
    Release,
    /// 03h.
    Clear,
    /// 04h.
    Preempt,
    /// 05h: as PREEMPT, and the commands of those who lose their registration are aborted.
    PreemptAndAbort,
    /// 06h: REGISTER AND IGNORE EXISTING KEY.
    RegisterAndIgnore,
}
