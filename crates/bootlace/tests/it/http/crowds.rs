//! Many clients, slow ones, and those that go away.

use std::io::ErrorKind;
use std::time::Duration;

use super::*;
use socket2::{Domain, Socket, Type};

/// Large enough that the kernel's buffers on both sides cannot hold it.
const IMAGE_BYTES: u64 = 16 << 20;

/// Asks and reads no further than the head. Its small window keeps most of the image on the server's side.
fn stalled(server: &Server) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.addr.into()).unwrap();
    let mut client = Client { stream: BufReader::new(socket.into()) };
    client.send("GET /image HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.head().status, 200);
    client
}

#[test]
fn downloads_that_nobody_reads_do_not_harm_one_that_somebody_does() {
    let server = Server::new();
    fs::File::create(server.path("image")).unwrap().set_len(IMAGE_BYTES).unwrap();
    let still: Vec<_> = (0..400).map(|_| stalled(&server)).collect();
    assert!(server.get("/debian/linux", "").body == kernel());
    assert_eq!(server.get("/boot.ipxe", "").text(), SCRIPT);
    assert!(matches!(server.outcome(), FileOutcome::Sent { .. }));
    drop(still);
}

#[test]
fn a_client_that_goes_away_is_recorded_with_what_it_got() {
    let server = Server::new();
    fs::File::create(server.path("image")).unwrap().set_len(IMAGE_BYTES).unwrap();
    drop(stalled(&server));
    let FileOutcome::Aborted { bytes, of, why } = server.outcome() else { panic!() };
    assert!(bytes > 0 && bytes < of && of == IMAGE_BYTES);
    assert_eq!(why.as_str(), "the connection ended");
}

#[test]
fn a_shutdown_lets_a_running_download_finish() {
    let mut server = Server::new();
    fs::File::create(server.path("image")).unwrap().set_len(IMAGE_BYTES).unwrap();
    let mut client = stalled(&server);
    let mut idle = server.connect();
    assert_eq!(idle.request("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
    drop(server.stop.take());
    assert!(idle.is_closed(), "what is between two requests is closed at once");
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() as u64, IMAGE_BYTES);
    let events = server.stop();
    assert!(matches!(&events[1], EventKind::File(FileEvent { outcome: FileOutcome::Sent { bytes, .. }, .. })
        if *bytes == IMAGE_BYTES));
}

/// Nobody waits this long for anything here.
const HANG_LIMIT: Duration = Duration::from_secs(30);
/// Too short for anybody but a test that waits for its end.
const IMPATIENT: Duration = Duration::from_millis(100);

/// Reads on until the server has closed the connection: it counts before that.
fn until_closed(client: &mut Client) -> u64 {
    client.stream.get_ref().set_read_timeout(Some(HANG_LIMIT)).unwrap();
    let mut buffer = [0; 65_536];
    let mut bytes = 0;
    loop {
        match client.stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(more) => bytes += more as u64,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("the server holds on to it: {error}"),
        }
    }
}

#[test]
fn a_download_that_nobody_takes_is_given_up_and_counted() {
    let server = Server::with_patience(Patience { frame: IMPATIENT, ..Patience::default() });
    fs::File::create(server.path("image")).unwrap().set_len(IMAGE_BYTES).unwrap();
    let mut client = stalled(&server);
    assert!(matches!(server.outcome(), FileOutcome::Aborted { .. }));
    assert!(until_closed(&mut client) < IMAGE_BYTES);
    assert_eq!(server.counters.get(Counter::HttpStalled), 1);
}

#[test]
fn a_head_that_does_not_end_is_given_up_and_counted() {
    let server = Server::with_patience(Patience { head: IMPATIENT, ..Patience::default() });
    let mut client = server.connect();
    client.send("GET /debian/linux HTTP/1.1\r\nHost:");
    until_closed(&mut client);
    assert_eq!(server.counters.get(Counter::HttpSlowHead), 1);
}
