//! One transfer: drives the machine of [`bootlace_wire::tftp`] with a socket and a file.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use bootlace_core::event::{FileEvent, FileOutcome, Protocol};
use bootlace_core::model::Text;
use bootlace_wire::tftp::{
    ContentInfo, ErrorCode, Limits, Outcome, Output, Packet, Repeat, Request, Transfer, clean_name,
    error_packet,
};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::link::{Link, Received};
use super::listener::{Opening, Port};
use super::reader::Ahead;
use crate::counters::Counter;
use crate::files::Content;
use crate::resolver::{Ask, Found, Purpose};

/// Opcode and block number in front of each block.
const HEADER_BYTES: usize = 4;

/// Serves one request to its end. Requests that came meanwhile and are not copies of it start transfers of
/// their own.
pub(super) async fn run(port: Arc<Port>, opening: Opening, mut link: Link) {
    let Ok(Packet::Rrq(request)) = Packet::decode(&opening.request) else { return };
    let (copies, event) = match find(&port, &opening, &request).await {
        Ok(found) => {
            let mut serving = Serving::new(&port, &opening, &request, found.content.len);
            let outcome = serving.run(Ahead::new(found.content), &mut link).await;
            let event = (found.event == Event::OfFile).then(|| (Text::from(found.name.as_str()), outcome));
            (Copies::AskAgain, event)
        }
        Err(Refused { name, code, text, outcome }) => {
            // ERROR packets are sent once: who misses it asks again (RFC 1350, section 7).
            let packet = error_packet(code, &text);
            let _ = link.send(&packet, packet.len()).await;
            (Copies::HaveTheirAnswer, Some((name, outcome)))
        }
    };
    while let Some(bytes) = link.close() {
        let answered = copies == Copies::HaveTheirAnswer && bytes == opening.request;
        if !answered && is_read_request(&bytes) {
            port.start(opening.again(bytes));
        }
    }
    // Its place and port are free before its end is known.
    drop(link);
    if let Some((name, outcome)) = event {
        let event = FileEvent { protocol: Protocol::Tftp, name, outcome };
        port.tftp.resolver.record(opening.peer, event);
    }
}

/// What copies of the request mean that wait when it has been served.
#[derive(PartialEq, Eq)]
enum Copies {
    /// They came before the error went out.
    HaveTheirAnswer,
    /// The transfer would have taken those of before its first ACK: the client wants the file once more.
    AskAgain,
}

struct Served {
    name: String,
    content: Content,
    event: Event,
}

/// What tells of a delivery.
#[derive(PartialEq, Eq)]
enum Event {
    /// An event when it ends.
    OfFile,
    /// The decision, which has been recorded.
    OfScript,
}

struct Refused {
    name: Text,
    code: ErrorCode,
    text: String,
    outcome: FileOutcome,
}

async fn find(port: &Port, opening: &Opening, request: &Request<'_>) -> Result<Served, Refused> {
    let refused = |name: Text, code, why: String, outcome: fn(String) -> FileOutcome| Refused {
        name,
        code,
        text: why.clone(),
        outcome: outcome(why),
    };
    let name = clean_name(request.name).map_err(|error| {
        refused(Text::clean(request.name), ErrorCode::Access, error.to_string(), FileOutcome::Refused)
    })?;
    let ask = Ask {
        protocol: Protocol::Tftp,
        name: &name,
        query: "",
        purpose: Purpose::Fetch,
        peer: opening.peer,
        local: SocketAddrV4::new(opening.local, 0),
        user_agent: None,
    };
    let shown = Text::from(name.as_str());
    match port.tftp.resolver.find(&ask).await {
        Found::Content(content) => Ok(Served { name, content, event: Event::OfFile }),
        Found::Script(content) => Ok(Served { name, content, event: Event::OfScript }),
        Found::Absent(why) => Err(refused(shown, ErrorCode::NotFound, why, FileOutcome::Absent)),
        Found::Refused(why) => Err(refused(shown, ErrorCode::Access, why, FileOutcome::Refused)),
        Found::Failed(why) => Err(refused(shown, ErrorCode::Undefined, why, FileOutcome::Refused)),
    }
}

fn is_read_request(bytes: &[u8]) -> bool {
    matches!(Packet::decode(bytes), Ok(Packet::Rrq(_)))
}

