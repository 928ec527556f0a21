//! As simple as a web server can be: one answer, then the connection ends.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use bootlace_lab::Host;

/// Serves on port 80 of `host` for as long as the scenario runs. The answer to a path is whole, with its head.
pub(super) fn serve(host: &Host, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Result<()> {
    let listener = host.namespace().run(|| TcpListener::bind((host.cidr().addr, 80)))??;
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // Whoever does not listen any more has what it wanted.
            thread::spawn(move || drop(one(&stream, answer.as_ref())));
        }
    });
    Ok(())
}

fn one(mut stream: &TcpStream, answer: &dyn Fn(&str) -> Vec<u8>) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or("/"));
    let mut bytes = answer(path);
    if method == "HEAD" {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        bytes.truncate(end);
    }
    stream.write_all(&bytes)
}

/// A whole answer.
pub(super) fn ok(body: &[u8]) -> Vec<u8> {
    announced(body.len(), body)
}

/// One whose body is not as long as it says.
pub(super) fn announced(len: usize, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    answer.extend(body);
    answer
}

pub(super) fn not_found() -> Vec<u8> {
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()
}
