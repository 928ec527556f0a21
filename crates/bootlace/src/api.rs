//! What the API and `--json` say: stable names, one type for the server that writes and the command that reads.

use std::net::Ipv4Addr;

use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::config::Config;
use bootlace_core::dhcp::{Lease, LeaseState, usual_recipe};
use bootlace_core::event::{DhcpAnswer, DiskStep, Event, EventKind, FileOutcome, ScriptStep};
use bootlace_core::finding::Trail;
use bootlace_core::learn::{Fact, Setting};
use bootlace_core::model::Timestamp;
use bootlace_core::session::{Session, Step};
use bootlace_wire::HwAddr;
use serde::{Deserialize, Serialize};

/// One address.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct LeaseView {
    pub address: String,
    pub mac: String,
    pub machine: Option<String>,
    /// `bound`, `expired`, `released`, `declined` or `conflict`.
    pub state: String,
    pub since: String,
    pub until: String,
    pub hostname: Option<String>,
}

impl LeaseView {
    /// As it is now.
    pub fn new(lease: &Lease, config: &Config, now: Timestamp) -> Self {
        let state = match lease.state {
            LeaseState::Bound if lease.until > now => "bound",
            LeaseState::Bound => "expired",
            LeaseState::Released => "released",
            LeaseState::Declined => "declined",
            LeaseState::Conflict => "conflict",
        };
        let machine = lease.hw.mac().and_then(|mac| config.machines.by_mac(mac));
        Self {
            address: lease.address.to_string(),
            mac: lease.hw.to_string(),
            machine: machine.map(|machine| machine.name.clone()),
            state: state.to_owned(),
            since: lease.since.to_string(),
            until: lease.until.to_string(),
            hostname: Some(lease.hostname.to_string()).filter(|name| !name.is_empty()),
        }
    }
}

/// What is known of one way to boot a machine.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct LearnedView {
    pub mac: String,
    pub machine: Option<String>,
    pub firmware: String,
    /// A row of the table of docs/learning.md.
    pub setting: String,
    /// `pinned`, `worked`, `failed` or `tried`.
    pub state: String,
    /// Boots in a row that ended alike.
    pub failures: u32,
    /// How the last of them ended.
    pub ending: Option<String>,
    pub failed: Option<String>,
    pub worked: Option<String>,
    pub pinned: Option<String>,
    pub seen: String,
    /// What the config would say for it.
    pub loader: Option<String>,
    pub proxy: Option<String>,
}

impl LearnedView {
    /// As it is now.
    pub fn new(hw: HwAddr, fact: &Fact, config: &Config, loaders: &LoaderInventory) -> Self {
        let mut settled = fact.clone();
        settled.settle();
        let state = match fact {
            Fact { pinned: Some(_), .. } => "pinned",
            Fact { worked: Some(_), .. } => "worked",
            _ if settled.has_failed() => "failed",
            _ => "tried",
        };
        let (loader, proxy) = match fact.setting {
            Setting::Usual | Setting::SmallBlocks => (None, None),
            Setting::Native => (loaders.native(fact.firmware), None),
            Setting::Secure => (Some("secure".to_owned()), None),
            Setting::OtherRecipe => (None, Some(usual_recipe(fact.firmware).other().name().to_owned())),
        };
        Self {
            mac: hw.to_string(),
            machine: hw.mac().and_then(|mac| config.machines.by_mac(mac)).map(|machine| machine.name.clone()),
            firmware: fact.firmware.to_string(),
            setting: fact.setting.name().to_owned(),
            state: state.to_owned(),
            failures: settled.failures,
            ending: settled.failed.map(|failed| failed.ending.name().to_owned()),
            failed: settled.failed.map(|failed| failed.at.to_string()),
            worked: fact.worked.map(|at| at.to_string()),
            pinned: fact.pinned.map(|at| at.to_string()),
            seen: fact.seen.to_string(),
            loader,
            proxy,
        }
    }
}

/// One number of what was refused, given up or forgotten.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct CounterView {
    pub name: String,
    /// Since the server started.
    pub value: u64,
    /// In one line, for people.
    pub meaning: String,
}

