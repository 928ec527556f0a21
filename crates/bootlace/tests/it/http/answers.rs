//! Names, files, ranges and conditions.

use super::*;
use bootlace::services::http::limits::EXTENT_BYTES;
use std::os::unix::fs::symlink;

#[test]
fn a_file_comes_whole_with_its_version() {
    let server = Server::new();
    let answer = server.get("/debian/linux", "");
    assert_eq!(answer.status, 200);
    assert!(answer.body == kernel());
    assert_eq!(answer.header("Content-Type"), Some("application/octet-stream"));
    assert_eq!(answer.header("Accept-Ranges"), Some("bytes"));
    assert!(answer.header("Last-Modified").unwrap().ends_with(" GMT"));
    let event = server.file_event();
    assert_eq!(event.name.as_str(), "debian/linux");
    let FileOutcome::Sent { bytes, retransmits: 0, .. } = event.outcome else { panic!("{event:?}") };
    assert_eq!(bytes, kernel().len() as u64);
    fs::write(server.path("empty"), "").unwrap();
    let empty = server.get("/empty", "");
    assert_eq!((empty.status, empty.header("Content-Length")), (200, Some("0")));
}

#[test]
fn a_head_tells_the_length_and_causes_nothing() {
    let server = Server::new();
    let mut client = server.connect();
    let answer = client.request("HEAD /debian/linux HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Content-Length"), Some(kernel().len().to_string().as_str()));
    assert_eq!(server.outcome(), FileOutcome::SizeProbe);
    let script = client.request("HEAD /boot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(script.header("Content-Length"), Some(SCRIPT.len().to_string().as_str()));
    assert_eq!(server.outcome(), FileOutcome::SizeProbe, "and no decision");
    assert_eq!(client.request("HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
}

#[test]
fn scripts_are_recorded_as_decisions_and_never_cached() {
    let server = Server::new();
    let answer = server.get("/boot.ipxe?mac=00%3A12%3a34&product=A%20B&empty=", "");
    assert_eq!((answer.status, answer.text()), (200, SCRIPT));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(answer.header("Etag"), None);
    let Ok(EventKind::Script(script)) = server.events.recv() else { panic!("no script") };
    assert_eq!(script.name, "boot.ipxe");
    assert_eq!(server.queries.lock().unwrap()[0], "mac=00%3A12%3a34&product=A%20B&empty=");
    assert_eq!(server.get("/generated", "").text(), "made");
    assert!(matches!(server.outcome(), FileOutcome::Sent { bytes: 4, .. }), "what no decision made");
}

#[test]
fn ranges() {
    let server = Server::new();
    let (kernel, len) = (kernel(), kernel().len());
    let cases = [
        ("bytes=0-0", 0..1),
        ("bytes=100-300000", 100..300_001),
        ("bytes=786000-", 786_000..len),
        ("bytes=-500", len - 500..len),
    ];
    for (range, expect) in cases {
        let answer = server.get("/debian/linux", &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, 206, "{range}");
        let content_range = format!("bytes {}-{}/{len}", expect.start, expect.end - 1);
        assert_eq!(answer.header("Content-Range"), Some(content_range.as_str()));
        assert!(answer.body == kernel[expect.clone()], "{range}");
        assert!(matches!(server.outcome(), FileOutcome::Sent { bytes, .. } if bytes == expect.len() as u64));
    }
    let several = server.get("/debian/linux", "Range: bytes=0-1,5-6\r\n");
    assert_eq!((several.status, several.body.len()), (200, len), "several ranges: the whole file");
    assert!(matches!(server.outcome(), FileOutcome::Sent { .. }));
    let behind = server.get("/debian/linux", &format!("Range: bytes={len}-\r\n"));
    assert_eq!(behind.status, 416);
    assert_eq!(behind.header("Content-Range"), Some(format!("bytes */{len}").as_str()));
    assert!(matches!(server.outcome(), FileOutcome::Refused(_)));
}

#[test]
fn conditions() {
    let server = Server::new();
    let first = server.get("/debian/linux", "");
    let (etag, modified) = (first.header("Etag").unwrap(), first.header("Last-Modified").unwrap());
    let status = |headers: String| server.get("/debian/linux", &headers).status;
    assert_eq!(status(format!("If-None-Match: {etag}\r\n")), 304);
    assert_eq!(status(format!("If-Modified-Since: {modified}\r\n")), 304);
    assert_eq!(status(format!("If-Range: {etag}\r\nRange: bytes=5-9\r\n")), 206);
    assert_eq!(status(format!("If-Match: {etag}\r\nRange: bytes=5-9\r\n")), 206);
    assert_eq!(status("If-Range: \"old\"\r\nRange: bytes=5-9\r\n".to_owned()), 200);
    assert_eq!(status("If-Match: \"old\"\r\n".to_owned()), 412);
    fs::write(server.path("debian/linux"), "a new kernel").unwrap();
    let went_on = server.get("/debian/linux", &format!("If-Range: {etag}\r\nRange: bytes=5-\r\n"));
    assert_eq!((went_on.status, went_on.text()), (200, "a new kernel"), "not the rest of another file");
}

#[test]
fn what_is_not_there_says_so_in_one_line() {
    let server = Server::new();
    let answer = server.get("/none", "");
    assert_eq!((answer.status, answer.text()), (404, "none: no such file\n"));
    assert_eq!(server.outcome(), FileOutcome::Absent("no such file".to_owned()));
    let answer = server.get("/never", "");
    assert_eq!((answer.status, answer.text()), (404, "never: no boot asks for it\n"));
    assert_eq!(server.outcome(), FileOutcome::Absent("no boot asks for it".to_owned()));
    assert_eq!(server.get("/", "").status, 404, "no listing");
    assert_eq!(server.get("/debian/", "").status, 403, "no listing");
}

#[test]
fn nothing_leads_out_of_boot_dir() {
    let server = Server::new();
    symlink("../shadow", server.path("climb")).unwrap();
    symlink(server.dir.path().join("shadow"), server.path("absolute")).unwrap();
    symlink(server.dir.path(), server.path("up")).unwrap();
    let targets = [
        ("/../shadow", 400),
        ("/debian/../../shadow", 400),
        ("/..%2fshadow", 400),
        ("/%2e%2e/shadow", 400),
        ("/..%5cshadow", 400),
        ("/..\\shadow", 400),
        ("/debian%00/../shadow", 400),
        ("/debian/linux%00", 400),
        ("/%252e%252e%252fshadow", 404),
        ("/..%c0%afshadow", 400),
        ("/climb", 403),
        ("/absolute", 403),
        ("/up/shadow", 403),
        ("/debian/../shadow", 400),
        ("//etc/passwd", 404),
        ("http://x/../shadow", 400),
    ];
    for (target, status) in targets {
        let answer = server.get(target, "");
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(!answer.text().contains("SECRET"), "{target}");
        let outcome = server.outcome();
        assert!(matches!(outcome, FileOutcome::Refused(_) | FileOutcome::Absent(_)), "{target}: {outcome:?}");
    }
}

#[test]
fn a_file_of_several_extents_is_whole_and_the_connection_goes_on() {
    let server = Server::new();
    let image: Vec<u8> = (0..2 * EXTENT_BYTES + 1000).map(|at| (at / 4096 % 251) as u8).collect();
    fs::write(server.path("image"), &image).unwrap();
    let mut client = server.connect();
    client.send("GET /image HTTP/1.1\r\nHost: x\r\n\r\nGET /generated HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.head();
    assert!(client.body(head, true).body == image);
    let head = client.head();
    assert_eq!(client.body(head, true).text(), "made");
    let last = client.request("GET /image HTTP/1.1\r\nHost: x\r\nRange: bytes=16777210-16777229\r\n\r\n");
    assert_eq!((last.status, &last.body[..]), (206, &image[16_777_210..16_777_230]));
}

#[test]
fn a_file_that_shrinks_ends_the_connection_and_says_why() {
    let server = Server::new();
    let len = 64 << 20;
    let file = fs::File::create(server.path("image")).unwrap();
    file.set_len(len).unwrap();
    let mut client = server.connect();
    client.send("GET /image HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.head().header("Content-Length"), Some(len.to_string().as_str()));
    file.set_len(1000).unwrap();
    let mut rest = Vec::new();
    // It may be a reset or an early end.
    let _ = client.stream.read_to_end(&mut rest);
    assert!((rest.len() as u64) < len);
    let FileOutcome::Aborted { bytes, of, why } = server.outcome() else { panic!() };
    assert!(bytes < len && of == len);
    assert_eq!(why.as_str(), "the file became shorter while it was sent");
}
