//! The DHCP client that all played clients share; what differs is in their [`Profile`]s.

mod exchange;
mod message;
mod offer;

use std::time::Duration;

use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Message, MessageType};

pub(crate) use exchange::{Event, Exchange, Lease};
pub(crate) use message::{EDK2_PARAMETERS, ROM_PARAMETERS, set_pxe_class, set_uuid};
pub(crate) use offer::{BootData, Offer, PxeKind, name_of};

use crate::finding::Finding;

/// Who boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The card's address.
    pub mac: Mac,
    /// SMBIOS UUID, in the order of option 97.
    pub uuid: [u8; 16],
}

/// When a client stops to collect offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collect {
    /// The first with an address will do.
    First,
    /// The whole time of a DISCOVER is waited out.
    Window,
    /// The first that is complete will do: an address and all that PXE needs; else the whole time.
    Complete,
    /// The first with an address that says that there is no proxy; else until an offer of a proxy has come as well,
    /// or this time has passed since the first DISCOVER.
    ProxyWithin(Duration),
}

/// Where a client asks the boot server of its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BootServer {
    /// The port that it asks from.
    pub(crate) from_port: u16,
    /// How long each request waits.
    pub(crate) waits: &'static [Duration],
    /// What silence means.
    pub(crate) silence: Silence,
}

/// What an unanswered boot server does to a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It ends there.
    Ends,
    /// It goes on without.
    GoesOn,
}

/// What a client made of its offers.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The offer whose address is taken.
    pub(crate) take: usize,
    /// The offer that has the boot data, if another.
    pub(crate) proxy: Option<usize>,
    /// Port 4011 of this offer's server has to be asked.
    pub(crate) ask: Option<usize>,
}

/// A DHCP client's habits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    /// How long each DISCOVER waits for offers.
    pub(crate) discover_waits: &'static [Duration],
    pub(crate) collect: Collect,
    pub(crate) request_waits: &'static [Duration],
    pub(crate) boot_server: Option<BootServer>,
    /// Writes the options of a message that are this client's.
    pub(crate) fill: fn(&Identity, MessageType, &mut Message),
    /// Picks among the offers.
    pub(crate) choose: fn(&[Offer]) -> Result<Choice, Finding>,
    /// Boot data out of the ACK, the proxy's offer and the boot server's answer; none where the client wants none.
    pub(crate) boot: fn(&Lease) -> Result<Option<BootData>, Finding>,
    /// The client takes no ACK without a netmask.
    pub(crate) needs_netmask: NeedsNetmask,
}

/// Whether an ACK must have option 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NeedsNetmask {
    Yes,
    No,
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
