//! The whole boot of a machine, dry: what it would ask, what it would get, and why.
//!
//! The client is played by small models of firmware, iPXE and pxelinux; every answer comes from the same
//! `decide` and `resolve` as on the wire, on a copy of the leases, so that nothing is caused (invariants 4, 11).

mod clients;
pub mod grub;
pub mod ipxe;
mod percent;
pub mod pxelinux;
mod secure;
mod walk;

use std::net::Ipv4Addr;

use bootlace_wire::Mac;
use bootlace_wire::dhcp::Feature;

use crate::boot::loader::LoaderInventory;
use crate::config::Config;
use crate::dhcp::{LeaseTable, Received};
use crate::event::Event;
use crate::learn::Fact;
use crate::model::{Facts, Firmware, Timestamp, Var};
use crate::oneshot::OneShots;
use crate::session::{Step, steps};

pub use walk::explain;

/// The machine that is explained.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its MAC.
    pub mac: Mac,
    /// Its firmware.
    pub firmware: Firmware,
    /// What asks first.
    pub rom: Rom,
    /// Everything it would report: serial, manufacturer, and so on. Beside another DHCP server also its address (`ip`),
    /// which that one gives.
    pub facts: Facts,
    /// What somebody picks in a menu; without, its default.
    pub pick: Option<String>,
}

impl Subject {
    /// The address that another server gives it, where that is known.
    fn address(&self) -> Option<Ipv4Addr> {
        self.facts.get(Var::Ip)?.parse().ok()
    }
}

/// What a machine's network boot starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rom {
    /// Its firmware's own PXE, which fetches a loader.
    Pxe,
    /// An iPXE in the card or the virtual machine, with these features; `None`: those of QEMU's.
    Ipxe(Option<Vec<Feature>>),
}

/// The server's side of the world.
pub struct World<'a> {
    /// The config.
    pub config: &'a Config,
    /// Loaders that exist.
    pub loaders: &'a LoaderInventory,
    /// A copy of the leases: explaining hands out addresses in it.
    pub table: LeaseTable,
    /// What earlier boots of the machine taught.
    pub learned: Vec<Fact>,
    /// One-shots that are armed.
    pub one_shots: OneShots,
    /// The interface that the machine is behind.
    pub received: Received,
    /// The time of the boot.
    pub now: Timestamp,
    /// Looks a served file up.
    pub look_up: &'a dyn Fn(&str) -> Option<Found>,
}

/// A served file.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its length in bytes.
    pub len: u64,
    /// Its beginning as text, for scripts and configs.
    pub text: String,
}

/// What would happen.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The events as the journal would keep them, with their trails.
    pub events: Vec<Event>,
    /// Packets and scripts as they would be sent, with a heading each.
    pub exchanges: Vec<Exchange>,
    /// What comes of it, in one line.
    pub end: String,
}

impl Explanation {
    /// The steps, to be compared with those of a boot that happened.
    pub fn steps(&self) -> Vec<Step> {
        steps(&self.events)
    }
}

/// One packet or text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What it is: `OFFER to the firmware`, `http boot.ipxe`.
    pub title: String,
    /// Its content as text.
    pub text: String,
}
