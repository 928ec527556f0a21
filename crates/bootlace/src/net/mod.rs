//! Sockets, and a call about memory, that the standard library has no words for: the only unsafe code of the project.
//!
//! Everything above sees safe types: datagrams with the interface and address they came to, frames out of one
//! interface, a TFTP window in one system call.
#![allow(unsafe_code, reason = "the calls below have no safe wrapper; each block says why it is sound")]

mod arp;
mod batch;
mod frames;
mod heap;
mod icmp6;
mod inherited;
mod interface;
mod namespace;
mod neighbour;
mod packet;
mod segments;
mod settling;
mod sockopt;
mod tap;
mod udp;
mod watch;

pub use arp::ArpSocket;
pub use batch::{Arrived, Datagram, RECV_BATCH_MAX, RecvBatch, send};
pub use frames::FrameSocket;
pub use heap::give_back_freed;
pub use icmp6::solicitations;
pub use inherited::{INHERITED_MAX, inherited_sockets};
pub use interface::{Address, Interface, interfaces};
pub use namespace::enter_new_network;
pub use neighbour::neighbour;
pub use packet::{Frame, PacketSocket};
pub use segments::{SEGMENTS_MAX, Segments};
pub use settling::{Settling, UNREST_MAX};
pub use sockopt::allow_fragments;
pub use tap::DhcpTap;
pub use udp::DatagramSocket;
pub use watch::{follow_interface, follow_with_solicitations, link_events};