/// One machine: of the config, or seen on the wire.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct MachineView {
    /// The config's name.
    pub name: Option<String>,
    pub macs: Vec<String>,
    pub uuid: Option<String>,
    pub serial: Option<String>,
    /// Reserved, else last used.
    pub address: Option<String>,
    pub last_seen: Option<String>,
    /// What it reported last.
    pub facts: std::collections::BTreeMap<String, String>,
    /// What speaks for different machines, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
    /// What it boots once, or booted so last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_boot: Option<NextBootView>,
}

/// A boot for once.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct NextBootView {
    pub boot: String,
    /// `armed`, `expired`, `taken`, `done` or `failed`.
    pub state: String,
    /// The serial number that the machine has to report.
    pub confirm: Option<String>,
    pub armed: String,
    pub expires: Option<String>,
    /// The boot that took it.
    pub session: Option<u64>,
    /// Why it failed.
    pub why: Option<String>,
}

/// One session.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct BootView {
    pub session: u64,
    pub mac: String,
    pub machine: Option<String>,
    pub started: String,
    pub last: String,
    /// `firmware`, `loader`, `script`, `payload` or `system`.
    pub stage: String,
    pub address: Option<String>,
    pub boot: Option<String>,
    pub by: Option<String>,
    pub bytes: u64,
    pub problem: Option<String>,
}

impl BootView {
    /// As far as it came.
    pub fn new(session: &Session, config: &Config) -> Self {
        let machine = session.hw.mac().and_then(|mac| config.machines.by_mac(mac));
        Self {
            session: session.id.0,
            mac: session.hw.to_string(),
            machine: machine.map(|machine| machine.name.clone()),
            started: session.started.to_string(),
            last: session.last.to_string(),
            stage: session.stage.name().to_owned(),
            address: session.address.map(|ip| ip.to_string()),
            boot: session.boot.as_ref().map(|(boot, _)| boot.to_string()),
            by: session.boot.as_ref().map(|(_, by)| by.to_string()),
            bytes: session.bytes,
            problem: session.problem.clone(),
        }
    }
}

/// A session with everything that happened in it.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct BootDetail {
    pub boot: BootView,
    pub steps: Vec<StepView>,
    pub timeline: Vec<EventView>,
}

/// A step, as `explain` foretells it and `boots` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub enum StepView {
    Lease { client: String, address: String, boot_file: Option<String> },
    Told { client: String, boot_file: Option<String> },
    NoOffer { client: String },
    Script { name: String, boot: Option<String>, by: Option<String> },
    File { protocol: String, name: String },
    Absent { protocol: String, name: String },
    Disk { target: String },
}

impl From<&Step> for StepView {
    fn from(step: &Step) -> Self {
        match step {
            Step::Lease { client, address, boot_file } => Self::Lease {
                client: client.name().to_owned(),
                address: address.to_string(),
                boot_file: boot_file.clone(),
            },
            Step::Told { client, boot_file } => {
                Self::Told { client: client.name().to_owned(), boot_file: boot_file.clone() }
            }
            Step::NoOffer { client } => Self::NoOffer { client: client.name().to_owned() },
            Step::Script { name, boot } => Self::Script {
                name: name.clone(),
                boot: boot.as_ref().map(|(boot, _)| boot.to_string()),
                by: boot.as_ref().map(|(_, by)| by.to_string()),
            },
            Step::Disk { target } => Self::Disk { target: target.clone() },
            Step::File { protocol, name } => {
                Self::File { protocol: protocol.name().to_owned(), name: name.clone() }
            }
            Step::Absent { protocol, name } => {
                Self::Absent { protocol: protocol.name().to_owned(), name: name.clone() }
            }
        }
    }
}

/// One event.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct EventView {
    pub at: String,
    /// One line for a person.
    pub text: String,
    /// How often it happened in a row.
    pub repeats: u32,
    /// What was considered on the way, `what: result` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trail: Vec<String>,
}

impl EventView {
    /// The event's line and trail.
    pub fn new(event: &Event, repeats: u32) -> Self {
        let (text, trail) = describe(&event.kind);
        Self { at: event.at.to_string(), text, repeats, trail: trail.map(trail_lines).unwrap_or_default() }
    }
}

/// A trail as text.
pub fn trail_lines(trail: &Trail) -> Vec<String> {
    trail.0.iter().map(|considered| format!("{}: {}", considered.what, considered.result)).collect()
}

