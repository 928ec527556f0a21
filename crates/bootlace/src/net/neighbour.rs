//! The kernel's neighbour table.

use std::fs;
use std::net::Ipv4Addr;

use bootlace_wire::Mac;

/// The hardware address that the kernel has for a neighbour. `/proc/net/arp` is of the reader's own network
/// namespace and costs one read: this is asked only for peers that hold no lease of ours.
pub fn neighbour(ip: Ipv4Addr) -> Option<Mac> {
    find(&fs::read_to_string("/proc/net/arp").ok()?, ip)
}

fn find(table: &str, ip: Ipv4Addr) -> Option<Mac> {
    let line = table
        .lines()
        .skip(1)
        .find(|line| line.split_whitespace().next().and_then(|first| first.parse().ok()) == Some(ip))?;
    let mac: Mac = line.split_whitespace().nth(3)?.parse().ok()?;
    (mac != Mac([0; 6])).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_entries_only() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.188.0.61      0x1         0x2         52:54:00:12:34:56     *        eth0\n\
                     10.188.0.62      0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        assert_eq!(find(table, Ipv4Addr::new(10, 188, 0, 61)), Some(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56])));
        assert_eq!(find(table, Ipv4Addr::new(10, 188, 0, 62)), None);
        assert_eq!(find(table, Ipv4Addr::new(10, 188, 0, 6)), None);
    }
}
