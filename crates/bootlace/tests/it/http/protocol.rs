//! HTTP itself: versions, connections, heads.

use super::*;
use bootlace::services::http::limits::{HEAD_BYTES_MAX, HEADERS_MAX};

#[test]
fn header_names_have_the_case_that_grub_compares() {
    let server = Server::new();
    let answer = server.get("/debian/linux", "");
    for line in ["HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 787432\r\n", "\r\nContent-Type: ", "\r\nDate: "]
    {
        assert!(answer.head.contains(line), "{line:?} in {:?}", answer.head);
    }
    assert!(!answer.head.contains("Transfer-Encoding"));
}

#[test]
fn http_1_0_closes_unless_asked_to_keep_the_connection() {
    let server = Server::new();
    let mut client = server.connect();
    let answer = client.request("GET /debian/linux HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(answer.body == kernel());
    assert_eq!(answer.header("Connection").map(str::to_ascii_lowercase).as_deref(), Some("keep-alive"));
    assert_eq!(client.request("GET /none HTTP/1.0\r\n\r\n").status, 404);
    assert!(client.is_closed());
}

#[test]
fn http_1_1_keeps_the_connection_unless_asked_to_close_it() {
    let server = Server::new();
    let mut client = server.connect();
    for _ in 0..3 {
        assert!(client.request("GET /debian/linux HTTP/1.1\r\nHost: x\r\n\r\n").body == kernel());
        assert_eq!(client.request("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
    }
    client.request("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(client.is_closed());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::new();
    let mut client = server.connect();
    client.send(
        &["/boot.ipxe", "/debian/linux", "/none", "/generated"]
            .map(|target| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .concat(),
    );
    let mut next = || {
        let head = client.head();
        client.body(head, true)
    };
    assert_eq!(next().text(), SCRIPT);
    assert!(next().body == kernel());
    assert_eq!(next().status, 404);
    assert_eq!(next().text(), "made");
}

#[test]
fn other_methods_are_refused_with_those_that_work() {
    let server = Server::new();
    for method in ["PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = server.connect().request(&format!("{method} /debian/linux HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let mut client = server.connect();
    let answer = client.request("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(answer.status, 405);
}

#[test]
fn a_head_has_limits() {
    let server = Server::new();
    let long = format!("/{}", "x".repeat(HEAD_BYTES_MAX));
    let answer = server.get(&long, "");
    assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
    assert_eq!(server.get("/none", &format!("X: {}\r\n", "x".repeat(HEAD_BYTES_MAX))).status, 431);
    let many: String = (0..HEADERS_MAX + 10).map(|at| format!("X-{at}: 1\r\n")).collect();
    assert_eq!(server.get("/none", &many).status, 431);
    let fits: String = (0..HEADERS_MAX - 10).map(|at| format!("X-{at}: 1\r\n")).collect();
    assert_eq!(server.get("/debian/linux", &fits).status, 200);
}

#[test]
fn nonsense_is_answered_and_closed() {
    let server = Server::new();
    for nonsense in
        ["\r\n\r\nhello\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\0\r\n\r\n"]
    {
        let mut client = server.connect();
        client.send(nonsense);
        assert_eq!(client.head().status, 400, "{nonsense:?}");
        assert!(client.is_closed());
    }
    assert_eq!(server.get("/debian/linux", "").status, 200);
}

#[test]
fn what_is_no_request_is_counted() {
    let server = Server::new();
    let mut junk = server.connect();
    junk.send("no HTTP at all\r\n\r\n");
    assert_eq!(junk.head().status, 400);
    assert!(junk.is_closed());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // It is counted when the connection has come to its end here, too.
    while server.counters.get(Counter::HttpBadHead) == 0 {
        assert!(std::time::Instant::now() < deadline, "it is not counted");
        std::thread::yield_now();
    }
    assert_eq!(server.counters.get(Counter::HttpBadHead), 1);
}
