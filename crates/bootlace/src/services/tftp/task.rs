//! One transfer: drives the machine of [`bootlace_wire::tftp`] with a socket and a file.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use bootlace_core::event::{FileEvent, FileOutcome, Protocol};
use bootlace_core::model::Text;
use bootlace_wire::tftp::{
    ContentInfo, DataRun, ErrorCode, Limits, Outcome, Output, Packet, Repeat, Request, Transfer, clean_name,
    error_packet,
};
use tokio::time::{Instant, timeout_at};

use super::link::{Link, Received};
use super::listener::Registration;
use super::reader::Ahead;
use crate::files::Content;
use crate::resolver::{Ask, Found, Purpose, Resolver};

/// What a transfer starts with.
pub(super) struct Opening {
    pub(super) request: Vec<u8>,
    pub(super) peer: SocketAddrV4,
    pub(super) local: std::net::Ipv4Addr,
    pub(super) limits: Limits,
    pub(super) resolver: Arc<Resolver>,
}

/// Serves one request to its end, and then what the client asks anew from the same port.
pub(super) async fn run(mut opening: Opening, mut link: Link, registration: Registration) {
    while let Some(next) = one(&opening, &mut link).await {
        opening.request = next;
    }
    drop(registration);
}

/// One transfer; the request that came instead of its end, if one did.
async fn one(opening: &Opening, link: &mut Link) -> Option<Vec<u8>> {
    let Ok(Packet::Rrq(request)) = Packet::decode(&opening.request) else { return None };
    let mut next = None;
    let (name, outcome) = match find(opening, &request).await {
        Ok((name, content)) => {
            let len = content.len;
            let outcome = match serve(opening, &request, content, link).await {
                Ended::Outcome { outcome, took } => outcome_of(outcome, len, took),
                Ended::AskedAnew { acked_bytes, request } => {
                    next = Some(request);
                    FileOutcome::Aborted {
                        bytes: acked_bytes,
                        of: len,
                        why: Text::from("the client asked anew"),
                    }
                }
            };
            (Text::from(name.as_str()), outcome)
        }
        Err(Refused { name, code, text, outcome }) => {
            // ERROR packets are sent once: who misses it asks again (RFC 1350, section 7).
            let packet = error_packet(code, &text);
            let size = u16::try_from(packet.len()).unwrap_or(u16::MAX);
            let _ = link.send(&packet, size).await;
            (name, outcome)
        }
    };
    opening.resolver.record(opening.peer, FileEvent { protocol: Protocol::Tftp, name, outcome });
    next
}

/// How serving ended.
enum Ended {
    Outcome { outcome: Outcome, took: Duration },
    AskedAnew { acked_bytes: u64, request: Vec<u8> },
}

struct Refused {
    name: Text,
    code: ErrorCode,
    text: String,
    outcome: FileOutcome,
}

async fn find(opening: &Opening, request: &Request<'_>) -> Result<(String, Content), Refused> {
    let refused = |name: Text, code, why: String, outcome: fn(String) -> FileOutcome| Refused {
        name,
        code,
        text: why.clone(),
        outcome: outcome(why),
    };
    let name = clean_name(request.name).map_err(|error| {
        refused(Text::clean(request.name), ErrorCode::Access, error.to_string(), FileOutcome::Refused)
    })?;
    let local = SocketAddrV4::new(opening.local, 0);
    let ask = Ask {
        protocol: Protocol::Tftp,
        name: &name,
        query: "",
        purpose: Purpose::Fetch,
        peer: opening.peer,
        local,
        user_agent: None,
    };
    let shown = Text::from(name.as_str());
    match opening.resolver.find(&ask).await {
        Found::Content(content) | Found::Script(content) => Ok((name, content)),
        Found::Absent(why) => Err(refused(shown, ErrorCode::NotFound, why, FileOutcome::Absent)),
        Found::Refused(why) => Err(refused(shown, ErrorCode::Access, why, FileOutcome::Refused)),
        Found::Failed(why) => Err(refused(shown, ErrorCode::Undefined, why, FileOutcome::Refused)),
    }
}

