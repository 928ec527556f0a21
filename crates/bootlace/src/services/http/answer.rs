//! One request, one response.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Instant;

use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue, LAST_MODIFIED, USER_AGENT,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use bootlace_core::event::{FileEvent, FileOutcome, Protocol};
use bootlace_core::model::Text;
use bootlace_wire::http::name_of;

use super::BootHttp;
use super::body::{Delivery, Payload, Ways};
use super::range::{Wanted, unmet_condition, wanted};
use crate::files::{Body, Content, Version};
use crate::resolver::{Ask, Found, Purpose};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) peer: SocketAddrV4,
    pub(super) local: SocketAddrV4,
}

/// A request on its way to a response.
struct Exchange<'a> {
    http: &'a Arc<BootHttp>,
    ends: Ends,
    ways: Ways,
    headers: &'a HeaderMap,
    purpose: Purpose,
    began: Instant,
}

/// Answers a request. The body is dropped by hyper: no request that is served has one.
pub(super) async fn answer<B>(
    http: &Arc<BootHttp>,
    ends: Ends,
    ways: Ways,
    request: &Request<B>,
) -> Response<Payload> {
    let purpose = match *request.method() {
        Method::GET => Purpose::Fetch,
        Method::HEAD => Purpose::SizeProbe,
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
    };
    let exchange = Exchange { http, ends, ways, headers: request.headers(), purpose, began: Instant::now() };
    let path = request.uri().path();
    match name_of(path) {
        Ok(name) => exchange.named(name, request.uri().query().unwrap_or_default()).await,
        Err(error) => {
            let status = if path == "/" { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
            exchange.refused(status, path, &error.to_string())
        }
    }
}

impl Exchange<'_> {
    async fn named(&self, name: String, query: &str) -> Response<Payload> {
        let ask = Ask {
            protocol: Protocol::Http,
            name: &name,
            query,
            purpose: self.purpose,
            peer: self.ends.peer,
            local: self.ends.local,
            user_agent: self.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()),
        };
        match self.http.resolver.find(&ask).await {
            Found::Content(content) => self.content(&name, &content),
            Found::Script(content) => self.script(&name, &content),
            Found::Absent(why) => {
                self.record(&name, FileOutcome::Absent(why.clone()));
                plain(StatusCode::NOT_FOUND, &format!("{}: {why}", Text::from(name.as_str())))
            }
            Found::Refused(why) => self.refused(StatusCode::FORBIDDEN, &name, &why),
            Found::Failed(why) => self.refused(StatusCode::INTERNAL_SERVER_ERROR, &name, &why),
        }
    }

    fn script(&self, name: &str, content: &Content) -> Response<Payload> {
        let mut response = self.whole(name, content, None);
        // The same URL has another answer for another machine, or a minute later.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn content(&self, name: &str, content: &Content) -> Response<Payload> {
        let wanted = match (&content.version, self.purpose) {
            (None, _) => Wanted::Whole,
            (Some(version), Purpose::Fetch) => wanted(self.headers, version, content.len),
            (Some(version), Purpose::SizeProbe) => {
                unmet_condition(self.headers, version).unwrap_or(Wanted::Whole)
            }
        };
        let len = content.len;
        let mut response = match wanted {
            Wanted::Whole => {
                let delivery = (self.purpose == Purpose::Fetch).then(|| self.delivery(name, len));
                self.whole(name, content, delivery)
            }
            Wanted::Part(from, to) => self.part(name, content, (from, to)),
            Wanted::NotModified => {
                drop(self.delivery(name, 0));
                let mut response = Response::new(Payload::Done);
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            Wanted::OtherVersion => {
                self.refused(StatusCode::PRECONDITION_FAILED, name, "the file is another one by now")
            }
            Wanted::NotThere => {
                let mut response =
                    self.refused(StatusCode::RANGE_NOT_SATISFIABLE, name, "the range lies behind the end");
                insert(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{len}"));
                response
            }
        };
        if let Some(version) = &content.version {
            describe(response.headers_mut(), version);
        }
        response
    }

    fn whole(&self, name: &str, content: &Content, delivery: Option<Arc<Delivery>>) -> Response<Payload> {
        let payload = match self.purpose {
            Purpose::Fetch => self.payload(content, (0, content.len), delivery),
            Purpose::SizeProbe => {
                self.record(name, FileOutcome::SizeProbe);
                Payload::Done
            }
        };
        success(StatusCode::OK, content.mime, content.len, payload)
    }

    fn part(&self, name: &str, content: &Content, (from, to): (u64, u64)) -> Response<Payload> {
        let delivery = Some(self.delivery(name, to - from));
        let payload = self.payload(content, (from, to), delivery);
        let mut response = success(StatusCode::PARTIAL_CONTENT, content.mime, to - from, payload);
        let range = format!("bytes {from}-{}/{}", to - 1, content.len);
        insert(response.headers_mut(), CONTENT_RANGE, &range);
        response
    }

    fn payload(&self, content: &Content, (from, to): (u64, u64), delivery: Option<Arc<Delivery>>) -> Payload {
        match &content.body {
            Body::Bytes(bytes) => {
                let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Payload::memory(bytes.slice(index(from)..index(to)), delivery)
            }
            Body::File(file) => Payload::file(Arc::clone(file), (from, to), self.ways.clone(), delivery),
        }
    }

    fn refused(&self, status: StatusCode, name: &str, why: &str) -> Response<Payload> {
        self.record(name, FileOutcome::Refused(why.to_owned()));
        plain(status, &format!("{}: {why}", Text::from(name)))
    }

    fn record(&self, name: &str, outcome: FileOutcome) {
        let event = FileEvent { protocol: Protocol::Http, name: name.into(), outcome };
        self.http.resolver.record(self.ends.peer, event);
    }

    fn delivery(&self, name: &str, of: u64) -> Arc<Delivery> {
        let resolver = Arc::clone(&self.http.resolver);
        Arc::new(Delivery::new(resolver, self.ends.peer, name.into(), of, self.began))
    }
}

fn success(status: StatusCode, mime: &'static str, len: u64, payload: Payload) -> Response<Payload> {
    let mut response = Response::new(payload);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    // By hand, so that a HEAD has it too: EDK2 asks the size that way.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    response
}

/// Says which version of a file this is, and that parts of it can be had.
fn describe(headers: &mut HeaderMap, version: &Version) {
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(headers, ETAG, &version.etag);
    insert(headers, LAST_MODIFIED, &httpdate::fmt_http_date(version.modified()));
}

/// One line of text: what a person with curl, or at a machine's screen, reads.
fn plain(status: StatusCode, line: &str) -> Response<Payload> {
    let text = format!("{line}\n");
    let len = text.len() as u64;
    success(status, "text/plain; charset=utf-8", len, Payload::memory(text.into(), None))
}

/// Our own values are all visible ASCII; one that was not would be left out, not break the answer.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
