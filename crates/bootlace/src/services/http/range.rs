//! Which part of a file a request wants, and whether it wants it at all (RFC 9110 sections 13 and 14).

use std::time::SystemTime;

use bootlace_wire::http::{ByteRange, byte_range};
use hyper::HeaderMap;
use hyper::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use crate::files::Version;

/// What to send of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// The bytes from the first number up to, not including, the second.
    Part(u64, u64),
    /// The client has it.
    NotModified,
    /// It is not the version that the client wants to go on with.
    OtherVersion,
    /// No byte of it lies in the range.
    NotThere,
}

/// Judges the conditions in the order of RFC 9110 section 13.2.2, then the range.
pub(super) fn wanted(headers: &HeaderMap, version: &Version, len: u64) -> Wanted {
    if let Some(unmet) = unmet_condition(headers, version) {
        return unmet;
    }
    match text(headers, &RANGE) {
        Some(range) if may_be_partial(headers, version) => part(range, len),
        _ => Wanted::Whole,
    }
}

/// The conditions alone: a HEAD has no range (RFC 9110 section 14.2).
pub(super) fn unmet_condition(headers: &HeaderMap, version: &Version) -> Option<Wanted> {
    if let Some(tags) = text(headers, &IF_MATCH) {
        // EDK2's HTTP boot goes on with a broken download by Range and If-Match.
        if !tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == version.etag) {
            return Some(Wanted::OtherVersion);
        }
    } else if let Some(since) = date(headers, &IF_UNMODIFIED_SINCE)
        && version.modified() > since
    {
        return Some(Wanted::OtherVersion);
    }
    if let Some(tags) = text(headers, &IF_NONE_MATCH) {
        let weak = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == version.etag;
        return tags.split(',').map(str::trim).any(weak).then_some(Wanted::NotModified);
    }
    date(headers, &IF_MODIFIED_SINCE)
        .filter(|since| version.modified() <= *since)
        .map(|_| Wanted::NotModified)
}

/// If-Range names the version that the client has the beginning of, by tag or by exact date.
fn may_be_partial(headers: &HeaderMap, version: &Version) -> bool {
    match text(headers, &IF_RANGE) {
        None => !headers.contains_key(IF_RANGE),
        Some(tag) if tag.ends_with('"') => tag == version.etag,
        Some(_) => date(headers, &IF_RANGE) == Some(version.modified()),
    }
}

fn part(range: &str, len: u64) -> Wanted {
    match byte_range(range, len) {
        ByteRange::Whole => Wanted::Whole,
        ByteRange::Part(first, end) => Wanted::Part(first, end),
        ByteRange::NotThere => Wanted::NotThere,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "Sun, 22 Nov 2026 00:00:00 GMT";
    const BEFORE: &str = "Sat, 21 Nov 2026 23:59:59 GMT";
    const AFTER: &str = "Sun, 22 Nov 2026 00:00:01 GMT";

    fn judge(headers: &[(HeaderName, &str)]) -> Wanted {
        let version = Version { etag: "\"v1\"".to_owned(), modified_secs: 1_795_305_600 };
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        wanted(&headers, &version, 100)
    }

    #[test]
    fn conditions_in_their_order() {
        let cases: [(&[(HeaderName, &str)], Wanted); 16] = [
            (&[], Wanted::Whole),
            (&[(IF_NONE_MATCH, "\"v1\"")], Wanted::NotModified),
            (&[(IF_NONE_MATCH, "\"v0\", W/\"v1\"")], Wanted::NotModified),
            (&[(IF_NONE_MATCH, "*")], Wanted::NotModified),
            (&[(IF_NONE_MATCH, "\"v0\""), (IF_MODIFIED_SINCE, MODIFIED)], Wanted::Whole),
            (&[(IF_MODIFIED_SINCE, MODIFIED)], Wanted::NotModified),
            (&[(IF_MODIFIED_SINCE, BEFORE)], Wanted::Whole),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Wanted::Whole),
            (&[(IF_MATCH, "\"v1\""), (RANGE, "bytes=5-")], Wanted::Part(5, 100)),
            (&[(IF_MATCH, "\"v0\""), (RANGE, "bytes=5-")], Wanted::OtherVersion),
            (&[(IF_UNMODIFIED_SINCE, BEFORE)], Wanted::OtherVersion),
            (&[(IF_UNMODIFIED_SINCE, AFTER)], Wanted::Whole),
            (&[(IF_RANGE, "\"v1\""), (RANGE, "bytes=5-")], Wanted::Part(5, 100)),
            (&[(IF_RANGE, "W/\"v1\""), (RANGE, "bytes=5-")], Wanted::Whole),
            (&[(IF_RANGE, MODIFIED), (RANGE, "bytes=5-")], Wanted::Part(5, 100)),
            (&[(IF_RANGE, AFTER), (RANGE, "bytes=5-")], Wanted::Whole),
        ];
        for (headers, expect) in cases {
            assert_eq!(judge(headers), expect, "{headers:?}");
        }
    }
}