/// A transfer with its clock.
struct Serving<'a> {
    port: &'a Arc<Port>,
    opening: &'a Opening,
    transfer: Transfer,
    len: u64,
    started: Instant,
    alarm: Alarm,
}

/// Whether the transfer goes on after a packet.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    /// The client began anew from the port that both transfers would share.
    GiveWay,
}

impl<'a> Serving<'a> {
    fn new(port: &'a Arc<Port>, opening: &'a Opening, request: &Request<'_>, len: u64) -> Self {
        let own = port.limits;
        let block_max = port.tftp.resolver.block_max(opening.peer).unwrap_or(u16::MAX);
        let limits = Limits { blksize_max: own.blksize_max.min(block_max), ..own };
        let transfer = Transfer::new(request, ContentInfo { len }, &limits);
        Self { port, opening, transfer, len, started: Instant::now(), alarm: Alarm::default() }
    }

    async fn run(&mut self, mut ahead: Ahead, link: &mut Link) -> FileOutcome {
        loop {
            match self.transfer.poll_output(self.started.elapsed()) {
                Output::SendPacket(packet) => {
                    let sent = link.send(&packet, packet.len()).await;
                    self.note_unreachable(sent);
                }
                Output::SendData(run) => match ahead.packets(&run).await {
                    Ok(packets) => {
                        let sent = link.send(packets, usize::from(run.blksize) + HEADER_BYTES).await;
                        self.note_unreachable(sent);
                    }
                    Err(error) => {
                        let ip = self.opening.peer.ip();
                        tracing::warn!(%error, %ip, "a file that is being served cannot be read");
                        self.transfer.fail(ErrorCode::Undefined, "the file cannot be read any more");
                    }
                },
                Output::WaitUntil(until) => {
                    if self.wait(link, until).await == Next::GiveWay {
                        return self.aborted("the client asked anew");
                    }
                }
                Output::Done(outcome) => return self.outcome(outcome),
            }
        }
    }

    /// Waits for a packet or the timer.
    async fn wait(&mut self, link: &mut Link, until: Duration) -> Next {
        let has_own_port = link.has_own_port();
        let received = tokio::select! {
            biased;
            received = link.receive() => received,
            () = self.alarm.wait(self.started + until) => {
                self.transfer.handle_timeout(self.started.elapsed());
                return Next::GoOn;
            }
        };
        match received {
            Received::Packet(bytes) => self.transfer.handle_packet(bytes),
            Received::Unreachable => self.transfer.handle_unreachable(),
            Received::OnRequestPort(bytes) if is_read_request(&bytes) => {
                if bytes != self.opening.request || self.transfer.handle_repeated_request() == Repeat::New {
                    self.port.start(self.opening.again(bytes));
                    // On a port of its own this one may go on: what came may be an old copy of its request.
                    return if has_own_port { Next::GoOn } else { Next::GiveWay };
                }
            }
            Received::OnRequestPort(bytes) => self.transfer.handle_packet(&bytes),
        }
        Next::GoOn
    }

    fn note_unreachable(&mut self, sent: io::Result<()>) {
        if let Err(error) = sent {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => self.transfer.handle_unreachable(),
                // The timer sends it again.
                _ => tracing::debug!(%error, "a TFTP packet was not sent"),
            }
        }
    }

    fn outcome(&self, outcome: Outcome) -> FileOutcome {
        let counters = &self.port.tftp.counters;
        match outcome {
            Outcome::TimedOut { .. } => counters.count(Counter::TftpSilent),
            Outcome::Unproven => counters.count(Counter::TftpUnproven),
            _ => {}
        }
        match outcome {
            Outcome::Delivered { bytes, retransmits } => FileOutcome::Sent {
                bytes,
                took: self.started.elapsed(),
                retransmits: u32::try_from(retransmits).unwrap_or(u32::MAX),
            },
            Outcome::SizeProbe => FileOutcome::SizeProbe,
            Outcome::ClientError { text, .. } => self.aborted(&format!("the client said: {text}")),
            Outcome::TimedOut { .. } => self.aborted("the client went silent"),
            Outcome::Unproven => self.aborted("nobody acknowledged anything"),
            Outcome::Failed { .. } => self.aborted("the file could not be read"),
        }
    }

    fn aborted(&self, why: &str) -> FileOutcome {
        FileOutcome::Aborted { bytes: self.transfer.acked_bytes(), of: self.len, why: Text::from(why) }
    }
}
