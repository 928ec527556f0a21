//! The one way from a name to content, for TFTP and HTTP alike.

use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::Arc;

use bootlace_core::event::{EventKind, FileEvent, Protocol, ScriptEvent};
use bootlace_core::files::{Resolution, Resource, without_token};
use bootlace_core::oneshot::{OneShots, Taker};
use bootlace_wire::HwAddr;

use crate::files::{Content, FilePlane, OpenError};

/// A name that a peer asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// How it asks.
    pub protocol: Protocol,
    /// The cleaned name.
    pub name: &'a str,
    /// What stands behind the `?`, not decoded; empty over TFTP.
    pub query: &'a str,
    /// What it wants of it.
    pub purpose: Purpose,
    /// Who asks.
    pub peer: SocketAddrV4,
    /// Which of our addresses it asked, and the port.
    pub local: SocketAddrV4,
    /// `User-Agent`, if it said one.
    pub user_agent: Option<&'a str>,
}

/// What a request is for (design invariant 11: only a fetch may cause anything).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The content.
    Fetch,
    /// Its length only.
    SizeProbe,
}

/// What there is for a name.
#[derive(Clone, Debug)]
pub enum Found {
    /// Content; what becomes of it is for [`Resolver::record`].
    Content(Content),
    /// A script: its decision has been recorded, and stands for its delivery.
    Script(Content),
    /// Nothing, and why.
    Absent(String),
    /// Nothing for this peer or of this name, and why.
    Refused(String),
    /// The host failed, and how.
    Failed(String),
}

/// Whose a decision is, and by which one-shots: what follows from it is of the same session and the same one-shot, whatever
/// has changed meanwhile.
#[derive(Clone, Debug)]
pub struct Whose {
    /// The machine.
    pub hw: HwAddr,
    /// Its session.
    pub taker: Taker,
    /// Those that it was decided by.
    pub one_shots: Arc<OneShots>,
}

/// What a name means, and where the files are that it means: those of the same config.
pub struct Decided {
    /// The meaning.
    pub resolution: Resolution,
    /// Who gets a one-shot that it is; nobody who is not known to be the machine.
    pub whose: Option<Whose>,
    /// The files.
    pub plane: Arc<FilePlane>,
}

