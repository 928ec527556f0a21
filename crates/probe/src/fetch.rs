//! One file, by whatever leads to it: the name's address, then TFTP or HTTP.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::action::{Action, Input};
use crate::dhcp::secs;
use crate::dns;
use crate::finding::{Finding, FindingCode};
use crate::http::{self, Method, State};
use crate::limits::REDIRECTS_MAX;
use crate::random::Random;
use crate::report::File;
use crate::text::bytes as count;
use crate::tftp::{Download, Manner, TftpError};
use crate::url::{Host, Scheme, Url};

/// What a client does with a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    Followed,
    Refused,
}

/// How a client learns how long a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// As it comes.
    Counted,
    /// By a HEAD before the GET, and both must tell.
    HeadFirst,
}

/// How a client fetches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) tftp: Manner,
    /// `User-Agent`.
    pub(crate) agent: &'static str,
    pub(crate) redirects: Redirects,
    pub(crate) length: Length,
}

/// A file that came.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) file: File,
    /// As much of it as is looked at.
    pub(crate) beginning: Vec<u8>,
}

/// Why a file did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    Tftp(TftpError),
    DnsMissing,
    DnsFailed(&'static str),
    Unreachable,
    Silent {
        received: u64,
    },
    Broken,
    Status(u16),
    Redirect(String),
    NoLength,
    /// Bytes that came of those that were announced.
    Short {
        came: u64,
        announced: Option<u64>,
    },
    /// HEAD and GET tell different lengths.
    LengthDiffers {
        head: u64,
        get: u64,
    },
}

#[derive(Debug)]
enum Phase {
    Resolving { id: u16, tries: u8 },
    Tftp(Download),
    Connecting,
    Http(http::Exchange),
}

/// A fetch under way.
#[derive(Debug)]
pub(crate) struct Fetch {
    habits: Habits,
    url: Url,
    /// What is posted.
    form: Option<String>,
    name_server: Option<Ipv4Addr>,
    method: Method,
    /// What HEAD said.
    announced: Option<u64>,
    redirects: u32,
    phase: Phase,
    until: Duration,
    tag: u16,
}

type Ended = Option<Result<Fetched, FetchError>>;

const DNS_PORT: u16 = 53;
const DNS_WAIT: Duration = secs(2);
const DNS_TRIES: u8 = 3;
/// iPXE and EDK2 try longer, but a server that takes longer to answer a SYN does not boot a room of machines.
const CONNECT_WAIT: Duration = secs(10);
/// Silence within an answer; iPXE gives up after about as long.
const SILENCE_WAIT: Duration = secs(20);

