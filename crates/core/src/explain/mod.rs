//! The whole boot of a machine, dry: what it would ask, what it would get, and why.

pub mod ipxe;
mod percent;
pub mod pxelinux;
