//! Facts about boots, as they happen: a closed list.
//!
//! Services record events; the journal keeps them; [`crate::session`] folds them. An event holds what a person
//! needs to see why a machine did or did not boot, made harmless on arrival, and never a secret.
//!
//! The journal keeps an [`EventKind`] as JSON, and journals outlive releases: a new field gets a serde default, a
//! name in the JSON never changes its meaning, and readers skip what they do not know.

mod json;

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::HwAddr;
use serde::{Deserialize, Serialize};

use crate::boot::features::IpxeFeatures;
use crate::config::BootName;
use crate::finding::Trail;
use crate::learn::Setting;
use crate::model::{Facts, Firmware, Text, Timestamp};

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// Whom it is about.
    pub peer: Peer,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// An operating system was offered or given its address. Where that belongs to no boot, the lease itself and
    /// a line of the log say all there is to say.
    pub fn is_plain_lease(&self) -> bool {
        let EventKind::Dhcp(dhcp) = &self.kind else { return false };
        dhcp.client == ClientClass::Os && dhcp.answer.given().is_some()
    }

    /// It is between an operating system and another server. Where that belongs to no boot, it is none of ours.
    pub fn is_between_others(&self) -> bool {
        let EventKind::Dhcp(dhcp) = &self.kind else { return false };
        matches!(dhcp.answer, DhcpAnswer::Elsewhere { .. }) && dhcp.client == ClientClass::Os
    }

    /// Nothing came of it yet: what was offered has to be asked for.
    pub fn is_offer(&self) -> bool {
        matches!(&self.kind, EventKind::Dhcp(DhcpEvent { answer: DhcpAnswer::Offer(_), .. }))
    }

    /// Somebody asked for the size of a file only: worth a line, and no more (design invariant 11).
    pub fn is_size_probe(&self) -> bool {
        matches!(&self.kind, EventKind::File(FileEvent { outcome: FileOutcome::SizeProbe, .. }))
    }
}

/// Who an event is about, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The hardware address: from the packet, or by our lease, a report or the neighbour table.
    pub hw: Option<HwAddr>,
    /// The address it has or asked from.
    pub ip: Option<Ipv4Addr>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A DHCP message came and was answered or not.
    Dhcp(DhcpEvent),
    /// A script was answered.
    Script(ScriptEvent),
    /// A file was asked for.
    File(FileEvent),
    /// A disk of this server's was asked for.
    Disk(DiskEvent),
    /// Two sources disagree about who a peer is: it gets no secrets.
    Contradiction {
        /// The hardware address that our lease or the neighbour table gives.
        #[serde(with = "json::text")]
        seen: HwAddr,
        /// The MAC that the peer claims in its request.
        claimed: Text,
    },
    /// Somebody answered a probe of an address that nobody has leased.
    Conflict {
        /// The address.
        address: Ipv4Addr,
        /// Who answered.
        #[serde(with = "json::text")]
        seen: HwAddr,
        /// Whether nobody else gets it now: not when too much is in quarantine already.
        quarantined: bool,
    },
}

/// A DHCP message and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpEvent {
    /// What came.
    pub message: DhcpMessage,
    /// Who sent it, by its class.
    pub client: ClientClass,
    /// Its firmware family, when it told.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "json::optional_text")]
    pub firmware: Option<Firmware>,
    /// The interface it came in by.
    pub interface: String,
    /// Transaction id.
    pub xid: u32,
    /// What the packet tells of the machine.
    #[serde(default)]
    pub facts: Facts,
    /// What an iPXE says it can do (option 175).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "json::optional_text")]
    pub features: Option<IpxeFeatures>,
    /// What went out.
    pub answer: DhcpAnswer,
    /// What was considered on the way.
    #[serde(default, skip_serializing_if = "Trail::is_empty")]
    pub trail: Trail,
}

/// The message types that a server receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names of RFC 2131")]
pub enum DhcpMessage {
    Discover,
    Request,
    Decline,
    Release,
    Inform,
    Bootp,
}

impl DhcpMessage {
    /// Its name in logs and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Request => "request",
            Self::Decline => "decline",
            Self::Release => "release",
            Self::Inform => "inform",
            Self::Bootp => "bootp",
        }
    }
}

/// Who asks, in the order of the classification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientClass {
    /// iPXE or gPXE.
    Ipxe,
    /// UEFI HTTP Boot.
    HttpBoot,
    /// The boot ROM or EEPROM of a Raspberry Pi.
    RaspberryPi,
    /// PXE firmware.
    Firmware,
    /// U-Boot.
    Uboot,
    /// An operating system, GRUB, a kernel's `ip=dhcp`: wants an address only.
    Os,
    /// BOOTP without DHCP.
    Bootp,
}

impl ClientClass {
    /// Its name in logs and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipxe => "ipxe",
            Self::HttpBoot => "http-boot",
            Self::RaspberryPi => "raspberry-pi",
            Self::Firmware => "firmware",
            Self::Uboot => "uboot",
            Self::Os => "os",
            Self::Bootp => "bootp",
        }
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DhcpAnswer {
    /// An address and perhaps a boot file.
    Offer(Given),
    /// The same, confirmed.
    Ack(Given),
    /// Refused, and why.
    Nak(String),
    /// Nothing, since all that could be lent is lent: the one silence that somebody has to do something about.
    Exhausted,
    /// Nothing by us as the proxy: the network's DHCP server answers it.
    Elsewhere {
        /// Whose offer the machine takes, when it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<Ipv4Addr>,
        /// The address that it asks for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<Ipv4Addr>,
    },
    /// Nothing, and why.
    Silence(String),
}