type Decide = dyn Fn(&Ask<'_>) -> Decided + Send + Sync;
/// Whether a one-shot is that of the session that asks for its script, once that is on stable storage; or why that cannot
/// be.
pub type Taking = Pin<Box<dyn Future<Output = Result<bool, String>> + Send>>;
/// What may change a one-shot.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A script that is to be sent, and to whom.
    Script(&'a ScriptEvent, Option<&'a Whose>),
    /// An installation that is done, by the name that it asks for.
    Done(&'a str),
}
type Take = dyn Fn(SocketAddrV4, Change<'_>) -> Option<Taking> + Send + Sync;
type BlockMax = dyn Fn(SocketAddrV4) -> Option<u16> + Send + Sync;
type Record = dyn Fn(SocketAddrV4, EventKind) + Send + Sync;

/// Decides what a name means for a peer. The decision and where events go are two functions, so that a service
/// runs in a test on files alone.
pub struct Resolver {
    decide: Box<Decide>,
    record: Box<Record>,
    block_max: Box<BlockMax>,
    take: Box<Take>,
}

/// How often a request is decided again because another session had its one-shot first.
const DECISIONS_MAX: u32 = 3;

impl Resolver {
    /// Serves the files of `plane`, always the same.
    pub fn new(
        plane: Arc<FilePlane>,
        decide: impl Fn(&Ask<'_>) -> Resolution + Send + Sync + 'static,
        record: impl Fn(SocketAddrV4, EventKind) + Send + Sync + 'static,
    ) -> Self {
        let decide =
            move |ask: &Ask<'_>| Decided { resolution: decide(ask), whose: None, plane: Arc::clone(&plane) };
        Self::deciding(decide, record)
    }

    /// Serves the files that belong to each decision. Neither function may wait: both are called on the runtime's
    /// threads.
    pub fn deciding(
        decide: impl Fn(&Ask<'_>) -> Decided + Send + Sync + 'static,
        record: impl Fn(SocketAddrV4, EventKind) + Send + Sync + 'static,
    ) -> Self {
        Self {
            decide: Box::new(decide),
            record: Box::new(record),
            block_max: Box::new(|_| None),
            take: Box::new(|_, _| None),
        }
    }

    /// The same that sends some peers no larger TFTP blocks than this. The function may not wait either.
    #[must_use]
    pub fn with_blocks(
        self,
        block_max: impl Fn(SocketAddrV4) -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        Self { block_max: Box::new(block_max), ..self }
    }

    /// The same with a way to take the one-shot that a script is of. The function itself may not wait.
    #[must_use]
    pub fn taking(
        self,
        take: impl Fn(SocketAddrV4, Change<'_>) -> Option<Taking> + Send + Sync + 'static,
    ) -> Self {
        Self { take: Box::new(take), ..self }
    }

    /// The largest TFTP block for this peer, if there is one.
    pub fn block_max(&self, peer: SocketAddrV4) -> Option<u16> {
        (self.block_max)(peer)
    }

    /// What there is for this peer. It may wait for the disk, on a thread of its own.
    pub async fn find(&self, ask: &Ask<'_>) -> Found {
        for _ in 0..DECISIONS_MAX {
            if let Some(found) = self.find_once(ask).await {
                return found;
            }
        }
        Found::Failed("other sessions were faster".to_owned())
    }

    /// `None` when what was decided has become another session's meanwhile.
    async fn find_once(&self, ask: &Ask<'_>) -> Option<Found> {
        let Decided { resolution: Resolution { resource, script }, whose, plane } = (self.decide)(ask);
        let script = script.map(|script| (script, whose));
        let found = match resource {
            Resource::Text { body, mime } => {
                return self.text(ask, Content::text(body, mime), script).await;
            }
            Resource::File(name) => open(&plane, &name).await,
            Resource::FileOrText { file, or_next, body, mime } => match open(&plane, &file).await {
                Found::Absent(_) => match first_there(&plane, or_next).await {
                    Some(next) => Found::Absent(format!("no such file; {next} is there")),
                    None => return self.text(ask, Content::text(body, mime), script).await,
                },
                found => found,
            },
            Resource::FileOrAbsent { file, why } => match open(&plane, &file).await {
                Found::Absent(_) => Found::Absent(format!("no such file; {why}")),
                found => found,
            },
            Resource::Archive(entries) => match Content::archive(&entries) {
                Ok(content) => Found::Content(content),
                Err(error) => Found::Failed(format!("the archive cannot be made: {error}")),
            },
            Resource::Done => self.done(ask).await,
            Resource::Absent(why) => Found::Absent(why),
        };
        Some(found)
    }

    /// Answered when that is on stable storage, and as often as it is said.
    async fn done(&self, ask: &Ask<'_>) -> Found {
        if ask.purpose == Purpose::Fetch
            && let Some(finishing) = (self.take)(ask.peer, Change::Done(ask.name))
            && let Err(why) = finishing.await
        {
            return Found::Failed(why);
        }
        Found::Content(Content::text("done\n".to_owned(), "text/plain; charset=utf-8"))
    }

    async fn text(
        &self,
        ask: &Ask<'_>,
        content: Content,
        script: Option<(ScriptEvent, Option<Whose>)>,
    ) -> Option<Found> {
        let Some((script, whose)) = script else { return Some(Found::Content(content)) };
        if ask.purpose == Purpose::Fetch {
            if let Some(taking) = (self.take)(ask.peer, Change::Script(&script, whose.as_ref())) {
                match taking.await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(why) => return Some(Found::Failed(why)),
                }
            }
            (self.record)(ask.peer, EventKind::Script(script));
        }
        Some(Found::Script(content))
    }

    /// What became of it.
    pub fn record(&self, peer: SocketAddrV4, event: FileEvent) {
        let name = without_token(&event.name);
        (self.record)(peer, EventKind::File(FileEvent { name, ..event }));
    }
}

/// The first of these files that is there.
async fn first_there(plane: &Arc<FilePlane>, names: Vec<String>) -> Option<String> {
    for name in names {
        if !matches!(open(plane, &name).await, Found::Absent(_)) {
            return Some(name);
        }
    }
    None
}

async fn open(plane: &Arc<FilePlane>, name: &str) -> Found {
    match plane.open_async(name).await {
        Ok(content) => Found::Content(content),
        Err(error @ OpenError::Absent) => Found::Absent(error.to_string()),
        Err(error @ (OpenError::Refused(_) | OpenError::Image(_))) => Found::Refused(error.to_string()),
        Err(error @ OpenError::Io(_)) => Found::Failed(error.to_string()),
    }
}
