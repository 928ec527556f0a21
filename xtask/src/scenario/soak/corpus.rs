//! Good packets, and some that are hostile already, to be damaged further.

/// Packets of real clients, in the fixtures' notation: bytes in hex, `#` begins a remark.
const DHCP: [&str; 8] = [
    include_str!("../../../../fixtures/dhcp/bootp-request.hex"),
    include_str!("../../../../fixtures/dhcp/dhclient-reboot-request.hex"),
    include_str!("../../../../fixtures/dhcp/edk2-arm64-boot-server-request.hex"),
    include_str!("../../../../fixtures/dhcp/edk2-x64-http-discover.hex"),
    include_str!("../../../../fixtures/dhcp/edk2-x64-pxe-request.hex"),
    include_str!("../../../../fixtures/dhcp/grub-discover.hex"),
    include_str!("../../../../fixtures/dhcp/ipxe-bios-request.hex"),
    include_str!("../../../../fixtures/dhcp/ipxe-efi-discover.hex"),
];

const TFTP: [&[u8]; 7] = [
    b"\0\x01small.img\0octet\0",
    b"\0\x01small.img\0octet\0blksize\x001468\0tsize\x000\0windowsize\x0016\0timeout\x003\0",
    b"\0\x01../../etc/passwd\0netascii\0blksize\x008\0",
    b"\0\x02small.img\0octet\0",
    b"\0\x04\0\x01",
    b"\0\x05\0\x08no thanks\0",
    b"\0\x01small.img\0octet\0blksize\x0065464\0windowsize\x0065535\0timeout\x009\0rollover\x001\0",
];

const HTTP: [&[u8]; 8] = [
    b"GET /small.img HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /small.img HTTP/1.1\r\nHost: x\r\nRange: bytes=5-4,0-0,-1,99999999999999999999-\r\n\r\n",
    b"HEAD /files/%2e%2e/%2e%2e/etc/passwd HTTP/1.0\r\n\r\n",
    b"GET /script?mac=52:54:00:00:00:09&serial=%00%1b%5d0;x%07&buildarch=x86_64 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /script HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\nmac=1",
    b"POST /script HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    b"GET http://x:99999/%ff%fe HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: -1\r\n\r\n",
    b"GET /small.img HTTP/1.1\r\nHost: x\r\nIf-Range: \"\r\nExpect: 100-continue\r\nUpgrade: h2c\r\n\r\n",
];

pub(super) fn dhcp() -> Vec<Vec<u8>> {
    DHCP.iter().map(|text| unhex(text)).collect()
}

pub(super) fn tftp() -> Vec<Vec<u8>> {
    TFTP.iter().map(|bytes| bytes.to_vec()).collect()
}

pub(super) fn http() -> Vec<Vec<u8>> {
    HTTP.iter().map(|bytes| bytes.to_vec()).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let said = text.lines().filter_map(|line| line.split('#').next());
    said.flat_map(str::split_whitespace).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fixtures_are_packets() {
        for packet in super::dhcp() {
            assert!(packet.len() >= 240 && packet[0] == 1, "{packet:02x?}");
        }
    }
}
