//! Where GRUB finds a file: `(PROTOCOL,SERVER)/PATH` (net/net.c).

use std::fmt;
use std::net::Ipv4Addr;

use crate::boot::dialect::Reach;
use crate::boot::escape::url_path;

/// A file on the network, as GRUB names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    protocol: &'static str,
    server: String,
    /// With its slash.
    path: String,
}

/// The protocols that GRUB fetches by, with the port of each. Builds before 2.12 know no other.
const PROTOCOLS: [(&str, u16); 2] = [("http", 80), ("tftp", 69)];

impl Place {
    /// A name that this server serves. GRUB sends a path as it is: for HTTP it must be encoded already.
    pub(super) fn served(reach: Reach, server: Ipv4Addr, name: &str) -> Self {
        let (protocol, server, path) = match reach {
            Reach::Http(80) => ("http", server.to_string(), url_path(name)),
            Reach::Http(port) => ("http", format!("{server}:{port}"), url_path(name)),
            Reach::Tftp => ("tftp", server.to_string(), name.to_owned()),
        };
        Self { protocol, server, path: format!("/{path}") }
    }

    /// The place of a URL, or why GRUB cannot fetch from there.
    pub(super) fn of_url(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let known = PROTOCOLS.into_iter().find(|(protocol, _)| scheme.eq_ignore_ascii_case(protocol));
        let Some((protocol, port)) = known else {
            return Err(format!("GRUB cannot fetch {url}: it knows http and tftp"));
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let server = authority.strip_suffix(&format!(":{port}")).unwrap_or(authority);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if server.is_empty() || !server.chars().all(is_name) {
            return Err(format!("GRUB cannot fetch {url}: it takes a host name or address, and port {port}"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { protocol, server: server.to_owned(), path })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{}){}", self.protocol, self.server, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_places_or_are_refused() {
        let place = |url| Place::of_url(url).map(|place| place.to_string());
        assert_eq!(place("http://boot.salstar.sk").as_deref(), Ok("(http,boot.salstar.sk)/"));
        assert_eq!(place("HTTP://h:80/a%20b?x=1").as_deref(), Ok("(http,h)/a%20b?x=1"));
        assert_eq!(place("tftp://10.188.0.1/a/b").as_deref(), Ok("(tftp,10.188.0.1)/a/b"));
        let refused = [
            "https://h/x",
            "http://h:8080/x",
            "http://u:p@h/x",
            "http://[fe80::1]/x",
            "http://h),x/y",
            "http:///x",
            "nfs://h/x",
            "x",
        ];
        for url in refused {
            assert!(place(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_served_name_is_encoded_for_http_alone() {
        let server = Ipv4Addr::new(10, 188, 0, 10);
        let place = |reach| Place::served(reach, server, "a b/it's").to_string();
        assert_eq!(place(Reach::Http(80)), "(http,10.188.0.10)/a%20b/it%27s");
        assert_eq!(place(Reach::Http(8080)), "(http,10.188.0.10:8080)/a%20b/it%27s");
        assert_eq!(place(Reach::Tftp), "(tftp,10.188.0.10)/a b/it's");
    }
}
