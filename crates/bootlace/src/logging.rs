//! The log: at info one line per step of a session, with fixed field names; at debug every packet and file.
//!
//! Fields: `mac`, `ip`, `session`, `client`, `firmware`, `boot`, `by`, `file`, `bytes`, `ms`, `reason`. A message
//! is readable alone; what came from the network was made harmless on arrival.

use std::net::Ipv4Addr;

use bootlace_core::event::{
    DhcpAnswer, DhcpEvent, Event, EventKind, FileEvent, FileOutcome, ScriptEvent, ScriptStep,
};
use bootlace_core::session::SessionId;
use bootlace_wire::HwAddr;
use tracing::field::{DisplayValue, display};
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, warn};

use crate::hub::Progress;

/// Sends the log to stderr; `RUST_LOG`-like filters are not a config language of ours, the level is.
pub(crate) fn start(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
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
        EventKind::Contradiction { seen, claimed } => {
            let (mac, ip, session) = (&line.mac, &line.ip, line.session);
            warn!(mac, ip, session, %seen, %claimed, "peer claims to be another machine");
        }
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
            DhcpAnswer::Offer(given) => {
                let (ip, file) = (given.address, given.boot_file.as_deref());
                debug!(mac, %ip, session, client, firmware, file, "offered");
            }
            DhcpAnswer::Ack(given) => {
                let (ip, file, boot) =
                    (given.address, given.boot_file.as_deref(), given.boot.as_ref().map(ToString::to_string));
                info!(mac, %ip, session, client, firmware, boot, file, "leased");
            }
            DhcpAnswer::Nak(reason) => info!(mac, session, client, reason, "address refused"),
            silent @ (DhcpAnswer::Exhausted | DhcpAnswer::Silence(_)) => {
                let reason = silent.silence();
                let message = dhcp.message.name();
                debug!(mac, session, client, firmware, message, reason, "not answered");
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