async fn serve(opening: &Opening, request: &Request<'_>, content: Content, link: &mut Link) -> Ended {
    let started = Instant::now();
    let mut transfer = Transfer::new(request, ContentInfo { len: content.len }, &opening.limits);
    let mut ahead = Ahead::new(content);
    let mut buffer = Vec::new();
    loop {
        match transfer.poll_output(started.elapsed()) {
            Output::SendPacket(packet) => {
                let size = u16::try_from(packet.len()).unwrap_or(u16::MAX);
                note_unreachable(&mut transfer, link.send(&packet, size).await);
            }
            Output::SendData(run) => match fill(&mut buffer, run, &mut ahead).await {
                Ok(()) => note_unreachable(&mut transfer, link.send(&buffer, run.blksize + 4).await),
                Err(error) => {
                    tracing::warn!(%error, ip = %opening.peer.ip(), "a file that is being served cannot be read");
                    transfer.fail(ErrorCode::Undefined, "the file cannot be read any more");
                }
            },
            Output::WaitUntil(until) => {
                if let Some(request) = wait(&mut transfer, link, opening, started, until).await {
                    return Ended::AskedAnew { acked_bytes: transfer.acked_bytes(), request };
                }
            }
            Output::Done(outcome) => return Ended::Outcome { outcome, took: started.elapsed() },
        }
    }
}

/// Waits for a packet or the timer; a request that is not a copy of this transfer's own comes back.
async fn wait(
    transfer: &mut Transfer,
    link: &mut Link,
    opening: &Opening,
    started: Instant,
    until: Duration,
) -> Option<Vec<u8>> {
    let Ok(received) = timeout_at(started + until, link.receive()).await else {
        transfer.handle_timeout(started.elapsed());
        return None;
    };
    match received {
        Received::Packet(bytes) => transfer.handle_packet(&bytes),
        Received::Unreachable => transfer.handle_unreachable(),
        Received::OnRequestPort(bytes) if matches!(Packet::decode(&bytes), Ok(Packet::Rrq(_))) => {
            let copy = bytes == opening.request && transfer.handle_repeated_request() == Repeat::Taken;
            return (!copy).then_some(bytes);
        }
        Received::OnRequestPort(bytes) => transfer.handle_packet(&bytes),
    }
    None
}

/// Lays out headers and blocks as they go out, one datagram behind the other.
async fn fill(buffer: &mut Vec<u8>, run: DataRun, ahead: &mut Ahead) -> io::Result<()> {
    let bytes = ahead.bytes(run.offset, run.len).await?;
    buffer.clear();
    for (header, range) in run.packets() {
        buffer.extend_from_slice(&header);
        buffer.extend_from_slice(&bytes[range]);
    }
    Ok(())
}

fn note_unreachable(transfer: &mut Transfer, sent: io::Result<()>) {
    if let Err(error) = sent {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => transfer.handle_unreachable(),
            // The timer sends it again.
            _ => tracing::debug!(%error, "a TFTP packet was not sent"),
        }
    }
}

fn outcome_of(outcome: Outcome, of: u64, took: Duration) -> FileOutcome {
    let aborted = |bytes, why: &str| FileOutcome::Aborted { bytes, of, why: Text::from(why) };
    match outcome {
        Outcome::Delivered { bytes, retransmits } => {
            FileOutcome::Sent { bytes, took, retransmits: u32::try_from(retransmits).unwrap_or(u32::MAX) }
        }
        Outcome::SizeProbe => FileOutcome::SizeProbe,
        Outcome::ClientError { text, .. } => aborted(0, &format!("the client said: {text}")),
        Outcome::TimedOut { acked_bytes } => aborted(acked_bytes, "the client went silent"),
        Outcome::Failed { acked_bytes } => aborted(acked_bytes, "the file could not be read"),
    }
}
