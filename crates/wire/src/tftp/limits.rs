//! Every limit of the TFTP machine, with its reason.

use std::time::Duration;

/// Longest name after cleaning: one path component can be no longer on Linux, and no loader asks for more.
pub const NAME_LEN_MAX: usize = 255;

/// Longest error text kept of what a client sent; the same bound as for every client-supplied string.
pub const TEXT_LEN_MAX: usize = 128;

/// Block size without negotiation (RFC 1350).
pub const BLKSIZE_DEFAULT: u16 = 512;

/// Smallest block size that RFC 2348 allows; a request for less is treated as no request.
pub const BLKSIZE_MIN: u16 = 8;

/// Largest block size that RFC 2348 allows.
pub const BLKSIZE_MAX: u16 = 65464;

/// IPv4 header without options (20), UDP header (8) and TFTP header (4): what a block must leave of the MTU.
pub const HEADERS_LEN: u32 = 32;

/// No transfer has more blocks in flight. Kernels before 6.9 take 64 segments in one `UDP_SEGMENT` send,
/// and network ROMs have no deeper receive rings.
pub const WINDOWSIZE_MAX: u16 = 64;

/// Window cap unless configured: at blksize 1468 it is 46 KiB, which fits one send call and the small
/// receive rings of firmware.
pub const WINDOWSIZE_DEFAULT: u16 = 32;

/// Bytes of one run of DATA packets, headers included: the largest UDP payload over IPv4, which also bounds
/// what one `UDP_SEGMENT` send takes.
pub const RUN_BYTES_MAX: usize = 65507;

/// First wait for an ACK, unless the client asked for another by the `timeout` option.
pub const RTO_INITIAL: Duration = Duration::from_secs(1);

/// The wait doubles up to this.
pub const RTO_MAX: Duration = Duration::from_secs(8);

/// Wait after a report of a gap that may just as well come from a packet sent twice: many times the round
/// trip of a boot network, and far less than a second's stall.
pub const DOUBT_WAIT: Duration = Duration::from_millis(50);

/// Times that the same block is sent before the client counts as gone: 31 s of silence with the waits
/// above, longer than EDK2 (6 times 4 s) waits for us.
pub const TRIES_MAX: u8 = 6;

/// A transfer that gets no further for so long is over, whatever wait the client asked for: by the `timeout` option
/// alone (RFC 2349: up to 255 s) it would hold its place for 25 minutes. Three times what a client gets that asks for
/// nothing, and more than any loader waits.
pub const STALL_MAX: Duration = Duration::from_secs(90);

/// Packets sent to an address that has acknowledged nothing: a forged source must not make us a reflector.
pub const UNPROVEN_PACKETS_MAX: u8 = 3;

/// Source ports that no TFTP client uses, but that answer whatever they get: echo, chargen, DNS, the DHCP
/// server, TFTP itself and NTP. A request "from" them is an attempt to make two servers talk to each other.
pub const REFLECTING_PORTS: [u16; 6] = [7, 19, 53, 67, 69, 123];

/// What one transfer may use at most; comes from the interface and the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest block that is granted.
    pub blksize_max: u16,
    /// Largest window that is granted.
    pub windowsize_max: u16,
}

impl Limits {
    /// Limits for an interface with this MTU: no DATA packet needs fragments, which many ROMs cannot join.
    pub fn for_mtu(mtu: u32) -> Self {
        let room = mtu.saturating_sub(HEADERS_LEN).clamp(u32::from(BLKSIZE_MIN), u32::from(BLKSIZE_MAX));
        Self { blksize_max: room as u16, windowsize_max: WINDOWSIZE_DEFAULT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fit_the_mtu() {
        let blksize = |mtu| Limits::for_mtu(mtu).blksize_max;
        assert_eq!(blksize(1500), 1468);
        assert_eq!(blksize(9000), 8968);
        assert_eq!(blksize(65536), BLKSIZE_MAX);
        assert_eq!(blksize(0), BLKSIZE_MIN);
    }
}
