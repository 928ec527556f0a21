//! The properties for mutants of good input. Each test is named as its fuzz target.

use std::net::{Ipv4Addr, SocketAddrV4};

use bootlace_wire::dhcp::{Code, Message};
use bootlace_wire::frame::udp_frame;
use bootlace_wire::{Mac, arp};

use crate::survive::{noise, survive};
use crate::{dhcp, iscsi, property, scsi};

fn packets() -> Vec<Vec<u8>> {
    dhcp::packets().into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn dhcp_decode() {
    survive(&packets(), property::dhcp_decode::check);
}

#[test]
fn frame_parse() {
    let end = |port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port);
    let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
    let frame = |payload: &Vec<u8>| udp_frame(mac, mac, end(67), end(68), payload);
    survive(&packets().iter().map(frame).collect::<Vec<_>>(), property::frame_parse::check);
}

#[test]
fn ndp_solicitor() {
    let plain = [133, 0, 0x12, 0x34, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56].to_vec();
    let mut behind_another = plain.clone();
    behind_another.splice(8..8, [14, 2, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
    survive(&[plain, behind_another], property::ndp_solicitor::check);
}

#[test]
fn arp_reply() {
    let mut reply = arp::probe(Mac([2, 0, 0, 0, 0, 9]), Ipv4Addr::UNSPECIFIED).to_vec();
    reply[21] = 2;
    reply[28..32].copy_from_slice(&[10, 188, 0, 61]);
    let padded = [&reply[..], &[0; 18]].concat();
    survive(&[reply, padded], property::arp_reply::check);
}

#[test]
fn ipxe_options() {
    let blocks: Vec<Vec<u8>> = packets()
        .iter()
        .filter_map(|packet| Message::decode(packet).ok()?.options.get(Code::IPXE).map(<[u8]>::to_vec))
        .collect();
    assert!(blocks.len() > 3, "{}", blocks.len());
    survive(&blocks, property::ipxe_options::check);
}

#[test]
fn tftp_packet() {
    let packets: [&[u8]; 7] = [
        b"\0\x01debian/linux\0octet\0",
        b"\0\x01pxelinux.0\0octet\0tsize\x000\0blksize\x001456\0timeout\x003\0windowsize\x0016\0",
        b"\0\x02upload\0netascii\0",
        b"\0\x03\0\x01some data",
        b"\0\x04\0\x01",
        b"\0\x05\0\x01file not found\0",
        b"\0\x06blksize\x001432\0tsize\x0012345\0",
    ];
    survive(&packets.map(<[u8]>::to_vec), property::tftp_packet::check);
}

#[test]
fn tftp_transfer() {
    survive(&noise(), property::tftp_transfer::check);
}

#[test]
fn http_request() {
    let requests: [&[u8]; 6] = [
        b"/debian/linux\nbytes=0-99",
        b"/a%20b%2Fc?mac=52:54:00:00:00:01\nbytes=50-",
        b"//files//..%2f%2e%2e\\etc\nbytes=-500",
        b"/%ff%00%5c\nbytes=18446744073709551615-18446744073709551616",
        b"/x\nbytes=0-1,5-6",
        b"/\nlines=1-2",
    ];
    survive(&requests.map(<[u8]>::to_vec), property::http_request::check);
}

#[test]
fn scsi_cdb() {
    survive(&scsi::conversations(), property::scsi_cdb::check);
}

#[test]
fn iscsi_pdu() {
    survive(&iscsi::conversations(), property::iscsi_pdu::check);
}
