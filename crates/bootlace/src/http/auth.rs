//! Who may use the API.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// A secret that programs show as `Authorization: Bearer TOKEN`.
#[derive(Clone)]
pub struct Token(Arc<ArcSwap<String>>);

impl Token {
    /// From the text of a token file; `None` when it is too short to keep anybody out.
    pub fn from_file(text: &str) -> Option<Self> {
        const CHARS_MIN: usize = 16;
        let token = text.trim();
        (token.len() >= CHARS_MIN).then(|| Self(Arc::new(ArcSwap::from_pointee(token.to_owned()))))
    }

    /// From now on this one and all its clones are what the other is.
    pub fn become_like(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    /// Compares without telling by its time how much was right.
    fn is(&self, shown: &str) -> bool {
        let own = self.0.load();
        let (own, shown) = (own.as_bytes(), shown.as_bytes());
        own.len() == shown.len() && own.iter().zip(shown).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

/// What a listener asks of its peers.
#[derive(Clone)]
pub enum Guard {
    /// Nothing: the socket's file mode decides who connects.
    Socket,
    /// The token, except of readers on the same host.
    Address(Option<Token>),
}

/// Lets a request through or not.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Guard::Address(token) = guard else { return next.run(request).await };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let access = if request.method().is_safe() { Access::Read } else { Access::Change };
    match judge(token.as_ref(), request.headers(), peer, access) {
        Verdict::Pass => next.run(request).await,
        Verdict::OtherHost => {
            (StatusCode::FORBIDDEN, "ask by address, as localhost, or with a token\n").into_response()
        }
        Verdict::NeedsToken => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "a token is needed\n").into_response()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    OtherHost,
    NeedsToken,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Change,
}

fn judge(token: Option<&Token>, headers: &HeaderMap, peer: Option<SocketAddr>, access: Access) -> Verdict {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match (token, shown) {
        (Some(token), Some(shown)) if token.is(shown) => Verdict::Pass,
        (Some(_), Some(_)) => Verdict::NeedsToken,
        // A page in somebody's browser may be made to ask this address under another name (DNS rebinding). It
        // has no token, and is as local as the browser.
        _ if !host_is_address(headers) => Verdict::OtherHost,
        _ if access == Access::Change => Verdict::NeedsToken,
        _ if peer.is_some_and(|peer| peer.ip().is_loopback()) => Verdict::Pass,
        _ => Verdict::NeedsToken,
    }
}

/// A browser always names the host, so that a request that names none is no page's.
fn host_is_address(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
        || host.parse::<SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_whole_and_long() {
        assert!(Token::from_file("short\n").is_none());
        let token = Token::from_file("0123456789abcdef\n").unwrap();
        assert!(token.is("0123456789abcdef"));
        assert!(!token.is("0123456789abcdeF") && !token.is("0123456789abcde") && !token.is(""));
    }

    #[test]
    fn who_may_read() {
        use Verdict::{NeedsToken, OtherHost, Pass};
        const RIGHT: &str = "Bearer 0123456789abcdef";
        let token = Token::from_file("0123456789abcdef").unwrap();
        let own = "127.0.0.1:50000";
        let cases = [
            (None, own, "localhost", None, Pass),
            (None, own, "evil.example", None, OtherHost),
            (None, "10.0.0.7:50000", "10.0.0.1", None, NeedsToken),
            (Some(&token), own, "localhost", None, Pass),
            (Some(&token), own, "localhost", Some("Bearer guess"), NeedsToken),
            (Some(&token), own, "evil.example", None, OtherHost),
            (Some(&token), "10.0.0.7:50000", "10.0.0.1", None, NeedsToken),
            (Some(&token), "10.0.0.7:50000", "10.0.0.1", Some("Basic 0123456789abcdef"), NeedsToken),
            (Some(&token), "10.0.0.7:50000", "10.0.0.1", Some(RIGHT), Pass),
            (Some(&token), "10.0.0.7:50000", "pxe.example.com", Some(RIGHT), Pass),
            (None, "10.0.0.7:50000", "10.0.0.1", Some(RIGHT), NeedsToken),
        ];
        for (token, peer, host, shown, verdict) in cases {
            let mut headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
            headers.extend(shown.map(|shown| (AUTHORIZATION, shown.parse().unwrap())));
            let peer = Some(peer.parse().unwrap());
            let change = if verdict == Pass && shown != Some(RIGHT) { NeedsToken } else { verdict };
            assert_eq!(judge(token, &headers, peer, Access::Change), change, "{peer:?} {host} {shown:?}");
            assert_eq!(judge(token, &headers, peer, Access::Read), verdict, "{peer:?} {host} {shown:?}");
        }
        assert_eq!(
            judge(None, &HeaderMap::new(), None, Access::Read),
            NeedsToken,
            "a listener that names no peers"
        );
    }

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        let with = |host: &str| HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        for host in ["127.0.0.1:8470", "localhost:8470", "[::1]:8470", "10.0.0.1"] {
            assert!(host_is_address(&with(host)), "{host}");
        }
        for host in ["evil.example:8470", "127.0.0.1.evil.example", "localhost.evil.example:80", "\u{fc}"] {
            assert!(!host_is_address(&with(host)), "{host}");
        }
    }
}