impl Fetch {
    /// Begins; an error at once is possible.
    pub(crate) fn start(
        habits: Habits,
        url: Url,
        form: Option<String>,
        name_server: Option<Ipv4Addr>,
        random: &mut Random,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Result<Self, FetchError> {
        let method = match habits.length {
            Length::HeadFirst => Method::Head,
            Length::Counted => Method::Get,
        };
        let mut fetch = Self {
            habits,
            url,
            form,
            name_server,
            method,
            announced: None,
            redirects: 0,
            phase: Phase::Resolving { id: 0, tries: 0 },
            until: now,
            tag: random.u16(),
        };
        fetch.locate(now, out)?;
        Ok(fetch)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn deadline(&self) -> Duration {
        match &self.phase {
            Phase::Tftp(download) => download.deadline(),
            _ => self.until,
        }
    }

    /// Bytes that have come of the file.
    pub(crate) fn received(&self) -> u64 {
        match &self.phase {
            Phase::Tftp(download) => download.received(),
            Phase::Http(exchange) => exchange.received,
            Phase::Resolving { .. } | Phase::Connecting => 0,
        }
    }

    fn locate(&mut self, now: Duration, out: &mut Vec<Action>) -> Result<(), FetchError> {
        match self.url.host {
            Host::Ip(ip) => self.open(ip, now, out),
            Host::Name(_) => {
                self.phase = Phase::Resolving { id: self.tag, tries: 0 };
                out.push(Action::OpenUdp { port: 0 });
                self.resolve(now, out)?;
            }
        }
        Ok(())
    }

    fn resolve(&mut self, now: Duration, out: &mut Vec<Action>) -> Result<(), FetchError> {
        let server = self.name_server.ok_or(FetchError::DnsMissing)?;
        let (Phase::Resolving { id, tries }, Host::Name(name)) = (&mut self.phase, &self.url.host) else {
            return Ok(());
        };
        if *tries == DNS_TRIES {
            return Err(FetchError::DnsFailed("no answer"));
        }
        *tries += 1;
        self.until = now + DNS_WAIT;
        out.push(Action::SendUdp {
            to: SocketAddrV4::new(server, DNS_PORT),
            bytes: dns::question(*id, name),
        });
        Ok(())
    }

    fn open(&mut self, ip: Ipv4Addr, now: Duration, out: &mut Vec<Action>) {
        match self.url.scheme {
            Scheme::Tftp => {
                let server = (ip, self.url.port);
                let name = self.url.path.as_bytes();
                self.phase = Phase::Tftp(Download::start(self.habits.tftp, server, name, now, out));
            }
            Scheme::Http => {
                let server = SocketAddrV4::new(ip, self.url.port);
                self.phase = Phase::Connecting;
                self.until = now + CONNECT_WAIT;
                out.push(Action::Connect(server));
            }
        }
    }

    pub(crate) fn handle(&mut self, input: Input<'_>, now: Duration, out: &mut Vec<Action>) -> Ended {
        match (&mut self.phase, input) {
            (Phase::Resolving { .. }, Input::Udp { from, bytes }) => self.resolved(from, bytes, now, out),
            (Phase::Resolving { .. }, Input::UdpRefused) => Some(Err(FetchError::DnsFailed("port closed"))),
            (Phase::Resolving { .. }, Input::Timeout) => self.resolve(now, out).err().map(Err),
            (Phase::Tftp(download), Input::Udp { from, bytes }) => {
                let ended = download.datagram(from, bytes, now, out);
                self.tftp(ended)
            }
            // One refusal may be an old answer's; a server that is not there is silent for every try.
            (Phase::Tftp(download), Input::Timeout) => {
                let ended = download.timeout(now, out);
                self.tftp(ended)
            }
            (Phase::Connecting, Input::Connected) => {
                out.push(Action::SendTcp(http::request(
                    self.method,
                    &self.url,
                    self.habits.agent,
                    self.form.as_deref(),
                )));
                self.phase = Phase::Http(http::Exchange::new(self.method));
                self.until = now + SILENCE_WAIT;
                None
            }
            (Phase::Connecting, Input::TcpFailed | Input::TcpClosed | Input::Timeout) => {
                out.push(Action::CloseTcp);
                Some(Err(FetchError::Unreachable))
            }
            (Phase::Http(exchange), Input::Tcp(bytes)) => {
                self.until = now + SILENCE_WAIT;
                match exchange.bytes(bytes) {
                    State::Going => None,
                    State::Whole => self.answered(now, out),
                    State::Broken => self.fail(FetchError::Broken, out),
                }
            }
            (Phase::Http(exchange), Input::TcpClosed | Input::TcpFailed) => {
                let error = match (exchange.has_begun(), exchange.has_head()) {
                    (false, _) => FetchError::Silent { received: 0 },
                    (true, false) => FetchError::Broken,
                    (true, true) => {
                        FetchError::Short { came: exchange.received, announced: exchange.head.length }
                    }
                };
                let whole = input == Input::TcpClosed && exchange.closed() == State::Whole;
                if whole { self.answered(now, out) } else { self.fail(error, out) }
            }
            (Phase::Http(exchange), Input::Timeout) => {
                let received = exchange.received;
                self.fail(FetchError::Silent { received }, out)
            }
            _ => None,
        }
    }

    fn fail(&mut self, error: FetchError, out: &mut Vec<Action>) -> Ended {
        out.push(Action::CloseTcp);
        Some(Err(error))
    }

    fn resolved(&mut self, from: SocketAddrV4, bytes: &[u8], now: Duration, out: &mut Vec<Action>) -> Ended {
        let Phase::Resolving { id, .. } = self.phase else { return None };
        if Some(*from.ip()) != self.name_server {
            return None;
        }
        match dns::answer(id, bytes)? {
            dns::Answer::Address(ip) => {
                self.open(ip, now, out);
                None
            }
            dns::Answer::None => Some(Err(FetchError::DnsFailed("there is no such name"))),
        }
    }

    fn tftp(&self, ended: Option<Result<crate::tftp::Received, TftpError>>) -> Ended {
        Some(match ended? {
            Ok(received) => Ok(self.fetched(received.bytes, received.beginning)),
            Err(error) => Err(FetchError::Tftp(error)),
        })
    }

    fn fetched(&self, bytes: u64, beginning: Vec<u8>) -> Fetched {
        Fetched { url: self.url.clone(), file: File { url: self.url.to_string(), bytes }, beginning }
    }

    fn answered(&mut self, now: Duration, out: &mut Vec<Action>) -> Ended {
        let Phase::Http(exchange) = &mut self.phase else { return None };
        let (head, received) = (exchange.head.clone(), exchange.received);
        let body = std::mem::take(&mut exchange.body);
        out.push(Action::CloseTcp);
        if let (300..400, Some(location)) = (head.status, head.location) {
            return match (self.habits.redirects, self.url.join(&location)) {
                (Redirects::Followed, Ok(url)) if self.redirects < REDIRECTS_MAX => {
                    self.redirects += 1;
                    self.url = url;
                    self.locate(now, out).err().map(Err)
                }
                _ => Some(Err(FetchError::Redirect(location))),
            };
        }
        if head.status != 200 {
            return Some(Err(FetchError::Status(head.status)));
        }
        match (self.habits.length, self.method, head.length) {
            (Length::HeadFirst, _, None) => Some(Err(FetchError::NoLength)),
            (Length::HeadFirst, Method::Head, length) => {
                self.announced = length;
                self.method = Method::Get;
                self.locate(now, out).err().map(Err)
            }
            _ => match self.announced {
                Some(announced) if announced != received => {
                    Some(Err(FetchError::LengthDiffers { head: announced, get: received }))
                }
                _ => Some(Ok(self.fetched(received, body))),
            },
        }
    }
}

impl FetchError {
    /// The file is not there, which loaders that search take as "look further".
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Tftp(TftpError::NotFound(_)) | Self::Status(404 | 410))
    }

