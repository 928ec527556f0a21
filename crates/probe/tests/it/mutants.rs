//! The properties for mutants of good input. Each test is named as its fuzz target.

use bootlace_probe::{Client, Kind, StepKind};

use crate::property;
use crate::survive::survive;

/// Conversations of which each piece is an operation, a length in words and what is sent.
fn conversations() -> Vec<Vec<u8>> {
    let piece = |op: u8, bytes: &[u8]| {
        let words = bytes.len().div_ceil(4);
        let mut piece = vec![op, words as u8];
        piece.extend(bytes);
        piece.resize(2 + words * 4, 0);
        piece
    };
    let options = |kind: u8, name: &str, class: &str| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.extend([
            53,
            1,
            kind,
            54,
            4,
            10,
            0,
            0,
            1,
            1,
            4,
            255,
            255,
            255,
            0,
            175,
            3,
            176,
            1,
            1,
            60,
            class.len() as u8,
        ]);
        bytes.extend(class.as_bytes());
        bytes.push(255);
        bytes
    };
    // A name whose first byte is its length modulo 64.
    let url = "http://10.0.0.1/abcdefghijklmnopqrstuvwx";
    assert_eq!(url.len(), usize::from(url.as_bytes()[0]) % 64);
    let file = ")undionly.kpxe, which is a name of forty-one";
    let mut conversations = Vec::new();
    for (number, kind) in Kind::ALL.iter().enumerate() {
        let class = if kind.name().starts_with("http") { "HTTPClient" } else { "PXEClient" };
        let options = |kind, name| options(kind, name, class);
        for name in [url, &file[..41]] {
            let lease = [piece(0, &options(2, name)), piece(11, &[]), piece(0, &options(5, name))].concat();
            let answer =
                [piece(4, &options(5, name)), piece(5, b"\0\x06tsize\x0010\0blksize\x00512\0")].concat();
            let file = [piece(5, b"\0\x03\0\x01#!ipxe\nchain x"), piece(5, b"\0\x05\0\x01")].concat();
            let web = [
                piece(7, &[]),
                piece(8, b"HTTP/1.1 200 OK\r\nContent-Length: 52\r\n\r\n#!ipxe\nkernel /a || goto x\n:x\nprompt --timeout 9 \n"),
                piece(11, &[]),
                piece(10, &[]),
            ]
            .concat();
            conversations.push([vec![number as u8], lease, answer, file, web].concat());
        }
    }
    conversations
}

#[test]
fn probe_client() {
    survive(&conversations(), property::client::check);
}

#[test]
fn undamaged_conversations_get_far() {
    let corpus = conversations();
    let clients: Vec<_> = corpus.iter().filter_map(|bytes| property::client::play(bytes)).collect();
    let has_lease = |client: &Client| client.report().steps().iter().any(|step| step.kind == StepKind::Lease);
    assert_eq!(clients.iter().filter(|client| has_lease(client)).count(), corpus.len());
    assert!(clients.iter().any(|client| client.report().files().iter().any(|file| file.bytes == 52)));
}
