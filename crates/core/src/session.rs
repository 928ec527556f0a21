//! One attempt of one machine to boot, folded from events (design invariant 11).
//!
//! A session only goes forward: firmware, loader, script, payload, system. What opens the next one is a boot
//! request where this session cannot go back to, a loader's first request after the payload, or silence. Everything that must happen once a boot (a chain
//! into our own loader, later tokens and disk generations) hangs on the session, so that a repeated packet or
//! download changes nothing.

mod step;
mod table;

use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::HwAddr;

use crate::boot::features::IpxeFeatures;
use crate::config::BootName;
use crate::dhcp::{Query, SessionView};
use crate::event::{
    ClientClass, DecidedBy, DhcpAnswer, DhcpMessage, DiskStep, Event, EventKind, FileOutcome, ScriptStep,
};
use crate::files::{Beginning, beginning};
use crate::model::{Facts, Timestamp};
use crate::oneshot::{Offered, Taker};

pub use step::{Step, steps};
pub use table::{SESSIONS_MAX, Sessions};

/// After this much silence whatever a machine does belongs to its next session.
pub const SILENCE: Duration = Duration::from_secs(600);

/// What the parts of loaders end in: pxelinux's modules; GRUB's modules, their lists, its fonts and translations.
const PARTS: [&str; 5] = [".c32", ".mod", ".lst", ".pf2", ".mo"];

/// Identifies a session; numbers grow with time and are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// How far a machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Its firmware asks for an address and a boot file.
    Firmware,
    /// A loader was fetched or speaks already.
    Loader,
    /// The script that boots it was sent.
    Script,
    /// A file that the script named was sent.
    Payload,
    /// What it booted asks for an address.
    System,
}

impl Stage {
    /// Its name in logs and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Loader => "loader",
            Self::Script => "script",
            Self::Payload => "payload",
            Self::System => "system",
        }
    }
}

/// The progress of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    id: SessionId,
    stage: Stage,
    boot: Option<BootName>,
}

/// One attempt to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// The machine.
    pub hw: HwAddr,
    /// Its first event.
    pub started: Timestamp,
    /// Its last sign of life.
    pub last: Timestamp,
    /// How far it came.
    pub stage: Stage,
    /// The address it has.
    pub address: Option<Ipv4Addr>,
    /// Everything it told in this session.
    pub facts: Facts,
    /// What its iPXE says it can do.
    pub features: Option<IpxeFeatures>,
    /// The name by which a loader that searches for its config or script got the first one.
    pub began_with: Option<String>,
    /// What it boots, and what picked that.
    pub boot: Option<(BootName, DecidedBy)>,
    /// The loader file that was last promised by DHCP or by a script.
    pub loader: Option<String>,
    /// That file was wholly sent to the firmware: if that asks anew, it came to nothing.
    pub loader_sent: bool,
    /// An iPXE that lacked something was sent into ours: not a second time in this session.
    pub chained: bool,
    /// The DHCP transaction of the iPXE that was sent there.
    pub chained_by: Option<u32>,
    /// The last DHCP transaction of its firmware or loader.
    pub transaction: Option<u32>,
    /// The last thing that went wrong.
    pub problem: Option<String>,
    /// Bytes of files sent.
    pub bytes: u64,
    /// It got an address or a script or a file: more than a packet from a made-up address can cause.
    pub proven: bool,
}

impl Session {
    /// Opens with its first event.
    pub fn new(id: SessionId, hw: HwAddr, at: Timestamp) -> Self {
        Self {
            id,
            hw,
            started: at,
            last: at,
            stage: Stage::Firmware,
            address: None,
            facts: Facts::new(),
            features: None,
            began_with: None,
            boot: None,
            loader: None,
            loader_sent: false,
            chained: false,
            chained_by: None,
            transaction: None,
            problem: None,
            bytes: 0,
            proven: false,
        }
    }

    /// Who takes a one-shot in it.
    pub fn taker(&self) -> Taker {
        Taker { session: self.id, started: self.started }
    }

