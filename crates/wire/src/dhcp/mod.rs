//! DHCPv4 (RFC 2131, 2132).

/// The code of a DHCP option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);
