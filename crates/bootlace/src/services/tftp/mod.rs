//! The TFTP service: requests in, one task and one socket for each transfer.
//!
//! A slow client costs its task and nothing else. What the protocol says is in [`bootlace_wire::tftp`]; here
//! are sockets, reads and limits. A transfer holds a socket, one buffer of its next packets (32 KiB, or one
//! window when that is more) and about 2 KiB of state.

mod alarm;
mod link;
mod listener;
mod reader;
mod table;
mod task;
mod threads;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bootlace_core::config::Cidr;
use tokio::sync::oneshot;

use crate::counters::Counters;
use crate::net::DatagramSocket;
use crate::resolver::Resolver;

pub use listener::serve;

/// Transfers at a time, all clients together. Requests beyond it are not answered: clients ask again, and an
/// error would end their boot.
pub const TRANSFERS_MAX: usize = 4_096;
/// Transfers at a time for one address. Firmware has one; loaders that probe in parallel a few.
pub const TRANSFERS_PER_CLIENT_MAX: usize = 16;

/// What the service needs.
#[derive(Clone)]
pub struct Tftp {
    /// Names to content.
    pub resolver: Arc<Resolver>,
    /// Sources that are answered; they change with the interfaces and the config.
    pub served: Arc<ArcSwap<Vec<Cidr>>>,
    /// Ports of transfers; `None`: the kernel's choice.
    pub ports: Option<RangeInclusive<u16>>,
    /// One port for everything, or one for each transfer.
    pub answer_from: AnswerFrom,
    /// Of the whole server.
    pub counters: Arc<Counters>,
}

/// Where the packets of a transfer come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFrom {
    /// A port of its own for each transfer (RFC 1350).
    OwnPort,
    /// The request port, for networks that translate or filter ports.
    RequestPort,
}

/// Request sockets that wait to be served: one is made at a time.
pub const GUESTS_MAX: usize = 1;

/// A request socket that comes later and goes before the service ends.
pub struct Guest {
    /// The socket.
    pub listener: Listener,
    /// Resolves when it has to go.
    pub end: oneshot::Receiver<Infallible>,
}

/// A request socket and what is known of its interface.
pub struct Listener {
    /// Bound to the request port.
    pub socket: DatagramSocket,
    /// Bounds the block size.
    pub mtu: u32,
    /// Used when the kernel does not say where a request arrived.
    pub address: Ipv4Addr,
}
