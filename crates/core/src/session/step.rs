//! The steps of a boot: what `explain` foretells and the journal shows, in one type so that they can be compared.

use std::net::Ipv4Addr;

use crate::config::BootName;
use crate::event::{
    ClientClass, DecidedBy, DhcpAnswer, DiskEvent, DiskStep, Event, EventKind, FileOutcome, Protocol,
    ScriptStep,
};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An address and perhaps a boot file were offered and taken.
    Lease {
        /// To whom.
        client: ClientClass,
        /// The address.
        address: Ipv4Addr,
        /// The boot file.
        boot_file: Option<String>,
    },
    /// A proxy's word beside another server's address: perhaps a boot file, else where to ask for it.
    Told {
        /// To whom.
        client: ClientClass,
        /// The boot file.
        boot_file: Option<String>,
    },
    /// A DHCP request of this class got no offer.
    NoOffer {
        /// Whose.
        client: ClientClass,
    },
    /// A script was sent.
    Script {
        /// Its served name.
        name: String,
        /// The boot and what picked it; none while the machine is asked to identify itself or is sent into
        /// another loader.
        boot: Option<(BootName, DecidedBy)>,
    },
    /// A file was sent.
    File {
        /// How.
        protocol: Protocol,
        /// Its served name.
        name: String,
    },
    /// A disk was logged in to.
    Disk {
        /// The name of its target, of a machine's disk without the generation.
        target: String,
    },
    /// A file was asked for that is not there.
    Absent {
        /// How.
        protocol: Protocol,
        /// The name asked for.
        name: String,
    },
}

/// The steps that a session's events make: offers that were confirmed count once, and so do repeated requests, and a disk that the
/// system logs in to once more which was started from it.
pub fn steps<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for step in events.into_iter().filter_map(step_of) {
        let again = matches!(step, Step::Disk { .. }) && steps.contains(&step);
        if steps.last() != Some(&step) && !again {
            steps.push(step);
        }
    }
    steps
}

fn step_of(event: &Event) -> Option<Step> {
    match &event.kind {
        EventKind::Dhcp(dhcp) => match &dhcp.answer {
            DhcpAnswer::Offer(given) | DhcpAnswer::Ack(given) if !given.address.is_unspecified() => {
                Some(Step::Lease {
                    client: dhcp.client,
                    address: given.address,
                    boot_file: given.boot_file.clone(),
                })
            }
            DhcpAnswer::Offer(given) | DhcpAnswer::Ack(given) if given.next_server.is_some() => {
                Some(Step::Told { client: dhcp.client, boot_file: given.boot_file.clone() })
            }
            DhcpAnswer::Exhausted => Some(Step::NoOffer { client: dhcp.client }),
            DhcpAnswer::Silence(_) if dhcp.message == crate::event::DhcpMessage::Discover => {
                Some(Step::NoOffer { client: dhcp.client })
            }
            _ => None,
        },
        EventKind::Script(script) => Some(Step::Script {
            name: script.name.clone(),
            boot: match &script.step {
                ScriptStep::Identify | ScriptStep::Chain { .. } => None,
                ScriptStep::Boot { boot, by } | ScriptStep::Problem { boot, by, .. } => {
                    Some((boot.clone(), by.clone()))
                }
            },
        }),
        EventKind::File(file) => {
            let (protocol, name) = (file.protocol, file.name.to_string());
            match &file.outcome {
                FileOutcome::Sent { .. } => Some(Step::File { protocol, name }),
                FileOutcome::Absent(_) => Some(Step::Absent { protocol, name }),
                FileOutcome::SizeProbe | FileOutcome::Refused(_) | FileOutcome::Aborted { .. } => None,
            }
        }
        EventKind::Disk(DiskEvent { target, step: DiskStep::LoggedIn }) => {
            Some(Step::Disk { target: target.to_string() })
        }
        EventKind::Disk(_) | EventKind::Contradiction { .. } | EventKind::Conflict { .. } => None,
    }
}