    /// How far it is: whoever sees another mark has seen a step.
    pub fn mark(&self) -> Mark {
        Mark { id: self.id, stage: self.stage, boot: self.boot.as_ref().map(|(boot, _)| boot.clone()) }
    }

    /// Whether `event` belongs to the machine's next session.
    pub fn ends_before(&self, event: &Event) -> bool {
        if event.at.since(self.last) > SILENCE {
            return true;
        }
        match &event.kind {
            EventKind::Dhcp(dhcp) => self.ends_before_dhcp(dhcp.client, dhcp.message),
            EventKind::Script(script) => self.ends_before_name(&script.name),
            // It may come long after whoever asked for the file has gone on.
            EventKind::File(_)
            | EventKind::Disk(_)
            | EventKind::Contradiction { .. }
            | EventKind::Conflict { .. } => false,
        }
    }

    /// Whether a machine that asks for this name has started again. Where another server speaks DHCP or nobody does, that is all
    /// there is to see of it. Before it has what it boots, it may ask again for many reasons.
    pub fn ends_before_name(&self, name: &str) -> bool {
        self.stage >= Stage::Payload
            && match beginning(name) {
                Some(Beginning::Ipxe) => true,
                Some(Beginning::Search(name)) => self.began_with == Some(name),
                None => false,
            }
    }

    fn ends_before_dhcp(&self, client: ClientClass, message: DhcpMessage) -> bool {
        match client {
            // HTTP Boot of the same firmware is the next entry of its boot order, this one its beginning.
            ClientClass::Firmware if message == DhcpMessage::Discover && self.loader_sent => true,
            ClientClass::Firmware
            | ClientClass::HttpBoot
            | ClientClass::RaspberryPi
            | ClientClass::Uboot
            | ClientClass::Bootp => self.stage >= Stage::Script,
            // An iPXE renews nothing: its DISCOVER after the script means that the machine started again.
            ClientClass::Ipxe => message == DhcpMessage::Discover && self.stage >= Stage::Script,
            ClientClass::Os => false,
        }
    }

