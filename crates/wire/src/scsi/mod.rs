//! A SCSI disk (SPC-4, SBC-3, SAM-5) as a machine without an image: command descriptor blocks in, and either an
//! answer or what has to be done to the image out.
//!
//! A service keeps one [`Lun`] for each disk. It attaches a nexus for each session, asks [`Lun::expected`] how much
//! data a command moves, collects what comes from the initiator, and calls [`Lun::start`]. That answers at once, or
//! names an [`Io`], whose [`IoResult`] goes to [`Lun::finish`]. After each command and reset it takes what
//! [`Lun::poll_abort`] has.
//!
//! Left out on purpose: EXTENDED COPY and tokens, SANITIZE, WRITE ATOMIC, READ DEFECT DATA, protection information,
//! removable media, target port groups (there is one port), saved mode pages, persistent reservations that survive
//! the process (APTPL is refused), and moving a registration to another initiator.

mod blocks;
mod cdb;
mod command;
mod identity;
mod inquiry;
pub mod limits;
mod lun;
mod mode;
mod nexus;
mod opcode;
mod report;
mod reservation;
mod sense;
mod step;

pub use cdb::{Cdb, decode};
pub use command::{
    BlockDescriptors, Command, InquiryPage, LunSelection, ModeHeader, ModeSense, Motor, Operations,
    PageValues, PersistentIn, PersistentOut, Timeouts,
};
pub use identity::{Access, Disk, Geometry, Identity, Provisioning};
pub use lun::{Lun, Reset, is_disk};
pub use nexus::{InitiatorPort, NexusId};
pub use sense::{Detail, Reason, Sense, SenseFormat, SenseKey, Status};
pub use step::{
    Compare, DataOut, Durability, Extent, Fill, Io, IoError, IoResult, Outcome, Provisioned, Run, Space,
    Step, Transfer,
};