    /// As what would stop a machine that needs the file.
    pub(crate) fn finding(&self, url: &Url) -> Finding {
        use FindingCode as C;
        let (code, message, evidence) = match self {
            Self::Tftp(error) => return tftp_finding(error, url),
            Self::DnsMissing => (C::DnsMissing, "there is no name server to look the host up", String::new()),
            Self::DnsFailed(why) => (C::DnsFailed, "the host's name cannot be looked up", (*why).to_owned()),
            Self::Unreachable => {
                (C::HttpUnreachable, "the server takes no connection", format!("port {}", url.port))
            }
            Self::Silent { received } => {
                (C::HttpSilent, "the server does not answer any more", format!("{} came", count(*received)))
            }
            Self::Broken => (C::HttpBroken, "the server's answer is no HTTP", String::new()),
            Self::Status(status) => {
                (C::HttpStatus, "the server does not give the file", format!("status {status}"))
            }
            Self::Redirect(to) => {
                (C::HttpRedirect, "the server redirects", format!("to {}", crate::text::shown(to.as_bytes())))
            }
            Self::NoLength => (C::HttpNoLength, "the server does not tell the length", String::new()),
            Self::Short { came, announced } => {
                let announced =
                    announced.map_or_else(|| "an unknown number".to_owned(), |length| length.to_string());
                (C::HttpShort, "the file ends too early", format!("{} of {announced} came", count(*came)))
            }
            Self::LengthDiffers { head, get } => (
                C::HttpShort,
                "HEAD and GET differ in length",
                format!("HEAD says {head}, GET brought {get}"),
            ),
        };
        Finding::new(code, format!("{url}: {message}"), evidence)
    }
}

fn tftp_finding(error: &TftpError, url: &Url) -> Finding {
    use FindingCode as C;
    let (code, message, evidence) = match error {
        TftpError::Silent => (C::TftpSilent, "the TFTP server does not answer", String::new()),
        TftpError::Stalled { received } => {
            (C::TftpStalled, "the TFTP server fell silent", format!("{} had come", count(*received)))
        }
        TftpError::NotFound(text) => (C::TftpNotFound, "the TFTP server has no such file", text.clone()),
        TftpError::Refused { code, text } => {
            (C::TftpRefused, "the TFTP server refuses", format!("error {code} {text}"))
        }
        TftpError::Options(why) => {
            (C::TftpOptions, "the TFTP server grants wrong options", (*why).to_owned())
        }
        TftpError::Size { said, came } => (
            C::TftpSize,
            "the file is not as long as the TFTP server says",
            format!("tsize {said}, {} came", count(*came)),
        ),
    };
    Finding::new(code, format!("{url}: {message}"), evidence)
}
