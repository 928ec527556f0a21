//! Limits, ports and the end of the server.

use std::net::Ipv4Addr;

use bootlace::counters::Counter;
use bootlace::services::tftp::TRANSFERS_PER_CLIENT_MAX;
use bootlace_wire::tftp::{ErrorCode, TransferOptions};

use super::client::tsize;
use super::{AnswerFrom, Client, LIMIT, Server, is_sent};

#[test]
fn a_client_has_so_many_transfers_and_no_more() {
    let server = Server::new();
    server.file("x", 10);
    let clients: Vec<_> = (0..TRANSFERS_PER_CLIENT_MAX).map(|_| server.client()).collect();
    let ports: Vec<_> = clients
        .iter()
        .map(|client| {
            client.read(b"x", tsize());
            client.receive().from
        })
        .collect();
    let late = server.client();
    late.read(b"x", tsize());
    server.settle();
    assert_eq!(server.counted(Counter::TftpClientFull), 1);
    let other = Client::new(server.addr, Ipv4Addr::new(127, 0, 0, 2));
    other.read(b"x", tsize());
    assert_eq!(other.receive().oack().tsize, Some(10), "another client is not concerned");

    clients[0].abort(ErrorCode::Undefined, ports[0]);
    server.outcome();
    assert!(late.has_nothing(), "what came too early was not kept");
    late.read(b"x", tsize());
    assert_eq!(late.receive().oack().tsize, Some(10));
}

#[test]
fn transfers_use_the_ports_that_they_may() {
    let server = Server::with(AnswerFrom::OwnPort, Some(5000..=5001));
    server.file("x", 10);
    let [first, second, third] = [(); 3].map(|()| server.client());
    first.read(b"x", TransferOptions::default());
    second.read(b"x", TransferOptions::default());
    let (from_first, from_second) = (first.receive().from, second.receive().from);
    let mut ports = [from_first.port(), from_second.port()];
    ports.sort_unstable();
    assert_eq!(ports, [5000, 5001]);
    assert_eq!(from_first.ip(), server.addr.ip(), "the address that was asked");

    third.read(b"x", TransferOptions::default());
    server.settle();
    assert_eq!(server.counted(Counter::TftpNoSocket), 1);
    first.ack(1, from_first);
    assert!(is_sent(&server.outcome(), 10));
    assert!(third.has_nothing());
    third.read(b"x", TransferOptions::default());
    assert_eq!(third.receive().from.port(), from_first.port(), "the port that became free");
}

#[test]
fn a_server_that_stops_lets_transfers_finish_and_none_begin() {
    let mut server = Server::new();
    server.file("x", 600);
    let client = server.client();
    client.read(b"x", TransferOptions::default());
    let from = client.receive().from;
    drop(server.stop.take());
    // Requests are refused from some moment on; until then they are transfers that count as begun.
    let mut begun = Vec::new();
    while server.counted(Counter::TftpFull) == 0 {
        let other = Client::new(server.addr, Ipv4Addr::new(127, 0, 0, 3));
        other.ask(b"\0\x01none\0octet\0");
        begun.push(other);
        server.settle();
    }
    client.ack(1, from);
    assert_eq!(client.receive().data().0, 2);
    client.ack(2, from);
    let served = server.runtime.block_on(async { tokio::time::timeout(LIMIT, &mut server.served).await });
    served.expect("the end of the service").unwrap().unwrap();
    drop(begun);
}
