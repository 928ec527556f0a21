//! URLs as loaders read them (RFC 3986, as far as they need it).

use std::fmt;
use std::net::Ipv4Addr;

/// Who serves a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Ip(Ipv4Addr),
    Name(String),
}

/// Protocols that a played client fetches by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Tftp,
}

/// An absolute URL that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Path with query, as it goes over the wire: with its leading `/` for HTTP, without for TFTP.
    pub(crate) path: String,
}

/// Why a text is no URL to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// Another protocol.
    Scheme(String),
    /// No host, or a port that is none.
    Malformed,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tftp => "tftp",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Tftp => 69,
        }
    }
}

impl Url {
    /// A TFTP file of a server.
    pub(crate) fn tftp(server: Ipv4Addr, name: &str) -> Self {
        Self { scheme: Scheme::Tftp, host: Host::Ip(server), port: 69, path: name.to_owned() }
    }

    /// Reads an absolute URL.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let (name, rest) = split_scheme(text).ok_or(UrlError::Malformed)?;
        let scheme = match name.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "tftp" => Scheme::Tftp,
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let rest = rest.strip_prefix("//").ok_or(UrlError::Malformed)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // Fragments are for the client; iPXE hangs the names of forms there.
        let path = path.split('#').next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| UrlError::Malformed)?),
            None => (authority, scheme.port()),
        };
        if host.is_empty()
            || !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        {
            return Err(UrlError::Malformed);
        }
        let host = host.parse().map_or_else(|_| Host::Name(host.to_ascii_lowercase()), Host::Ip);
        let path = match scheme {
            Scheme::Http if path.starts_with('/') => path.to_owned(),
            Scheme::Http => format!("/{path}"),
            Scheme::Tftp => path.strip_prefix('/').unwrap_or(path).to_owned(),
        };
        Ok(Self { scheme, host, port, path })
    }

    /// What `text` means beside this one: absolute, from the root, or from the same folder.
    pub(crate) fn join(&self, text: &str) -> Result<Self, UrlError> {
        if split_scheme(text).is_some() {
            return Self::parse(text);
        }
        if let Some(rest) = text.strip_prefix("//").filter(|_| self.scheme == Scheme::Http) {
            return Self::parse(&format!("{}://{rest}", self.scheme.name()));
        }
        let text = text.split('#').next().unwrap_or_default();
        let own = self.path.split('?').next().unwrap_or_default();
        let folder = own.rfind('/').map_or("", |slash| &own[..=slash]);
        let path = match (self.scheme, text.strip_prefix('/')) {
            (Scheme::Http, Some(_)) => text.to_owned(),
            (Scheme::Tftp, Some(rest)) => rest.to_owned(),
            (_, None) if text.is_empty() => self.path.clone(),
            (_, None) => format!("{folder}{text}"),
        };
        Ok(Self { path: without_dots(&path), ..self.clone() })
    }
}

/// `..` and `.` taken out of the path, not of the query.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                if parts.len() > usize::from(path.starts_with('/')) {
                    parts.pop();
                }
            }
            _ => parts.push(part),
        }
    }
    format!("{}{query}", parts.join("/"))
}

/// The scheme and what follows its colon. A single letter is the drive of a Windows path.
pub(crate) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        let slash = if self.scheme == Scheme::Tftp { "/" } else { "" };
        write!(f, "{slash}{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_back_to_their_text() {
        for text in
            ["http://10.0.0.1/", "http://pxe.example.com:8080/a/b?c=d", "tftp://10.0.0.1/undionly.kpxe"]
        {
            assert_eq!(Url::parse(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(Url::parse("http://Boot.Example").unwrap().to_string(), "http://boot.example/");
        assert_eq!(Url::parse("http://h/x##params").unwrap().path, "/x");
        assert_eq!(Url::parse("https://h/x"), Err(UrlError::Scheme("https".into())));
        for wrong in [
            "",
            "x",
            "/x",
            "http:x",
            "http://",
            "http:///x",
            "http://h:x/",
            "http://h:99999/",
            "c:\\x",
            "http://a b/",
        ] {
            assert_eq!(Url::parse(wrong), Err(UrlError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn relative_names_stand_beside_their_base() {
        let base = Url::parse("http://10.0.0.1/boot/menu.ipxe?x=/y").unwrap();
        for (name, path) in [
            ("linux", "/boot/linux"),
            ("/linux", "/linux"),
            ("../a/./b?q=../c", "/a/b?q=../c"),
            ("../../../a", "/a"),
            ("", "/boot/menu.ipxe?x=/y"),
        ] {
            assert_eq!(base.join(name).unwrap().path, path, "{name}");
        }
        assert_eq!(base.join("http://other/x").unwrap().to_string(), "http://other/x");
        let base = Url::parse("tftp://10.0.0.1/boot/a.ipxe").unwrap();
        assert_eq!(base.join("b").unwrap().to_string(), "tftp://10.0.0.1/boot/b");
        assert_eq!(base.join("/b").unwrap().to_string(), "tftp://10.0.0.1/b");
        assert_eq!(base.join("C:\\x").unwrap().to_string(), "tftp://10.0.0.1/boot/C:\\x");
    }
}
