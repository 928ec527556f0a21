//! The languages that loaders read. A dialect prints a plan; it decides nothing.
pub mod grub;
pub mod ipxe;
pub mod pxelinux;
mod reach;
mod san;

mod screen;

pub use reach::Reach;
