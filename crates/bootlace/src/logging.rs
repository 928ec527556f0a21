//! The log: at info one line per step of a session, with fixed field names; at debug every packet and file.
//!
//! Fields: `mac`, `ip`, `session`, `client`, `firmware`, `request`, `boot`, `by`, `file`, `protocol`, `bytes`, `of`,
//! `ms`, `retransmits`, `seen`, `claimed`, `reason`. A message is readable alone; what came from the network was made
//! harmless on arrival.

mod queue;

use std::io;
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use bootlace_core::event::{
    DhcpAnswer, DhcpEvent, DiskEvent, DiskStep, Event, EventKind, FileEvent, FileOutcome, ScriptEvent,
    ScriptStep,
};
use bootlace_core::session::SessionId;
use bootlace_store::journal::Notice;
use bootlace_wire::HwAddr;
use tracing::field::{DisplayValue, display};
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, warn};

use self::queue::Queue;
use crate::hub::Progress;

/// How long the end of the server waits for whoever reads the log.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Where lines go once there are threads.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Sends the log to stderr; `RUST_LOG`-like filters are not a config language of ours, the level is.
pub(crate) fn start(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
}

/// From here on a thread of its own writes the log, until the answer is dropped: a pipe that nobody reads would
/// otherwise stop the DHCP service in the middle of a packet.
pub(crate) fn detach() -> io::Result<Detached> {
    let queue = QUEUE.get_or_init(Queue::default);
    thread::Builder::new().name("log".into()).spawn(|| queue.write_to(io::stderr()))?;
    Ok(Detached)
}

/// What waits is written when this is dropped.
pub(crate) struct Detached;

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(queue) = QUEUE.get() {
            queue.flush(FLUSH_TIME_MAX);
        }
    }
}

/// A writer that never fails: the subscriber would report that on stderr, and panic when that is gone.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match QUEUE.get() {
            Some(queue) => queue.push(line),
            None => drop(io::stderr().write_all(line)),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the line of an event: info when it takes the session a step on, debug when it repeats.
pub(crate) fn event(event: &Event, session: Option<SessionId>, progress: Progress) {
    let line = Line {
        mac: event.peer.hw.map(display),
        ip: event.peer.ip.map(display),
        session: session.map(|id| id.0),
        progress,
    };
    match &event.kind {
        EventKind::Dhcp(dhcp) => line.dhcp(dhcp),
        EventKind::Script(script) => line.script(script),
        EventKind::File(file) => line.file(file),
        EventKind::Disk(disk) => line.disk(disk),
        EventKind::Contradiction { seen, claimed } => {
            let (mac, ip, session) = (&line.mac, &line.ip, line.session);
            warn!(mac, ip, session, %seen, %claimed, "peer claims to be another machine");
        }
        EventKind::Conflict { address, seen, quarantined } => {
            warn!(code = "address-in-use", ip = %address, %seen, quarantined, "somebody is on an address that nobody has leased");
        }
    }
}

/// Writes the line of a turn of the journal.
pub(crate) fn journal(notice: Notice) {
    match notice {
        Notice::Behind(error) => {
            let finding = error.finding();
            let code = finding.code;
            warn!(
                code,
                "the history cannot be written: events wait, and are lost when too many do. {finding}"
            );
        }
        Notice::CaughtUp { lost } => info!(lost, "the history is written again"),
    }
}

struct Line {
    mac: Option<DisplayValue<HwAddr>>,
    ip: Option<DisplayValue<Ipv4Addr>>,
    session: Option<u64>,
    progress: Progress,
}

impl Line {
    fn dhcp(&self, dhcp: &DhcpEvent) {
        let Self { mac, session, .. } = self;
        let client = dhcp.client.name();
        let firmware = dhcp.firmware.map(|firmware| firmware.to_string());
        match &dhcp.answer {
            DhcpAnswer::Offer(given) | DhcpAnswer::Ack(given) if given.address.is_unspecified() => {
                let (boot, file) = (given.boot.as_ref().map(ToString::to_string), given.boot_file.as_deref());
                info!(mac, session, client, firmware, boot, file, "told what to load");
            }
            DhcpAnswer::Offer(given) => {
                let (ip, file) = (given.address, given.boot_file.as_deref());
                debug!(mac, %ip, session, client, firmware, file, "offered");
            }
            // An operating system that renews its lease is no step of a boot; `bootlace leases` has it.
            DhcpAnswer::Ack(given) if session.is_none() => {
                debug!(mac, ip = %given.address, client, "leased");
            }
            DhcpAnswer::Ack(given) => {
                let (ip, file, boot) =
                    (given.address, given.boot_file.as_deref(), given.boot.as_ref().map(ToString::to_string));
                info!(mac, %ip, session, client, firmware, boot, file, "leased");
            }
            DhcpAnswer::Nak(reason) => info!(mac, session, client, reason, "address refused"),
            DhcpAnswer::Elsewhere { server, address } => {
                let (server, ip) = (server.map(|ip| ip.to_string()), address.map(|ip| ip.to_string()));
                debug!(mac, ip, server, client, "left to the network's DHCP server");
            }
            silent @ (DhcpAnswer::Exhausted | DhcpAnswer::Silence(_)) => {
                let reason = silent.silence();
                let request = dhcp.message.name();
                debug!(mac, session, client, firmware, request, reason, "not answered");
            }
        }
    }

