//! Test networks of namespaces, links and QEMU machines, without touching the host's own network.
//!
//! A program that wants a lab first re-executes itself in a [`sandbox`]: its own network, process and mount
//! namespaces, so that everything it makes (links, taps, servers, virtual machines) is gone the moment it
//! ends, be it by a panic or by `kill -9`. Inside, a [`Lan`] is a bridge; [`Host`]s and [`Machine`]s hang on it.
//!
//! Links are made over netlink ([`link`]). Taps are the exception, since they come from an ioctl, which would need
//! `unsafe`: `ip tuntap` makes those.
//!
//! Errors are `anyhow`: whoever uses the lab does nothing with a failure but show it to a person.
#![forbid(unsafe_code)]

pub mod capture;
pub mod daemon;
pub mod debian;
pub mod disk;
pub mod efi;
pub mod firmware;
pub mod guest;
pub mod initrd;
mod lan;
pub mod machine;
pub mod ns;
pub mod output;
pub mod sandbox;
mod terminal;

pub use bootlace_links as link;
pub use capture::Capture;
pub use daemon::Daemon;
pub use disk::Disk;
pub use firmware::Firmware;
pub use guest::Guest;
pub use lan::{Host, Lan};
pub use machine::{Machine, Running};
pub use ns::Namespace;
