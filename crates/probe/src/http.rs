//! One HTTP/1.1 exchange as loaders make it: a request, then an answer whose every byte is counted.

use crate::limits::{FILE_BYTES_MAX, HTTP_HEAD_BYTES_MAX, LOOK_BYTES_MAX};
use crate::url::Url;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// More bytes are to come.
    Going,
    /// The answer is whole.
    Whole,
    /// The bytes are no HTTP answer.
    Broken,
}

/// The head of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) length: Option<u64>,
    pub(crate) location: Option<String>,
    chunked: bool,
}

#[derive(Debug)]
enum Part {
    Head(Vec<u8>),
    /// A body of known length, or one that ends with the connection.
    Body,
    Chunk(Chunk),
    End(State),
}

/// Where a chunked body stands (RFC 9112 section 7.1).
#[derive(Debug)]
enum Chunk {
    /// In the line with the length; its hexadecimal digits so far.
    Size {
        size: u64,
        digits: u8,
        in_extension: bool,
    },
    Data(u64),
    /// In the line end behind the data.
    DataEnd,
    /// In the lines behind the last chunk; true at the beginning of one.
    Trailer {
        at_start: bool,
    },
}

const CHUNK_DIGITS_MAX: u8 = 15;

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    method: Method,
    part: Part,
    pub(crate) head: Head,
    /// Bytes of the body that came.
    pub(crate) received: u64,
    /// The first of them.
    pub(crate) body: Vec<u8>,
}

/// The request as it goes over the wire.
pub(crate) fn request(method: Method, url: &Url, agent: &str, form: Option<&str>) -> Vec<u8> {
    let method = match (method, form) {
        (Method::Get, None) => "GET",
        (Method::Get, Some(_)) => "POST",
        (Method::Head, _) => "HEAD",
    };
    let form = form.map_or_else(
        || "\r\n".to_owned(),
        |form| {
            let kind = "Content-Type: application/x-www-form-urlencoded";
            format!("{kind}\r\nContent-Length: {}\r\n\r\n{form}", form.len())
        },
    );
    let port = if url.port == 80 { String::new() } else { format!(":{}", url.port) };
    // What would end the request line cannot be part of it.
    let path: String = url.path.chars().map(|c| if c == ' ' || c.is_control() { '_' } else { c }).collect();
    format!(
        "{method} {path} HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: {agent}\r\nHost: {}{port}\r\n{form}",
        url.host
    )
    .into_bytes()
}

impl Exchange {
    pub(crate) fn new(method: Method) -> Self {
        Self { method, part: Part::Head(Vec::new()), head: Head::default(), received: 0, body: Vec::new() }
    }

    /// Something of the answer has come.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(&self.part, Part::Head(bytes) if bytes.is_empty())
    }

    /// Takes bytes of the answer. What comes behind its end is ignored.
    pub(crate) fn bytes(&mut self, mut bytes: &[u8]) -> State {
        while !bytes.is_empty() {
            bytes = match &mut self.part {
                Part::Head(head) => {
                    let before = head.len();
                    head.extend(bytes.iter().take(HTTP_HEAD_BYTES_MAX + 4 - before.min(HTTP_HEAD_BYTES_MAX)));
                    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
                    else {
                        return if head.len() > HTTP_HEAD_BYTES_MAX {
                            self.end(State::Broken)
                        } else {
                            State::Going
                        };
                    };
                    let Some(parsed) = parse(&head[..end]) else { return self.end(State::Broken) };
                    self.begin_body(parsed);
                    bytes.get(end - before..).unwrap_or_default()
                }
                Part::Body => {
                    let rest = self.head.length.map_or(u64::MAX, |length| length - self.received);
                    let now = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes.len());
                    self.take(&bytes[..now]);
                    if self.head.length == Some(self.received) {
                        self.part = Part::End(State::Whole);
                    }
                    &bytes[now..]
                }
                Part::Chunk(_) => self.chunked(bytes),
                Part::End(_) => break,
            };
            if self.received > FILE_BYTES_MAX {
                return self.end(State::Broken);
            }
        }
        match self.part {
            Part::End(state) => state,
            _ => State::Going,
        }
    }

    /// The other side closed the connection.
    pub(crate) fn closed(&mut self) -> State {
        match self.part {
            Part::Body if self.head.length.is_none() => self.end(State::Whole),
            Part::End(state) => state,
            _ => self.end(State::Broken),
        }
    }

    /// Its head has come.
    pub(crate) fn has_head(&self) -> bool {
        self.head.status != 0
    }

    fn end(&mut self, state: State) -> State {
        self.part = Part::End(state);
        state
    }

    fn begin_body(&mut self, head: Head) {
        // A 1xx answer precedes the real one.
        if head.status < 200 {
            self.part = Part::Head(Vec::new());
            return;
        }
        let nothing = self.method == Method::Head
            || matches!(head.status, 204 | 304)
            || (head.length == Some(0) && !head.chunked);
        self.part = match (nothing, head.chunked) {
            (true, _) => Part::End(State::Whole),
            (false, true) => Part::Chunk(Chunk::Size { size: 0, digits: 0, in_extension: false }),
            (false, false) => Part::Body,
        };
        self.head = head;
    }

    fn take(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        let room = LOOK_BYTES_MAX - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes one byte, or a run of data; what remains.
    fn chunked<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (Part::Chunk(chunk), Some((&byte, rest))) = (&mut self.part, bytes.split_first()) else {
            return &[];
        };
        match (&mut *chunk, byte) {
            (Chunk::Size { size: 0, digits: 1.., .. }, b'\n') => *chunk = Chunk::Trailer { at_start: true },
            (&mut Chunk::Size { size, digits: 1.., .. }, b'\n') => *chunk = Chunk::Data(size),
            (Chunk::Size { in_extension: true, .. }, _) => {}
            (Chunk::Size { in_extension, digits: 1.., .. }, b';' | b' ' | b'\r') => *in_extension = true,
            (Chunk::Size { size, digits, .. }, _) => match char::from(byte).to_digit(16) {
                Some(digit) if *digits < CHUNK_DIGITS_MAX => {
                    *size = *size << 4 | u64::from(digit);
                    *digits += 1;
                }
                _ => self.part = Part::End(State::Broken),
            },
            (Chunk::Data(left), _) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= now as u64;
                if *left == 0 {
                    *chunk = Chunk::DataEnd;
                }
                self.take(&bytes[..now]);
                return &bytes[now..];
            }
            (Chunk::DataEnd, b'\n') => *chunk = Chunk::Size { size: 0, digits: 0, in_extension: false },
            (Chunk::DataEnd, b'\r') => {}
            (Chunk::DataEnd, _) => self.part = Part::End(State::Broken),
            (Chunk::Trailer { at_start: true }, b'\n') => self.part = Part::End(State::Whole),
            (Chunk::Trailer { at_start }, _) => *at_start = byte == b'\n' || (*at_start && byte == b'\r'),
        }
        rest
    }
}

