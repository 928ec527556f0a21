//! The one way from a name to content, for TFTP and HTTP alike.

use std::net::SocketAddrV4;
use std::sync::Arc;

use bootlace_core::event::{FileEvent, Protocol};

use crate::files::{Content, FilePlane, OpenError};

/// A name that a peer asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// How it asks.
    pub protocol: Protocol,
    /// The cleaned name.
    pub name: &'a str,
    /// The pairs of the query, decoded; empty over TFTP.
    pub query: &'a [(String, String)],
    /// Who asks.
    pub peer: SocketAddrV4,
    /// Which of our addresses it asked, and the port.
    pub local: SocketAddrV4,
    /// `User-Agent`, if it said one.
    pub user_agent: Option<&'a str>,
}

/// What there is for a name.
#[derive(Clone, Debug)]
pub enum Found {
    /// Content.
    Content(Content),
    /// Nothing, and why.
    Absent(String),
    /// Nothing for this peer or of this name, and why.
    Refused(String),
    /// The host failed, and how.
    Failed(String),
}

/// Decides what a name means for a peer.
pub struct Resolver {
    plane: Arc<FilePlane>,
}

impl Resolver {
    /// Serves the files of `plane`.
    pub fn new(plane: Arc<FilePlane>) -> Self {
        Self { plane }
    }

    /// What there is for this peer. It may wait for the disk, on a thread of its own.
    pub async fn find(&self, ask: &Ask<'_>) -> Found {
        match self.plane.open_async(ask.name).await {
            Ok(content) => Found::Content(content),
            Err(error @ OpenError::Absent) => Found::Absent(error.to_string()),
            Err(error @ OpenError::Refused(_)) => Found::Refused(error.to_string()),
            Err(error @ OpenError::Io(_)) => Found::Failed(error.to_string()),
        }
    }

    /// What became of it.
    pub fn record(&self, peer: SocketAddrV4, event: FileEvent) {
        tracing::debug!(%peer, file = %event.name, outcome = ?event.outcome, "file");
    }
}
