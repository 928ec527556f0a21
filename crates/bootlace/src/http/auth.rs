//! Who may use the API.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// A secret that programs show as `Authorization: Bearer TOKEN`.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// From the text of a token file; `None` when it is too short to keep anybody out.
    pub fn from_file(text: &str) -> Option<Self> {
        const CHARS_MIN: usize = 16;
        let token = text.trim();
        (token.len() >= CHARS_MIN).then(|| Self(token.into()))
    }

    /// Compares without telling by its time how much was right.
    fn is(&self, shown: &str) -> bool {
        let (own, shown) = (self.0.as_bytes(), shown.as_bytes());
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
    // A page in somebody's browser may be made to ask this address under another name (DNS rebinding).
    if !host_is_address(request.headers()) {
        return (StatusCode::FORBIDDEN, "ask by address or as localhost\n").into_response();
    }
    let shown =
        request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let allowed = match (&token, shown) {
        (Some(token), Some(shown)) => token.is(shown),
        _ => peer.is_some_and(|peer| peer.ip().is_loopback()),
    };
    if allowed {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "a token is needed\n").into_response()
}

fn host_is_address(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get("host").and_then(|host| host.to_str().ok()) else { return true };
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
    fn only_addresses_and_localhost_are_hosts() {
        let with = |host: &str| HeaderMap::from_iter([(axum::http::header::HOST, host.parse().unwrap())]);
        for host in ["127.0.0.1:8470", "localhost:8470", "[::1]:8470", "10.0.0.1"] {
            assert!(host_is_address(&with(host)), "{host}");
        }
        assert!(!host_is_address(&with("evil.example:8470")));
    }
}