    fn script(&self, script: &ScriptEvent) {
        let Self { mac, ip, session, .. } = self;
        let name = &script.name;
        match &script.step {
            ScriptStep::Identify => debug!(mac, ip, session, file = name, "asked to identify itself"),
            ScriptStep::Chain { loader, lacks } => {
                info!(mac, ip, session, file = loader, reason = lacks, "sent into our own loader");
            }
            ScriptStep::Boot { boot, by } if self.progress == Progress::Step => {
                info!(mac, ip, session, %boot, %by, file = name, "boots");
            }
            ScriptStep::Boot { boot, by } => {
                debug!(mac, ip, session, %boot, %by, file = name, "asked again");
            }
            ScriptStep::Problem { boot, by, why } => {
                warn!(mac, ip, session, %boot, %by, reason = why, "cannot boot");
            }
        }
    }

    fn disk(&self, disk: &DiskEvent) {
        let Self { mac, ip, session, .. } = self;
        let target = disk.target.as_str();
        match &disk.step {
            DiskStep::LoggedIn => info!(mac, ip, session, target, "disk in use"),
            DiskStep::Ended { read, written, took } => {
                let seconds = took.as_secs();
                info!(mac, ip, session, target, read, written, seconds, "disk no more in use");
            }
            DiskStep::Refused(reason) => warn!(mac, ip, session, target, reason, "disk refused"),
        }
    }