    /// What the answer to a DHCP message depends on. An iPXE keeps its transaction id from DISCOVER to ACK: what
    /// one transaction was told, the same one is told again; only the next is the loader that was chained.
    pub fn dhcp_view(&self, query: &Query<'_>, now: Timestamp) -> SessionView<'static> {
        let is_next =
            now.since(self.last) > SILENCE || self.ends_before_dhcp(query.class, query.kind.message());
        let by_another = self.chained_by != Some(query.message.xid);
        let next = Offered { all: None, asker: (!is_next).then(|| self.taker()), now };
        SessionView { chained: self.chained && by_another && !is_next, learned: &[], next }
    }

    /// Whether the iPXE that speaks now is the one that another was sent into. One that asks again before it went
    /// is told the same again; without DHCP nobody can tell the two apart, and once is enough.
    pub fn came_by_chain(&self) -> bool {
        self.chained && (self.transaction.is_none() || self.chained_by != self.transaction)
    }

    /// Takes an event of this session in. One that only asked for a size changes nothing.
    pub fn apply(&mut self, event: &Event) {
        if event.is_size_probe() {
            return;
        }
        self.last = self.last.max(event.at);
        if let Some(ip) = event.peer.ip.filter(|ip| !ip.is_unspecified()) {
            self.address = Some(ip);
        }
        match &event.kind {
            EventKind::Dhcp(dhcp) => {
                // What an operating system says of itself is not what its firmware said.
                if dhcp.client != ClientClass::Os {
                    self.facts.merge(&dhcp.facts);
                    // A firmware that starts again has no iPXE yet; one that was chained may be a better one.
                    self.features.clone_from(&dhcp.features);
                    self.transaction = Some(dhcp.xid);
                }
                self.reach(match dhcp.client {
                    ClientClass::Firmware
                    | ClientClass::HttpBoot
                    | ClientClass::RaspberryPi
                    | ClientClass::Uboot
                    | ClientClass::Bootp => Stage::Firmware,
                    ClientClass::Ipxe => Stage::Loader,
                    ClientClass::Os if self.stage >= Stage::Script => Stage::System,
                    ClientClass::Os => self.stage,
                });
                self.proven |= matches!(dhcp.answer, DhcpAnswer::Ack(_));
                self.apply_answer(&dhcp.answer, dhcp.xid);
            }
            EventKind::Script(script) => {
                self.proven = true;
                self.facts.merge(&script.facts);
                if self.began_with.is_none() && beginning(&script.name).is_some() {
                    self.began_with = Some(script.name.clone());
                }
                match &script.step {
                    ScriptStep::Identify => self.reach(Stage::Loader),
                    ScriptStep::Chain { loader, .. } => {
                        self.reach(Stage::Loader);
                        self.loader = Some(loader.clone());
                        self.chained = true;
                        self.chained_by = self.transaction;
                    }
                    ScriptStep::Boot { boot, by } => {
                        self.reach(Stage::Script);
                        self.boot = Some((boot.clone(), by.clone()));
                        self.problem = None;
                    }
                    ScriptStep::Problem { boot, by, why } => {
                        self.reach(Stage::Script);
                        self.boot = Some((boot.clone(), by.clone()));
                        self.problem = Some(why.clone());
                    }
                }
            }
            EventKind::File(file) => match &file.outcome {
                FileOutcome::Sent { bytes, .. } => {
                    self.proven = true;
                    self.bytes += bytes;
                    self.loader_sent |= self.loader.as_deref() == Some(file.name.as_str());
                    let is_payload = self.stage >= Stage::Script && !is_part_of_loader(file.name.as_str());
                    self.reach(if is_payload { Stage::Payload } else { Stage::Loader });
                }
                FileOutcome::Aborted { bytes, why, .. } => {
                    self.bytes += bytes;
                    self.problem = Some(format!("{} stopped: {why}", file.name));
                }
                FileOutcome::Refused(why) => self.problem = Some(format!("{} refused: {why}", file.name)),
                // Loaders ask for many optional names: an absent file is worth a line, not an alarm.
                FileOutcome::Absent(_) | FileOutcome::SizeProbe => {}
            },
            EventKind::Disk(disk) => match &disk.step {
                DiskStep::LoggedIn => {
                    self.proven = true;
                    self.reach(if self.stage >= Stage::Script { Stage::Payload } else { self.stage });
                }
                DiskStep::Ended { read, .. } => self.bytes += read,
                DiskStep::Refused(why) => self.problem = Some(format!("disk refused: {why}")),
            },
            EventKind::Contradiction { claimed, .. } => {
                self.problem = Some(format!("somebody at this address says to be {claimed}"));
            }
            EventKind::Conflict { .. } => {}
        }
    }

    fn apply_answer(&mut self, answer: &DhcpAnswer, xid: u32) {
        match answer {
            DhcpAnswer::Offer(given) | DhcpAnswer::Ack(given) => {
                if !given.address.is_unspecified() {
                    self.address = Some(given.address);
                }
                if given.boot_file.is_some() {
                    self.loader.clone_from(&given.boot_file);
                }
                if given.chained {
                    self.chained = true;
                    self.chained_by = Some(xid);
                }
                self.problem = None;
            }
            DhcpAnswer::Elsewhere { address, .. } => self.address = address.or(self.address),
            DhcpAnswer::Nak(why) => self.problem = Some(format!("address refused: {why}")),
            silent @ (DhcpAnswer::Exhausted | DhcpAnswer::Silence(_)) => {
                self.problem = silent.silence().map(|why| format!("not answered: {why}"));
            }
        }
    }

    fn reach(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }
}

/// A part of a loader, which it fetches before, between and after the two times that it reads its first config:
/// GRUB once more when it has found which one is there (normal/main.c), pxelinux's menu the one that it stands in.
fn is_part_of_loader(name: &str) -> bool {
    PARTS.iter().any(|suffix| {
        let ending = name.len().checked_sub(suffix.len()).and_then(|at| name.get(at..));
        ending.is_some_and(|ending| ending.eq_ignore_ascii_case(suffix))
    })
}
