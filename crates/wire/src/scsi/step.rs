//! What passes between a logical unit and the service that owns its image.

use super::sense::{Reason, Status};

/// How much data a command moves, as its CDB says and before any arrive; an initiator that announces another length
/// gets a residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// None; also for a command that will fail by its CDB alone.
    None,
    /// At most so many bytes to the initiator.
    In(u64),
    /// So many bytes from the initiator.
    Out(u64),
}

/// The data from the initiator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataOut<'a> {
    /// How many bytes it announced (the expected data transfer length of a write); commands that would do something
    /// else with less, or with more, are refused.
    pub announced: u64,
    /// The bytes, all that were announced, or as many as [`Transfer::Out`] said where those are fewer.
    pub bytes: &'a [u8],
}

impl DataOut<'_> {
    /// For a command without.
    pub const NONE: DataOut<'static> = DataOut { announced: 0, bytes: &[] };
}

/// A run of blocks. One that is in an [`Io`] lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first logical block.
    pub block: u64,
    /// How many there are; none is allowed.
    pub blocks: u64,
}

/// When a write counts as done: the FUA bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As soon as a read would see it; the initiator flushes when it must.
    Cached,
    /// Only when it survives a loss of power.
    Stable,
}

/// What blocks are verified against: the BYTCHK field of VERIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Nothing; it is enough that they can be read.
    Medium,
    /// The data from the initiator, byte by byte.
    Data,
    /// One block from the initiator, which each of them must equal.
    OneBlock,
}

/// What WRITE SAME fills blocks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The one block that the initiator sent.
    Data,
    /// Zeros.
    Zeros,
}

/// What is to become of the space below blocks that are filled with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// It is kept.
    Keep,
    /// It may be given back.
    MayRelease,
}

/// What the service has to do to the image. All extents lie on the disk, and the data from the initiator, which the
/// service still has, are as long as the extent unless another length is told here; a part of a block may follow them,
/// which is of no meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Io {
    /// Read the blocks; they are the data to the initiator.
    Read(Extent),
    /// Write the data.
    Write(Extent, Durability),
    /// Write the data so that they are stable, and read them back as it says.
    WriteVerify(Extent, Compare),
    /// Read the blocks and compare them.
    Verify(Extent, Compare),
    /// Replace each bit by itself OR the bit of the data, atomically for this logical unit.
    OrWrite(Extent, Durability),
    /// Compare the blocks with the first half of the data and, if they are equal, write the second half: atomically
    /// for this logical unit. Each half is as long as the extent.
    CompareAndWrite(Extent, Durability),
    /// Fill the blocks with the one block that came, which is not of zeros.
    WriteSame(Extent),
    /// Fill the blocks with zeros.
    Zero(Extent, Space),
    /// Give the space below the blocks back; they read as zeros afterwards, all of them.
    Unmap(Vec<Extent>),
    /// Make everything stable that was written before.
    Flush,
    /// Tell which blocks from here on have space of their own: [`IoResult::LbaStatus`].
    LbaStatus {
        /// Where to begin, to the end of the disk.
        extent: Extent,
        /// More runs than that are not looked at.
        runs_max: usize,
        /// Most bytes of the answer; [`super::Lun::finish`] cuts it.
        allocation: u32,
    },
}

impl Io {
    /// When it counts as done.
    pub fn durability(&self) -> Durability {
        match *self {
            Self::Write(_, durability)
            | Self::OrWrite(_, durability)
            | Self::CompareAndWrite(_, durability) => durability,
            Self::WriteVerify(..) | Self::Flush => Durability::Stable,
            Self::Read(_)
            | Self::Verify(..)
            | Self::WriteSame(_)
            | Self::Zero(..)
            | Self::Unmap(_)
            | Self::LbaStatus { .. } => Durability::Cached,
        }
    }
}

/// Blocks that are alike: how GET LBA STATUS sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many blocks; the next run begins behind them.
    pub blocks: u32,
    /// What is below them.
    pub state: Provisioned,
}

/// PROVISIONING STATUS (SBC-3 table 63).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Provisioned {
    /// Data.
    Mapped = 0,
    /// Nothing: they read as zeros.
    Deallocated = 1,
}

/// How an [`Io`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoResult {
    /// It is done.
    Done,
    /// The runs from the asked block on, in their order.
    LbaStatus(Vec<Run>),
    /// The data differ first at this offset, in bytes from the beginning of the extent.
    Miscompare(u64),
    /// It failed.
    Failed(IoError),
}

/// Why an [`Io`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// Blocks cannot be read; this is the first one, if that is known.
    Read(Option<u64>),
    /// Blocks cannot be written; this is the first one, if that is known.
    Write(Option<u64>),
    /// There is no room on the file system, or the overlay has reached its quota.
    NoSpace,
    /// The image is read-only, although the logical unit was not said to be.
    ReadOnly,
    /// The image is gone.
    Unavailable,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The sense data, empty unless the status is [`Status::CheckCondition`].
    pub sense: Vec<u8>,
    /// Data to the initiator, cut to the allocation length; empty for [`Io::Read`], whose data the service has.
    pub data_in: Vec<u8>,
}

impl Outcome {
    /// Done, with data for the initiator.
    pub fn good(data_in: Vec<u8>) -> Self {
        Self { status: Status::Good, sense: Vec::new(), data_in }
    }

    /// A status that says all.
    pub fn bare(status: Status) -> Self {
        Self { status, sense: Vec::new(), data_in: Vec::new() }
    }
}

/// What comes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is over.
    Done(Outcome),
    /// The service does this and then calls [`super::Lun::finish`].
    Io(Io),
}

impl IoError {
    pub(super) fn reason(self) -> (Reason, Option<u64>) {
        match self {
            Self::Read(block) => (Reason::ReadError, block),
            Self::Write(block) => (Reason::WriteError, block),
            Self::NoSpace => (Reason::SpaceExhausted, None),
            Self::ReadOnly => (Reason::WriteProtected, None),
            Self::Unavailable => (Reason::NotReady, None),
        }
    }
}