fn describe(kind: &EventKind) -> (String, Option<&Trail>) {
    match kind {
        EventKind::Dhcp(dhcp) => {
            let asked = format!("{} {}", dhcp.client.name(), dhcp.message.name());
            let answer = match &dhcp.answer {
                DhcpAnswer::Offer(given) | DhcpAnswer::Ack(given) if given.address.is_unspecified() => {
                    format!("told{}", boot_file(given.boot_file.as_deref()).trim_start_matches(','))
                }
                DhcpAnswer::Offer(given) => {
                    format!("offered {}{}", given.address, boot_file(given.boot_file.as_deref()))
                }
                DhcpAnswer::Ack(given) => {
                    format!("leased {}{}", given.address, boot_file(given.boot_file.as_deref()))
                }
                DhcpAnswer::Nak(why) => format!("refused: {why}"),
                DhcpAnswer::Elsewhere { server, address } => elsewhere(*server, *address),

                silent @ (DhcpAnswer::Exhausted | DhcpAnswer::Silence(_)) => {
                    format!("not answered: {}", silent.silence().unwrap_or_default())
                }
            };
            (format!("{asked} -> {answer}"), Some(&dhcp.trail))
        }
        EventKind::Script(script) => {
            let what = match &script.step {
                ScriptStep::Identify => "asks the machine to report itself".to_owned(),
                ScriptStep::Chain { loader, lacks } => {
                    format!("goes into {loader}, since this iPXE lacks {lacks}")
                }
                ScriptStep::Boot { boot, by } => format!("boots {boot}, by {by}"),
                ScriptStep::Problem { boot, by, why } => format!("cannot boot {boot}, by {by}: {why}"),
            };
            (format!("{} {what}", script.name), Some(&script.trail))
        }
        EventKind::File(file) => {
            let outcome = match &file.outcome {
                // Only what was not really sent took no time.
                FileOutcome::Sent { bytes, took, .. } if took.is_zero() => format!("{bytes} bytes"),
                FileOutcome::Sent { bytes, took, .. } => format!("{bytes} bytes in {} ms", took.as_millis()),
                FileOutcome::SizeProbe => "size asked".to_owned(),
                FileOutcome::Absent(why) => format!("absent: {why}"),
                FileOutcome::Refused(why) => format!("refused: {why}"),
                FileOutcome::Aborted { bytes, of, why } => {
                    format!("stopped after {bytes} of {of} bytes: {why}")
                }
            };
            (format!("{} {}: {outcome}", file.protocol.name(), file.name), None)
        }
        EventKind::Disk(disk) => {
            let step = match &disk.step {
                DiskStep::LoggedIn => "logged in".to_owned(),
                DiskStep::Ended { read, written, took } => {
                    format!("ended after {} s, {read} bytes read, {written} written", took.as_secs())
                }
                DiskStep::Refused(why) => format!("refused: {why}"),
            };
            (format!("disk {}: {step}", disk.target), None)
        }
        EventKind::Contradiction { seen, claimed } => (format!("{seen} says to be {claimed}"), None),
        EventKind::Conflict { address, seen, quarantined } => {
            let then = if *quarantined { "in quarantine" } else { "lent all the same" };
            (format!("{address} is in use by {seen}: {then}"), None)
        }
    }
}

fn elsewhere(server: Option<Ipv4Addr>, address: Option<Ipv4Addr>) -> String {
    let server = server
        .map_or_else(|| "the network's DHCP server".to_owned(), |server| format!("DHCP server {server}"));
    match address {
        Some(address) => format!("left to {server}, for {address}"),
        None => format!("left to {server}"),
    }
}

fn boot_file(name: Option<&str>) -> String {
    name.map_or_else(|| ", no boot file".to_owned(), |name| format!(", boot file {name}"))
}

/// What a machine has written over an image.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct OverlayView {
    pub machine: String,
    pub boot: String,
    pub generation: u64,
    pub created: Option<String>,
    /// What it lies over: SHA-256 of a raw image.
    pub image: String,
    /// The file that is that image, if it is known.
    pub image_name: Option<String>,
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes that what was written takes.
    pub space: u64,
    /// `files` or `memory`.
    pub medium: String,
    pub in_use: bool,
}

/// A file of the images folder.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of the API say what they are")]
pub struct ImageView {
    pub name: String,
    /// `ready`, `being read`, or why it cannot be used.
    pub state: String,
    pub id: Option<String>,
    /// Bytes of the disk.
    pub size: Option<u64>,
}
