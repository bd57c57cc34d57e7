//! Where a server is: `ws://HOST[:PORT][/PATH][?QUERY]` (RFC 6455, 3).
//!
//! Inside, `ws` is written `http`, as browsers do: origins, default ports and redirects are then those of HTTP.

use std::fmt;

use ::http::Uri;
use netloom_core::Code;

use super::error::ConnectError;
use crate::http::Origin;

/// A URL, written with `http` for `ws` and `https` for `wss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url(pub(super) Uri);

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, ConnectError> {
        let wrong = |why| ConnectError::misuse(Code::InvalidAddress, text, why);
        let form = "that is not of the form ws://HOST/PATH";
        if text.contains('#') {
            return Err(wrong("a WebSocket's URL has no #fragment"));
        }
        let (is_ours, written) = as_http(text);
        let uri: Uri = written.parse().map_err(|error: ::http::uri::InvalidUri| {
            wrong(if is_ours { "that is no URL" } else { form }).with_source(error)
        })?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("a URL does not carry credentials: use a field"));
        }
        match is_ours && Origin::of(&uri).is_some() {
            true => Ok(Self(uri)),
            false => Err(wrong(form)),
        }
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.0.path_and_query().map_or("/", |target| target.as_str())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str("ws")?;
        f.write_str(text.strip_prefix("http").unwrap_or(&text))
    }
}

/// The same with `http` for `ws`, and whether it was ours.
pub(super) fn as_http(text: &str) -> (bool, String) {
    let Some((scheme, rest)) = text.split_once("://") else { return (false, text.to_owned()) };
    // RFC 9110, 4.2.3: an empty path is "/".
    let rest = match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('?') => format!("{}/{}", &rest[..at], &rest[at..]),
        _ => rest.to_owned(),
    };
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => (true, format!("http://{rest}")),
        "wss" => (true, format!("https://{rest}")),
        _ => (false, text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_a_path_and_a_query() {
        for (text, shown, target) in [
            ("ws://example.com", "ws://example.com/", "/"),
            ("WS://example.com:80/a?b=c", "ws://example.com:80/a?b=c", "/a?b=c"),
            ("ws://[::1]:8080?q", "ws://[::1]:8080/?q", "/?q"),
            ("wss://example.com/x", "wss://example.com/x", "/x"),
            ("wss://[2001:db8::7]", "wss://[2001:db8::7]/", "/"),
            ("ws://[::ffff:192.0.2.1]:80/a", "ws://[::ffff:192.0.2.1]:80/a", "/a"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.target()), (shown, target), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_named() {
        for (text, named) in [
            ("example.com", "ws://HOST"),
            ("http://example.com/", "ws://HOST"),
            ("ftp://example.com/", "ws://HOST"),
            ("ws://", "no URL"),
            ("ws:///a", "URL"),
            ("ws://[::1/", "no URL"),
            ("ws://::1/", "no URL"),
            ("ws://[::1]x/", "ws://"),
            ("ws://[]/", "ws://HOST"),
            ("ws://a/b c", "URL"),
            ("ws://a/#b", "#fragment"),
            ("ws://name:word@a/", "credentials"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.to_string().contains(named), "{text}: {error}");
            assert!(error.to_string().contains(text), "{text}: {error}");
            assert_eq!(error.error(), Code::InvalidAddress);
        }
    }
}