    fn file(&self, file: &FileEvent) {
        let Self { mac, ip, session, .. } = self;
        let (protocol, name) = (file.protocol.name(), file.name.as_str());
        match &file.outcome {
            FileOutcome::Sent { bytes, took, retransmits } => {
                let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                if self.progress == Progress::Step {
                    info!(mac, ip, session, file = name, protocol, bytes, ms, retransmits, "sent");
                } else {
                    debug!(mac, ip, session, file = name, protocol, bytes, ms, retransmits, "sent");
                }
            }
            FileOutcome::SizeProbe => debug!(mac, ip, session, file = name, protocol, "size asked"),
            FileOutcome::Absent(reason) => debug!(mac, ip, session, file = name, protocol, reason, "absent"),
            FileOutcome::Refused(reason) => warn!(mac, ip, session, file = name, protocol, reason, "refused"),
            FileOutcome::Aborted { bytes, of, why } => {
                warn!(mac, ip, session, file = name, protocol, bytes, of, reason = %why, "stopped");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use bootlace_core::event::{ClientClass, DecidedBy, DhcpMessage, Given, Peer, Protocol};
    use bootlace_core::finding::Trail;
    use bootlace_core::model::{Facts, Firmware, Text, Timestamp, Var};
    use bootlace_wire::{HwAddr, Mac};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines of some events, each as a step on or more of the same.
    fn logged(level: LevelFilter, kinds: &[EventKind], progress: Progress) -> Vec<String> {
        let memory = Memory::default();
        let to = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(move || to.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for kind in kinds {
                let event = Event { at: Timestamp(0), peer: peer(), kind: kind.clone() };
                super::event(&event, Some(SessionId(7)), progress);
            }
        });
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn hw() -> HwAddr {
        Mac([0x52, 0x54, 0, 0, 0, 1]).into()
    }

    fn peer() -> Peer {
        Peer { hw: Some(hw()), ip: Some([10, 188, 0, 61].into()) }
    }

    fn dhcp(answer: DhcpAnswer) -> EventKind {
        let mut facts = Facts::new();
        facts.set(Var::Hostname, "a\x1b[31m\nb");
        EventKind::Dhcp(DhcpEvent {
            message: DhcpMessage::Request,
            client: ClientClass::Ipxe,
            firmware: Some(Firmware::Bios),
            interface: "eth0".into(),
            xid: 1,
            facts,
            features: None,
            answer,
            trail: Trail::default(),
        })
    }

    fn script(step: ScriptStep) -> EventKind {
        let trail = Trail::default();
        EventKind::Script(ScriptEvent { name: "script".into(), step, facts: Facts::new(), bytes: 9, trail })
    }

    fn file(outcome: FileOutcome) -> EventKind {
        let name = Text::from("a\x1b[31m\n\u{202e}b");
        EventKind::File(FileEvent { protocol: Protocol::Tftp, name, outcome })
    }

    fn everything() -> Vec<EventKind> {
        let boot = bootlace_core::config::BootName::new("rescue").unwrap();
        let given = Given {
            address: [10, 188, 0, 61].into(),
            boot_file: Some("undionly.kpxe".into()),
            next_server: None,
            boot: None,
            chained: false,
            setting: None,
        };
        let hostile = || Text::from("x\x1b]0;evil\x07\r\nfake=line");
        vec![
            dhcp(DhcpAnswer::Offer(given.clone())),
            dhcp(DhcpAnswer::Ack(given)),
            dhcp(DhcpAnswer::Nak("taken".into())),
            dhcp(DhcpAnswer::Silence("full".into())),
            script(ScriptStep::Identify),
            script(ScriptStep::Chain { loader: "undionly.kpxe".into(), lacks: "menu".into() }),
            script(ScriptStep::Boot { boot: boot.clone(), by: DecidedBy::Rule(1) }),
            script(ScriptStep::Problem { boot, by: DecidedBy::Default, why: "no vars.role".into() }),
            file(FileOutcome::Sent { bytes: 5, took: Duration::from_millis(3), retransmits: 1 }),
            file(FileOutcome::SizeProbe),
            file(FileOutcome::Absent("no such file".into())),
            file(FileOutcome::Refused("a folder".into())),
            file(FileOutcome::Aborted { bytes: 1, of: 5, why: hostile() }),
            EventKind::Contradiction { seen: hw(), claimed: hostile() },
            EventKind::Conflict { address: [10, 188, 0, 61].into(), seen: hw(), quarantined: true },
        ]
    }

    #[test]
    fn every_event_is_one_line_with_fixed_fields() {
        let lines = logged(LevelFilter::DEBUG, &everything(), Progress::Step);
        let who = "mac=52:54:00:00:00:01";
        let at = "ip=10.188.0.61 session=7";
        let name = "file=\"a?[31m??b\" protocol=\"tftp\"";
        let expected = [
            format!(
                "DEBUG offered {who} ip=10.188.0.61 session=7 client=\"ipxe\" firmware=\"bios\" file=\"undionly.kpxe\""
            ),
            format!(
                "INFO leased {who} ip=10.188.0.61 session=7 client=\"ipxe\" firmware=\"bios\" file=\"undionly.kpxe\""
            ),
            format!("INFO address refused {who} session=7 client=\"ipxe\" reason=\"taken\""),
            format!(
                "DEBUG not answered {who} session=7 client=\"ipxe\" firmware=\"bios\" request=\"request\" reason=\"full\""
            ),
            format!("DEBUG asked to identify itself {who} {at} file=\"script\""),
            format!("INFO sent into our own loader {who} {at} file=\"undionly.kpxe\" reason=\"menu\""),
            format!("INFO boots {who} {at} boot=rescue by=rule 1 file=\"script\""),
            format!("WARN cannot boot {who} {at} boot=rescue by=default reason=\"no vars.role\""),
            format!("INFO sent {who} {at} {name} bytes=5 ms=3 retransmits=1"),
            format!("DEBUG size asked {who} {at} {name}"),
            format!("DEBUG absent {who} {at} {name} reason=\"no such file\""),
            format!("WARN refused {who} {at} {name} reason=\"a folder\""),
            format!("WARN stopped {who} {at} {name} bytes=1 of=5 reason=x?]0;evil???fake=line"),
            format!(
                "WARN peer claims to be another machine {who} {at} seen=52:54:00:00:00:01 claimed=x?]0;evil???fake=line"
            ),
            "WARN somebody is on an address that nobody has leased code=\"address-in-use\" ip=10.188.0.61 \
             seen=52:54:00:00:00:01 quarantined=true"
                .to_owned(),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn at_info_what_repeats_is_not_said_again() {
        let sent = [file(FileOutcome::Sent { bytes: 5, took: Duration::ZERO, retransmits: 0 })];
        assert_eq!(logged(LevelFilter::INFO, &sent, Progress::Step).len(), 1);
        assert_eq!(logged(LevelFilter::INFO, &sent, Progress::Repeats).len(), 0);
    }
}
