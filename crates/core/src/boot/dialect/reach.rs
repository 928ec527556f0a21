//! How a loader fetches what this server serves.

/// As it fetched its config: which protocols are built into it, only its distributor knows. Debian 12's signed GRUB has
/// no HTTP, and pxelinux.0 none either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By HTTP, at this port.
    Http(u16),
    /// By TFTP, at its usual port: these loaders know no other.
    Tftp,
}