impl DhcpAnswer {
    /// What it gives, if it gives something.
    pub fn given(&self) -> Option<&Given> {
        match self {
            Self::Offer(given) | Self::Ack(given) => Some(given),
            Self::Nak(_) | Self::Exhausted | Self::Elsewhere { .. } | Self::Silence(_) => None,
        }
    }

    /// Why nothing was answered, if nothing was.
    pub fn silence(&self) -> Option<&str> {
        match self {
            Self::Exhausted => Some("no address is left"),
            Self::Silence(why) => Some(why),
            Self::Offer(_) | Self::Ack(_) | Self::Nak(_) | Self::Elsewhere { .. } => None,
        }
    }
}

/// What an OFFER or ACK gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The address; unspecified in the ACK of an INFORM, and from a proxy.
    pub address: Ipv4Addr,
    /// The boot file, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_file: Option<String>,
    /// Where the boot file is fetched by TFTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// The boot that is already decided, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootName>,
    /// The boot file is a loader of ours for an iPXE that lacks something.
    #[serde(default)]
    pub chained: bool,
    /// The row of the table of what can be learned that this is, where that is not for the config to say.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "json::optional_text")]
    pub setting: Option<Setting>,
}

/// A script and what decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptEvent {
    /// The served name: `boot.ipxe`, `script`, or the whole name of a script in place of a file.
    pub name: String,
    /// What it says.
    pub step: ScriptStep,
    /// What the machine reported with the request.
    #[serde(default)]
    pub facts: Facts,
    /// Length in bytes.
    pub bytes: u64,
    /// What was considered on the way.
    #[serde(default, skip_serializing_if = "Trail::is_empty")]
    pub trail: Trail,
}

impl ScriptEvent {
    /// It says that something is wrong.
    pub fn is_problem(&self) -> bool {
        matches!(self.step, ScriptStep::Problem { .. })
    }
}

/// What a script does for the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptStep {
    /// Asks it to report more.
    Identify,
    /// Sends an iPXE that lacks something into a loader of ours.
    Chain {
        /// The loader file.
        loader: String,
        /// What the boot needs and this iPXE lacks.
        lacks: String,
    },
    /// Boots it.
    Boot {
        /// The boot.
        boot: BootName,
        /// What picked it.
        by: DecidedBy,
    },
    /// Says on its screen what is wrong.
    Problem {
        /// The boot that could not be rendered.
        boot: BootName,
        /// What picked it.
        by: DecidedBy,
        /// What is wrong.
        why: String,
    },
}

/// What picked a boot, in the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedBy {
    /// Somebody at its screen, from this menu.
    Menu(BootName),
    /// The one-shot of this machine, by name or MAC.
    OneShot(String),
    /// The `[[machine]]` of this name.
    Machine(String),
    /// The `[[rule]]` of this number.
    Rule(usize),
    /// Nothing else did.
    Default,
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Menu(menu) => write!(f, "menu {menu}"),
            Self::OneShot(owner) => write!(f, "one-shot of {owner}"),
            Self::Machine(name) => write!(f, "machine {name}"),
            Self::Rule(number) => write!(f, "rule {number}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A file and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEvent {
    /// How it was asked for.
    pub protocol: Protocol,
    /// The cleaned name, or what could not be cleaned.
    pub name: Text,
    /// What became of it.
    pub outcome: FileOutcome,
}

/// The protocols that serve files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "they have no other names")]
pub enum Protocol {
    Tftp,
    Http,
}

impl Protocol {
    /// Its name in logs and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tftp => "tftp",
            Self::Http => "http",
        }
    }
}

/// What became of a file request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileOutcome {
    /// All that was asked for was sent (and acknowledged, where the protocol can tell).
    Sent {
        /// Bytes of content.
        bytes: u64,
        /// From request to last byte.
        took: Duration,
        /// Packets sent again.
        retransmits: u32,
    },
    /// Only its size was asked: HEAD, or a TFTP request given up after the option acknowledgement.
    SizeProbe,
    /// There is none, and why.
    Absent(String),
    /// Not for this peer, or not a good name, and why.
    Refused(String),
    /// The peer gave up or went silent.
    Aborted {
        /// Bytes that went out before.
        bytes: u64,
        /// Bytes that it would have been.
        of: u64,
        /// What the peer said, or what stopped it.
        why: Text,
    },
}

/// A disk that an initiator asked for, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskEvent {
    /// The name of its target; of a machine's disk without the generation, which is a secret.
    pub target: Text,
    /// What became of it.
    pub step: DiskStep,
}

/// What became of an initiator's login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskStep {
    /// It has the disk.
    LoggedIn,
    /// Its session has ended.
    Ended {
        /// Bytes that it read.
        read: u64,
        /// Bytes that it wrote.
        written: u64,
        /// How long it had the disk.
        took: Duration,
    },
    /// It does not get it, and why.
    Refused(String),
}