fn parse(head: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.")?
        .get(2..5)?
        .parse()
        .ok()
        .filter(|status| (100..600).contains(status))?;
    let mut parsed = Head { status, ..Head::default() };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            parsed.length = Some(value.parse().ok()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            parsed.chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("location") {
            parsed.location = Some(value.to_owned());
        }
    }
    if parsed.chunked {
        parsed.length = None;
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(answer: &[u8]) -> (State, Exchange) {
        let mut exchange = Exchange::new(Method::Get);
        let state = exchange.bytes(answer);
        (state, exchange)
    }

    #[test]
    fn an_answer_is_the_same_in_any_pieces() {
        let answers: [(&[u8], &[u8]); 4] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n02\r\nlo\r\n0\r\nA: b\r\n\r\n", b"hello"),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""),
            (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ];
        for (answer, body) in answers {
            for size in 1..=answer.len() {
                let mut exchange = Exchange::new(Method::Get);
                let states: Vec<State> = answer.chunks(size).map(|piece| exchange.bytes(piece)).collect();
                assert_eq!(states.last(), Some(&State::Whole), "{} by {size}", answer.escape_ascii());
                assert_eq!((exchange.body.as_slice(), exchange.received), (body, body.len() as u64));
            }
        }
    }

    #[test]
    fn an_end_that_comes_too_early_is_told_from_one_that_is_the_end() {
        let (state, mut short) = whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
        assert_eq!((state, short.closed(), short.received), (State::Going, State::Broken, 3));
        let (state, mut open) = whole(b"HTTP/1.1 200 OK\r\n\r\nhel");
        assert_eq!((state, open.closed(), open.received), (State::Going, State::Whole, 3));
        let (_, mut nothing) = whole(b"HTTP/1.1 200");
        assert_eq!(nothing.closed(), State::Broken);
    }

    #[test]
    fn what_is_no_answer_is_broken() {
        for wrong in [
            &b"220 mail.example.com\r\n\r\n"[..],
            b"HTTP/1.1 xyz\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            &[b'a'; HTTP_HEAD_BYTES_MAX + 5],
        ] {
            assert_eq!(whole(wrong).0, State::Broken, "{}", wrong[..20].escape_ascii());
        }
    }

    #[test]
    fn a_head_has_a_length_and_no_body() {
        let mut exchange = Exchange::new(Method::Head);
        assert_eq!(exchange.bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), State::Whole);
        assert_eq!((exchange.head.length, exchange.received), (Some(5), 0));
    }

    #[test]
    fn a_request_is_one_line_and_its_headers() {
        let url = Url { path: "/a b\r\nX: y".into(), ..Url::parse("http://h:8080/").unwrap() };
        let request = String::from_utf8(request(Method::Get, &url, "iPXE/1.21.1", None)).unwrap();
        assert_eq!(request.lines().count(), 5);
        assert!(request.starts_with("GET /a_b__X:_y HTTP/1.1\r\n") && request.contains("Host: h:8080\r\n"));
    }
}
