//! The languages that loaders read. A dialect prints a plan; it decides nothing.
pub mod grub;
pub mod ipxe;

mod screen;
